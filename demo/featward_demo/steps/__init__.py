"""The steps of the tour, one function each: it tries something, and says what came back and whether it should.

A step is a function of the running stack. It returns a `Seen`, and never prints.
"""

from collections.abc import Callable
from dataclasses import dataclass

from featward_demo.stack import Stack

__all__ = ["Seen", "Step"]


@dataclass(frozen=True)
class Seen:
    """What a step tried, what came back, why, whether that is what it should be, and how long it took."""

    tried: str
    came_back: str
    why: str
    behaved: bool
    seconds: float


@dataclass(frozen=True)
class Step:
    """One step: its title, and what to do."""

    title: str
    run: Callable[[Stack], Seen]
    # Shown while it runs, where that takes longer than a moment.
    meanwhile: str = ""
