"""What is in force: where ignore rules, the mode or keys are others than before, what they concern is looked at again.

No change of a file or of an object would mark it. Engine thread.
"""

from __future__ import annotations

from dorkyd.core.settings import Mode
from dorkyd.journal import Journal
from dorkyd.keyring import KEY_PROBLEMS
from dorkyd.manual_rows import PULLING
from dorkyd.wiring import Wired


def rules_changed(o: Wired, warnings: dict[str, tuple[str, str]]) -> None:
    """Other files are ignored now: look at all of them, and delete nothing in this cycle. What was ignored until now
    was not asked about, whatever became of it.
    """
    o.deletions.clear()
    with o.journal.atomic():
        o.journal.mark(o.journal.unagreed(), remote=True)
        o.local.rules_applied()
    bad = o.local.rules.bad_lines
    if bad:
        lines = ", ".join(str(line.line) for line in bad)
        warnings["ignore-file"] = (f".dorkyignore: line {lines} is not understood and left out", "correct it")
    else:
        warnings.pop("ignore-file", None)


def mode_changed(journal: Journal, mode: Mode) -> None:
    """What another mode left undone is decided again."""
    with journal.atomic():
        journal.mark(journal.unagreed())
        journal.mark(list(journal.base_paths()))
        journal.put("mode", mode)
        journal.put(PULLING, None)
        journal.manual.forget_apart()


def follow_keys(o: Wired, warnings: dict[str, tuple[str, str]]) -> None:
    """Where other keys or patterns are in force, look at what they concern again; say what is wrong with them."""
    if o.keyring is None or not o.contact.met:
        return
    keys = o.keyring.keys
    if keys.why is not None and o.keyring.in_use:
        warnings["keys"] = (keys.why.detail, keys.why.hint)
    else:
        warnings.pop("keys", None)
    epoch = keys.current.id if keys.current is not None else ""
    applied = repr((keys.listed.number, o.keyring.chosen, epoch, sorted(keys.opened)))
    if o.journal.get("keys_applied") == applied or not o.keyring.in_use:
        return
    # A store that refuses a look at the list gives a code of its own.
    stuck = [p.path for p, _ in o.journal.ledger.problems() if p.code in KEY_PROBLEMS or o.keyring.covers(p.path)]
    with o.journal.atomic():
        o.journal.mark([path for path in o.journal.known_paths() if o.keyring.covers(path)])
        o.journal.mark(o.journal.sealed_otherwise(epoch))
        # What is on its way was coded by what held before, and of a new name nothing is known yet.
        o.journal.mark(list(o.jobs.in_flight))
        o.journal.mark(stuck)
        o.journal.put("keys_applied", applied)
    o.retries.changed(set(stuck))
