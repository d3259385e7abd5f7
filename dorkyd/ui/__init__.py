"""The local page: `dorkyctl ui` serves it on the loopback for as long as it runs; the daemon keeps only its socket.

Who may ask (`session`, `door`), what is passed on to the daemon (`forwarding`), and the server around both (`server`).
The page itself is what lies in `page/`: files as they are written, which ask nothing of anybody but this server.
"""
