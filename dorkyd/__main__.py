"""`python -m dorkyd` is the daemon."""

import sys

from dorkyd.daemon import main

if __name__ == "__main__":
    sys.exit(main())
