"""The states of a path, put together from what each place knows."""

from __future__ import annotations

from dorkyd.core.model import Digest, Path, Version
from dorkyd.core.timeline import Copied, Done, Now, timeline

F = Path("f")
ONE, TWO = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)


def test_a_content_that_came_back_is_kept_as_long_as_one_copy_of_it_is() -> None:
    """Of two times of one content the store gives a copy to one alone; the other can be restored from it all the same."""
    rows = [
        Done(at_ns, "upload", F, digest, 1, Version(str(at_ns)), "pc")
        for at_ns, digest in ((1, ONE), (2, TWO), (3, ONE), (4, TWO))
    ]
    copies = [Copied("bucket-trash", "c", 1, Version("3"))]
    states = timeline(F, rows, Now(Version("4"), 1, TWO, 4, "pc"), copies)
    assert [(state.at_ns, [copy.name for copy in state.kept]) for state in states] == [
        (4, []),
        (3, ["c"]),
        (2, []),
        (1, ["c"]),
    ]
