"""sqlite-utils without pandas and numpy, which it imports where they are installed to know their types, and which cost a daemon of
a data team a third of a second of CPU and 83 MB.
"""

from __future__ import annotations

import sys
from typing import Any, cast

_NEEDLESS = ("pandas", "numpy")
_hidden: dict[str, Any] = {name: None for name in _NEEDLESS if name not in sys.modules}
# None: an import of it fails as if it were not installed.
sys.modules.update(cast("Any", _hidden))
try:
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations
finally:
    for name in _hidden:
        del sys.modules[name]

__all__ = ["Database", "Migrations"]
