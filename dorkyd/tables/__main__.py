"""The worker's entry point, for `dorkyd.tables.supervisor`."""

from dorkyd.tables.worker import main

if __name__ == "__main__":
    main()
