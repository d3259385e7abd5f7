"""The HTTP API on the Unix socket: its messages, its calls as a client makes them, its errors and its server."""
