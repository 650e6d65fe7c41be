"""`featward init`: a first set of manifests, with comments, that passes `featward check` as it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from featward.cli.console import console, fail

__all__ = ["init"]

# So that the first binding holds long enough to be tried, and runs out if it is forgotten.
_LIFE = timedelta(days=90)


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to write to.", metavar="DIR")] = Path(
        "manifests"
    ),
) -> None:
    """Write a first set of manifests, with comments. Existing files are never overwritten."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            fail(f"{folder} is not empty, and nothing in it is overwritten: name another folder")
        for name, text in _starters():
            (folder / name).write_text(text, "utf-8")
            console.print(f"wrote {folder / name}", markup=False)
    except OSError as error:
        fail(f"{folder} can't be written to: {error.strerror}; name another folder")
    console.print(
        f"\nNow change them to what you have, and run: featward check {folder}", markup=False
    )


def _starters() -> list[tuple[str, str]]:
    day = (datetime.now(UTC).date() + _LIFE).isoformat()
    starter = files("featward.manifests") / "starter"
    found = [entry for entry in starter.iterdir() if entry.name.endswith(".yaml")]
    return [
        (entry.name, entry.read_text("utf-8").replace("@day@", day))
        for entry in sorted(found, key=str)
    ]
