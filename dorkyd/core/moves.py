"""Pair the halves of a move, so that a rename moves no bytes.

A deletion and a creation of the same content in one batch are one move. Any pairing within one content is correct, since
the bytes are the same; a pairing is made only where it is unambiguous, looking at ever shorter endings of the two paths
(`d/x/a.py` -> `e/x/a.py` agree in `x/a.py`), so that a renamed folder full of equal files still pairs file by file.
What stays ambiguous is no move: it is deleted and created.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from dorkyd.core.model import (
    Action,
    DeleteLocal,
    DeleteRemote,
    Digest,
    Download,
    MoveLocal,
    MoveRemote,
    Path,
    Upload,
)
from dorkyd.core.paths import is_under
from dorkyd.core.secrets import is_private

C = TypeVar("C", Upload, Download)
D = TypeVar("D", DeleteLocal, DeleteRemote)

_ENDINGS = (4, 3, 2, 1, 0)
"""Path components from the end that must agree, most specific first; 0: the content alone."""


def pair_moves(actions: Iterable[Action], *, in_bucket: bool = True) -> list[Action]:
    """The same work with every unambiguous pair replaced by its move, at the place of the creation.

    `in_bucket` False: the store's copies cannot be trusted, so nothing is moved there.
    """
    actions = list(actions)
    uploads = [a for a in actions if isinstance(a, Upload) and in_bucket]
    remote_deletes = [a for a in actions if isinstance(a, DeleteRemote)]
    # A download over an existing file is no rename: what stands there would have to leave first.
    downloads = [a for a in actions if isinstance(a, Download) and a.replaces is None and a.remote.digest is not None]
    local_deletes = [a for a in actions if isinstance(a, DeleteLocal)]

    new_name: dict[Path, Action] = {}
    consumed: set[int] = set()
    for upload, gone in _pairs(uploads, remote_deletes, lambda u: u.local.digest, lambda d: d.base.digest):
        new_name[upload.path] = MoveRemote(gone, upload)
        consumed |= {id(upload), id(gone)}
    for download, leaving in _pairs(downloads, local_deletes, _content, lambda d: d.base.digest):
        if is_private(leaving.path) and not is_private(download.path):
            # Whatever bits a private file really has count for nothing (`dorkyd.core.secrets`). Under a name where they count
            # they would be taken for somebody's wish, and a secret be opened to all: it is put in place with the right ones.
            continue
        new_name[download.path] = MoveLocal(leaving, download)
        consumed |= {id(download), id(leaving)}

    paired: list[Action] = []
    for action in actions:
        if id(action) not in consumed:
            paired.append(action)
        elif action.path in new_name and isinstance(action, Upload | Download):
            paired.append(new_name[action.path])
    return paired


def _content(download: Download) -> Digest:
    assert download.remote.digest is not None
    return download.remote.digest


def _pairs(
    created: Sequence[C], deleted: Sequence[D], made: Callable[[C], Digest], lost: Callable[[D], Digest]
) -> list[tuple[C, D]]:
    """Pairs that are the only match of each other under some ending."""
    pairs: list[tuple[C, D]] = []
    gone = {lost(deletion) for deletion in deleted}
    left = [creation for creation in created if made(creation) in gone] if gone else []
    right = list(deleted) if left else []
    for ending in _ENDINGS:
        by_key: dict[tuple[Digest, tuple[str, ...]], list[C]] = {}
        for creation in left:
            by_key.setdefault((made(creation), _ending(creation.path, ending)), []).append(creation)
        matches: dict[tuple[Digest, tuple[str, ...]], list[D]] = {}
        for deletion in right:
            matches.setdefault((lost(deletion), _ending(deletion.path, ending)), []).append(deletion)
        done = {key for key, found in by_key.items() if len(found) == 1 and len(matches.get(key, ())) == 1}
        pairs += [(by_key[key][0], matches[key][0]) for key in by_key if key in done]
        left = [c for c in left if (made(c), _ending(c.path, ending)) not in done]
        right = [d for d in right if (lost(d), _ending(d.path, ending)) not in done]
    # A file cannot be renamed to a place inside the folder that takes its name, nor the reverse: one must go first.
    return [(c, d) for c, d in pairs if not is_under(c.path, d.path) and not is_under(d.path, c.path)]


def _ending(path: Path, components: int) -> tuple[str, ...]:
    return tuple(path.split("/")[-components:]) if components else ()
