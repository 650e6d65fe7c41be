"""What was seen and found, for people and for programs."""

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from featward.cli.columns import Cell, columns
from featward.doctor.certificates import Shown
from featward.doctor.findings import Finding, Weight
from featward.doctor.judgement import Clock, Judged

__all__ = ["Report", "as_json", "show"]

STYLES = {Weight.REFUSED: "bold red", Weight.WARNING: "yellow", Weight.NOTE: "dim"}


@dataclass(frozen=True)
class Report:
    """All of it. `judged` has a name for each chain: what it is the identity of."""

    target: str
    facts: tuple[tuple[str, str], ...]
    judged: tuple[tuple[str, Judged], ...]
    judged_by: str | None
    clocks: tuple[Clock, ...]
    findings: tuple[Finding, ...]
    """Those that belong to no chain."""
    now: float

    @property
    def all_findings(self) -> list[Finding]:
        return [*self.findings, *(one for _, each in self.judged for one in each.findings)]

    @property
    def is_healthy(self) -> bool:
        """Whether no verifier would refuse anything."""
        return all(each.weight is not Weight.REFUSED for each in self.all_findings)


def as_json(report: Report) -> dict[str, Any]:
    """Times are Unix seconds, digests and serial numbers hexadecimal."""
    return {
        "target": report.target,
        "healthy": report.is_healthy,
        "facts": dict(report.facts),
        "judged_by": report.judged_by,
        "clocks": [
            {"of": each.of, "offset_seconds": round(each.offset, 1)} for each in report.clocks
        ],
        "identities": [_judged(name, each) for name, each in report.judged],
        "findings": [_finding(each) for each in report.findings],
        "time": report.now,
    }


def _judged(name: str, judged: Judged) -> dict[str, Any]:
    return {
        "of": name,
        "spiffe_id": judged.spiffe_id,
        "accepted": judged.accepted,
        "chain": [_certificate(each) for each in judged.chain],
        "findings": [_finding(each) for each in judged.findings],
    }


def _certificate(shown: Shown) -> dict[str, Any]:
    if shown.unreadable is not None:
        return {"sha256": shown.sha256, "unreadable": shown.unreadable}
    return {
        "subject": shown.subject,
        "issuer": shown.issuer,
        "serial": shown.serial,
        "uris": shown.uris,
        "dns": shown.dns,
        "not_before": shown.not_before,
        "not_after": shown.not_after,
        "key": shown.key,
        "is_authority": shown.is_authority,
        "sha256": shown.sha256,
    }


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "weight": finding.weight,
        "code": finding.code,
        "text": finding.text,
        "remedy": finding.remedy,
    }


def show(report: Report, console: Console) -> None:
    """Facts, chains, then what was found, the worst last, where it is read first."""
    rows: list[tuple[Cell, Cell]] = [("target", Text(report.target, style="bold"))]
    rows += [(name, text) for name, text in report.facts]
    rows += [(f"clock of {each.of}", _offset(each)) for each in report.clocks]
    if report.judged_by is not None:
        rows.append(("judged by", report.judged_by))
    console.print(columns(rows))
    for name, judged in report.judged:
        _show_judged(name, judged, report.now, console)
    _show_findings(report, console)


def _show_judged(name: str, judged: Judged, now: float, console: Console) -> None:
    title = Text(f"\n{name}: ", style="bold")
    title.append(judged.spiffe_id or "no SPIFFE ID")
    verdict, style = _VERDICTS[judged.accepted]
    console.print(title.append(f"  {verdict}", style=style))
    if judged.chain:
        headings = ("", "certificate", "valid", "ends", "key", "serial")
        rows = [_row(number, each, now) for number, each in enumerate(judged.chain)]
        console.print(columns(rows, headings, indent=1))


_VERDICTS = {
    True: ("accepted", "green"),
    False: ("refused", "bold red"),
    None: ("not judged", "yellow"),
}


def _row(number: int, shown: Shown, now: float) -> Sequence[Cell]:
    if shown.unreadable is not None:
        return (str(number), f"unreadable: {shown.unreadable}", "", "", "", "")
    names = [*shown.uris, *shown.dns] or [shown.subject or "no name"]
    kind = "root " if shown.is_self_issued else "authority " if shown.is_authority else ""
    over = shown.not_after <= now
    return (
        str(number),
        f"{kind}{', '.join(names)}",
        f"{_moment(shown.not_before)} to {_moment(shown.not_after)}",
        Text(_when(shown.not_after, now), style="red" if over else ""),
        shown.key,
        shown.serial,
    )


def _show_findings(report: Report, console: Console) -> None:
    findings = report.all_findings
    order = (Weight.NOTE, Weight.WARNING, Weight.REFUSED)
    for finding in sorted(findings, key=lambda each: order.index(each.weight)):
        console.print(*_lines(finding), sep="\n")
    if not findings:
        console.print(Text("\nnothing here would be refused", style="green"))
    elif report.is_healthy:
        console.print("\nnothing that was looked at would be refused")


def _lines(finding: Finding) -> Iterator[Text]:
    line = Text(f"\n{finding.weight}: ", style=STYLES[finding.weight])
    yield line.append(f"{finding.text} ({finding.code})", style="default")
    yield Text(f"  {finding.remedy}")


def _moment(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _when(moment: float, now: float) -> str:
    span = _span(abs(moment - now))
    return f"in {span}" if moment > now else f"{span} ago"


def _span(seconds: float) -> str:
    """``2 h 5 min``: the largest unit and the next."""
    left, units = int(seconds), (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    for place, (name, size) in enumerate(units):
        if left >= size:
            text = f"{left // size} {name}"
            if place + 1 < len(units) and (rest := left % size // units[place + 1][1]):
                text += f" {rest} {units[place + 1][0]}"
            return text
    return "0 s"


def _offset(clock: Clock) -> str:
    if abs(clock.offset) < 1:
        return "as ours, within a second"
    side = "behind" if clock.offset > 0 else "ahead of"
    return f"{abs(clock.offset):.0f} s {side} ours"
