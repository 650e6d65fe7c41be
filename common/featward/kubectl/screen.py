"""The tables of `status`, cut to one screen: what is wrong comes first, and what is left out is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Row", "Section", "fitted", "height"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line; ``bad`` where somebody should look at it."""

    cells: tuple[str, ...]
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    """One table. ``left_out`` counts its rows that are not shown: all of them, and those that are bad."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[Row, ...]
    left_out: tuple[int, int] = field(default=(0, 0))

    @property
    def lines(self) -> int:
        """As many as it takes: headings, rows, what is left out, and a blank line before all of it."""
        return 2 + len(self.rows) + bool(self.left_out[0]) if self.rows or self.left_out[0] else 0

    @property
    def summary(self) -> str:
        """Of what is left out; empty where nothing is."""
        count, bad = self.left_out
        if not count:
            return ""
        return f"… and {count} more, {f'{bad} of them with trouble' if bad else 'all well'}"


def height(sections: Sequence[Section]) -> int:
    """The lines that they take; the first has no blank line before it."""
    return max(0, sum(one.lines for one in sections) - 1)


def fitted(sections: Sequence[Section], lines: int) -> list[Section]:
    """The same with as many rows as fit into so many lines; of each section at least one stays."""
    shown = [_sorted(one) for one in sections if one.rows]
    while height(shown) > lines:
        longest = max(range(len(shown)), key=lambda number: len(shown[number].rows), default=None)
        if longest is None or len(shown[longest].rows) <= 1:
            break
        shown[longest] = _without_last(shown[longest])
    return shown


def _sorted(section: Section) -> Section:
    rows = sorted(section.rows, key=lambda row: not row.bad)
    return Section(section.title, section.headings, tuple(rows), section.left_out)


def _without_last(section: Section) -> Section:
    *rows, last = section.rows
    count, bad = section.left_out
    left_out = (count + 1, bad + last.bad)
    return Section(section.title, section.headings, tuple(rows), left_out)
