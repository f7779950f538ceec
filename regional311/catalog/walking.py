"""Walking a script: which steps one came by, what was chosen, and where one is now.

Where one is, is a path of choices from the first step: nothing is kept, so that going back and
choosing otherwise are the same as choosing. A path that the script no longer has ends where it
parts from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from regional311.catalog.articles import Step, StepChoice

LONGEST: Final = 200
"""Choices of a path that are followed; a script that goes in circles could be walked for ever."""


@dataclass(frozen=True)
class Taken:
    """A step that one came by, and the way on that was chosen."""

    step: Step
    choice: StepChoice


@dataclass(frozen=True)
class Walk:
    """The steps behind, and the step where one is; at an end there is no such step.

    `end` is ``end``, ``danger`` or ``service:<ref>`` once one has come to it.
    """

    taken: tuple[Taken, ...]
    here: Step | None
    end: str | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """The choices that led here."""
        return tuple(each.choice.key for each in self.taken)


def walk(steps: Sequence[Step], path: Sequence[str]) -> Walk:
    """Follow a path of choices from the first step, as far as the script has it.

    A step without choices is an end where one stays: its words are still to be read.
    """
    by_key = {each.key: each for each in steps}
    taken: list[Taken] = []
    here = steps[0]
    for key in path[:LONGEST]:
        choice = next((each for each in here.choice if each.key == key), None)
        if choice is None:
            break
        kind, _, name = choice.to.partition(":")
        if kind != "step":
            return Walk((*taken, Taken(here, choice)), None, choice.to)
        if name not in by_key:
            break
        taken.append(Taken(here, choice))
        here = by_key[name]
    return Walk(tuple(taken), here, None if here.choice else "end")
