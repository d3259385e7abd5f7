"""Tables as artifacts: what a Parquet, Arrow, CSV or JSON lines file holds, told without anybody reading all of it.

pyarrow is imported in this package alone, inside functions, and only ever loaded by the worker (`dorkyd.tables.worker`): a process
of its own with low priority and limited memory, so that a file which breaks it hurts nothing else. The daemon talks to it
through `dorkyd.tables.supervisor`.
"""
