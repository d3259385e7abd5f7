"""Simulated histories: real devices, a simulated world, and what must hold after anything that may happen to them.

`run` plays the story of a seed; a story that breaks a rule is made as short as possible and told. What may happen is in
`steps`, how stories are made up in `stories`, what must hold in `checks`:

* all folders and the bucket hold the same files, bits and all, and the journals say so;
* a quiet system writes and moves nothing;
* what a person wrote is live, or in a conflict copy, unless a person replaced or deleted it on a device that had it;
* no write was accepted whose condition did not hold, and none had no condition;
* where one device alone was edited, every folder is what its person made;
* k different concurrent writers of one path leave exactly k-1 conflict copies;
* a path that cannot sync keeps no other from syncing;
* nothing outside the folders is written, and staging holds nothing that a journal does not explain.

    python -m tests.simulation --histories 100000 --jobs 2
"""
