"""Tables as artifacts. pyarrow is imported in this package alone, and in two processes that are not the daemon's.

What a Parquet, Arrow, CSV or JSON lines file holds is told without anybody reading all of it: there pyarrow is imported inside functions, and
only ever loaded by the worker (`dorkyd.tables.worker`), a process of its own with low priority and limited memory, so that a file
which breaks it hurts nothing else. The daemon talks to it through `dorkyd.tables.supervisor`.

Tables are read and written (`reading`, `dataset`, `writing`, `filesystem`) in the process of the client that asks for their rows; the client
imports these modules with the first table.
"""
