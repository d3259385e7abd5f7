"""A strict Google Cloud Storage of our own: the JSON API as its documentation says, on 127.0.0.1.

No server from the registries keeps generation preconditions on deletes, rewrites and resumable uploads, so this one does.
`store` holds the objects and judges conditions, `uploads` the resumable sessions, `faults` what goes wrong on request, and
`server` speaks HTTP. `python -m tests.gcs --port N` runs it as a process.
"""
