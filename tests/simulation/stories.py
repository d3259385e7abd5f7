"""How stories are made up: step by step while they are played, so that persons edit what is there.

Each story is allowed a few kinds of trouble, drawn by its seed, and no others: stories in which everything happens are
alike, and hide what only shows where something else does not happen.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from tests.simulation.people import IGNORE, SHARED
from tests.simulation.play import NAMES, Play
from tests.simulation.steps import (
    TREES,
    Age,
    CheckOut,
    Collect,
    Commit,
    Cycle,
    Die,
    Disk,
    Edit,
    Fail,
    ForgetUploads,
    Freeze,
    Hang,
    Land,
    Late,
    Mend,
    Open,
    Pull,
    Push,
    Refused,
    Release,
    Restore,
    Setting,
    Settle,
    Skew,
    Stage,
    Step,
    Stranger,
    Sync,
    Undo,
    Unreadable,
    Unstage,
    Upkeep,
    Verb,
    Within,
    Work,
)

SEALED_EVERY = 8
PATHS = ("a", "b", "c", "d/a", "d/b", "d/e/a", "e/a", "a/x", "b/y/z", ".env", "d", "A", "D/a")
FOLDERS = ("d", "e", "d/e", "a", "b", "g", "h/i", "D")
RULES = ("*.log\n", "d/\n", "b\n", "", "e\n!e/a\n", "/a\n")
VERBS: tuple[Verb, ...] = (
    "write", "write", "write", "write", "save", "save", "backup-save", "delete", "delete", "move", "move", "swap",
    "move-folder", "chmod", "turn", "touch", "copy", "delete-folder", "collapse",
)  # fmt: skip
TROUBLES = (
    "fail", "kill", "hang", "within", "disk", "unreadable", "refused", "skew", "stranger", "late", "log", "ignore",
    "fail", "kill", "hang",
)  # fmt: skip


MANUAL = 0.1
"""In so many stories one of the devices is in mode manual."""


def setting_of(rng: random.Random) -> Setting:
    """Small ones are the most frequent: what two devices and three files show is shown soonest there."""
    return Setting(
        devices=rng.choice((2,) * 12 + (3, 3, 3, 4)),
        tree=rng.choice((1, 1, 2, 2, 3)) if rng.random() < 0.9 else 0,
        joined=rng.random() < 0.88,
        etags=rng.random() < 0.3,
        seconds=rng.random() < 0.5,
        page_keys=rng.choice((2, 5, 1000, 1000, 1000)),
        stepwise=rng.random() < 0.2,
        sessions=rng.random() < 0.15,
        pace=rng.choice((1, 1, 30, 1000)),
    )


class Author:
    """Makes up one story."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.setting = setting_of(self.rng)
        self.manual = random.Random(f"manual {seed}")
        """Draws of its own, so that all other stories are as they were."""
        if self.manual.random() < MANUAL:
            self.setting = replace(self.setting, manual=1)
        if seed % SEALED_EVERY == 0 and self.setting.joined:
            # Not by chance: the stories of all other seeds stay what they were.
            self.setting = replace(self.setting, sealed=True)
        rng = self.rng
        self.troubles = tuple(rng.sample(TROUBLES, rng.choice((0, 1, 2, 2, 3, 4))))
        self.length = rng.choice((3, 4, 6, 8, 12, 20))
        self.acts = rng.choice((1, 1, 1, 1, 1, 2))
        self.names = NAMES[: self.setting.devices]
        self.crowded = rng.random() < 0.12
        self.editors = rng.choice(self.names) if not self.crowded and rng.random() < 0.25 else self.names
        # Of its own, so that other stories are what they were.
        self._past = random.Random(f"past {seed}")
        self.remembers = self._past.random() < 0.25 and not self.crowded
        self._texts = 0
        # Dice of its own: stories without it are what they were.
        self._sets = random.Random(f"variables of {seed}")
        self.shares = self._sets.random() < 0.15
        # And these.
        self._freezes = random.Random(f"freezes {seed}")
        self.freezes = not self.setting.manual and self._freezes.random() < 0.12
        self._crowd = rng.choice(("a", "d/new"))
        self._writers = list(self.names)
        # Drawn apart, so that the stories without commits stay what they were.
        self._commits = random.Random(f"commits {seed}")
        self.commits = not self.crowded and self._commits.random() < 0.25
        if self.crowded:
            self.troubles = tuple(kind for kind in self.troubles if kind not in {"late", "stranger", "ignore"})

    def write(self, play: Play, perform: Callable[[Step], None]) -> None:
        """Make the story up while `perform` plays it."""
        for _ in range(self.acts):
            for _ in range(self.length):
                perform(self._next(play))
            perform(Settle())
            self._writers = list(self.names)

    def _next(self, play: Play) -> Step:
        if self.setting.manual and self.manual.random() < 0.35:
            return self._word()
        if self.freezes and self._freezes.random() < 0.2:
            who = self._freezes.choice(self.names)
            return Freeze(who) if self._freezes.random() < 0.6 else Release(who)
        rng = self.rng
        if self.commits and self._commits.random() < 0.3:
            return self._commit()
        if self.remembers and self._past.random() < 0.15:
            who = self._past.choice(self.names)
            return Undo(who) if self._past.random() < 0.5 else Restore(who, self._past.choice((*PATHS, "d/", "e/")))
        chance = rng.random()
        if chance < 0.38:
            edit = self._edit(play)
            if edit is not None:
                return edit
        elif chance < 0.65 and self.troubles:
            return self._trouble(play)
        who = rng.choice(self.names)
        if chance < 0.71:
            return Sync(who)
        if play.device(who).pool.jobs and rng.random() < 0.6:
            return Work(who, tuple(rng.randrange(6) for _ in range(rng.randrange(1, 4))))
        return Cycle(who, rng.choice(("", "news", "whole", "whole")), rng.choice((0.0, 0.1, 1.0, 3.0, 20.0)))

    def _word(self) -> Step:
        """What a person says to a device in mode manual."""
        who, path = self.names[-1], self.manual.choice((".", ".", ".", *PATHS, "d"))
        chance = self.manual.random()
        if chance < 0.4:
            return Stage(who, path)
        if chance < 0.5:
            return Unstage(who, path)
        return Push(who) if chance < 0.8 else Pull(who)

    def _commit(self) -> Step:
        rng = self._commits
        who = rng.choice(self.names)
        chance = rng.random()
        if chance < 0.45:
            return Commit(who)
        if chance < 0.75:
            return CheckOut(who, rng.randrange(4), overwrite=rng.random() < 0.5)
        return Collect(who, rng.choice((1, 1, 2, 3))) if chance < 0.9 else Age()

    def _text(self) -> str:
        self._texts += 1
        return f"w{self._texts}"

    def _edit(self, play: Play) -> Edit | None:
        rng = self.rng
        if self.crowded:
            if not self._writers:
                return None
            who = self._writers.pop(rng.randrange(len(self._writers)))
            return Edit(who, rng.choice(("write", "save")), self._crowd, self._text())
        if self.shares and self._sets.random() < 0.4:
            self._texts += 1
            return Edit(self._sets.choice(self.names), "set", SHARED, f"V{self._texts}={self._texts}")
        who = rng.choice(self.editors)
        if "ignore" in self.troubles and rng.random() < 0.25:
            return Edit(who, "ignore", IGNORE, rng.choice(RULES) + f"# {self._text()}\n")
        verb = rng.choice(VERBS)
        present = play.people[who].files()
        if not present:
            return Edit(who, "write", rng.choice(PATHS), self._text())
        match verb:
            case "write":
                return Edit(
                    who, verb, rng.choice(present) if rng.random() < 0.5 else rng.choice(PATHS), self._content(play)
                )
            case "save" | "backup-save" | "turn":
                return Edit(who, verb, rng.choice(present), self._text())
            case "copy":
                return Edit(who, verb, rng.choice(PATHS), rng.choice(present))
            case "move":
                path = rng.choice(present)
                to = path.swapcase() if rng.random() < 0.2 else rng.choice(PATHS)
                return Edit(who, verb, path, to)
            case "swap":
                return Edit(who, verb, rng.choice(present), rng.choice(present))
            case "move-folder":
                return Edit(who, verb, rng.choice(FOLDERS), rng.choice(FOLDERS))
            case "delete-folder":
                return Edit(who, verb, rng.choice(FOLDERS))
            case "collapse":
                return Edit(who, verb, rng.choice(FOLDERS), self._text())
            case "chmod":
                return Edit(who, verb, rng.choice(present), rng.choice(("644", "600", "755")))
            case _:
                return Edit(who, verb, rng.choice(present))

    def _content(self, play: Play) -> str:
        """Mostly new; sometimes what was there before."""
        if self.rng.random() < 0.15:
            return self.rng.choice(sorted(play.account.written))
        return self._text()

    def _trouble(self, play: Play) -> Step:
        rng = self.rng
        kind = rng.choice(self.troubles)
        who = rng.choice(self.names)
        match kind:
            case "fail":
                what = rng.choice(("stale", "offline", "busy", "lost", "lost", "denied"))
                among = rng.choice(("any", "write", "write", "read", "list"))
                when = "before" if what == "denied" else rng.choice(("before", "after", "after", "midway"))
                return Fail(who, what, when, rng.randrange(1, 9), among)
            case "kill":
                power = rng.random() < 0.3
                if rng.random() < 0.25:
                    return Die(who, 0, forgets=rng.random() < 0.25, power=power)
                return Die(who, rng.randrange(1, 25), after=rng.random() < 0.5, power=power)
            case "hang":
                return Hang(who, rng.randrange(1, 6)) if rng.random() < 0.6 else Land(rng.randrange(8))
            case "within":
                edit = self._edit(play)
                return Within(rng.randrange(1, 6), edit) if edit is not None else Sync(who)
            case "disk":
                return Disk(who, rng.choice((0, 1, 2, 3, 5, 8))) if rng.random() < 0.8 else Mend(who)
            case "unreadable":
                return Unreadable(who, rng.choice((*PATHS, "d", "d"))) if rng.random() < 0.6 else Mend(who)
            case "refused":
                return Refused(who, rng.choice(PATHS)) if rng.random() < 0.6 else Mend(who)
            case "skew":
                return Skew(who, rng.choice((-86_400, -60, -2, 2, 60, 86_400)))
            case "stranger":
                path = rng.choice((*TREES[self.setting.tree], *PATHS))
                if path == "stays":
                    path = "a"
                return Stranger(path, self._text() if rng.random() < 0.7 else "")
            case "late":
                if rng.random() < 0.5 and (present := play.people[who].files()):
                    return Open(who, rng.choice(present))
                return Late(who, self._text())
            case "log":
                return Age() if rng.random() < 0.4 else Upkeep(who)
            case _:
                if self.setting.sessions:
                    return ForgetUploads()
                return Cycle(who, "news", 1.0)
