"""Make a failing story as short and as plain as it can be while it still fails in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

from tests.simulation.steps import Cycle, Die, Fail, Hang, Setting, Story, Sync, Within

TRIES = 1500


def shorter(story: Story, kind: str | None, fails_as: Callable[[Story], str | None]) -> Story:
    """The shortest found. `fails_as` plays a story and tells how it fails; None: it does not."""
    tries = 0

    def fails(other: Story) -> bool:
        nonlocal tries
        tries += 1
        return tries <= TRIES and fails_as(other) == kind

    while True:
        before = story
        story = _fewer(story, fails)
        story = _plainer_setting(story, fails)
        story = _plainer_steps(story, fails)
        if story == before:
            return story


def _fewer(story: Story, fails: Callable[[Story], bool]) -> Story:
    """Leave out runs of steps: long ones first, single ones last."""
    size = max(1, len(story.steps) // 2)
    while size:
        at = len(story.steps) - size
        while at >= 0:
            other = replace(story, steps=story.steps[:at] + story.steps[at + size :])
            if fails(other):
                story = other
            at -= max(1, size)
            at = min(at, len(story.steps) - size)
        size //= 2
    return story


def _plainer_setting(story: Story, fails: Callable[[Story], bool]) -> Story:
    """Whatever can be as usual is."""
    usual = Setting()
    for field in fields(Setting):
        for value in {"devices": (2, 3), "tree": (0, 1, 2)}.get(field.name, (getattr(usual, field.name),)):
            if value == getattr(story.setting, field.name):
                break
            other = replace(story, setting=replace(story.setting, **{field.name: value}))
            if fails(other):
                story = other
                break
    return story


def _plainer_steps(story: Story, fails: Callable[[Story], bool]) -> Story:
    for index, step in enumerate(story.steps):
        match step:
            case Cycle():
                others: tuple[object, ...] = (Sync(step.who), replace(step, look="whole", seconds=0.0))
            case Within():
                others = (step.edit, *(replace(step, nth=nth) for nth in range(1, step.nth)))
            case Die() | Fail() | Hang():
                others = tuple(replace(step, nth=nth) for nth in range(1, step.nth))
            case _:
                others = ()
        for plainer in others:
            other = replace(story, steps=(*story.steps[:index], plainer, *story.steps[index + 1 :]))  # type: ignore[arg-type]
            if fails(other):
                story = other
                break
    return story
