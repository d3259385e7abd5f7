"""`python -m tests.kills` (`tests.kills.full`)."""

import sys

from tests.kills.full import main

sys.exit(main())
