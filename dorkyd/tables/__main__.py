"""The worker's entry point, for `dorkyd.tables.supervisor`."""

from dorkyd.tables.worker import main

main()
