"""Writes the chart's README.md: what stands above its table by hand, and the table out of values.yaml.

The comment `# --` above a key is its meaning. Run by `make docs`:

    python charts/readme.py charts/featward
"""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Value", "readme", "values"]

MARK = "<!-- The table below is made of values.yaml by `make docs`. -->"
_KEY = re.compile(r"^( *)([A-Za-z]+):")
_INDENT = 2


@dataclass(frozen=True)
class Value:
    """A key that users may set: its path with dots, its default, and what it means."""

    path: str
    default: Any
    meaning: str


def values(text: str) -> Iterator[Value]:
    """Every key of values.yaml with a comment of its own, in its order."""
    defaults = yaml.safe_load(text)
    path: list[str] = []
    meaning = ""
    for line in text.splitlines():
        if line.lstrip().startswith("# -- "):
            meaning = line.lstrip().removeprefix("# -- ")
        elif found := _KEY.match(line):
            path = [*path[: len(found[1]) // _INDENT], found[2]]
            if meaning:
                yield Value(".".join(path), _at(defaults, path), meaning)
                meaning = ""


def readme(head: str, text: str) -> str:
    """The whole page, of what stands above its table now and of values.yaml."""
    above = head.partition(MARK)[0].rstrip()
    lines = [above, "", MARK, "", "| value | default | meaning |", "|---|---|---|"]
    for one in values(text):
        default = json.dumps(one.default).replace("|", "\\|")
        lines.append(f"| `{_shown(one.path)}` | `{default}` | {one.meaning} |")
    return "\n".join([*lines, ""])


def _shown(path: str) -> str:
    """Defaults of environments are read as what each of them may say."""
    return re.sub(r"^environmentDefaults\.", "environments[].", path)


def _at(defaults: Any, path: list[str]) -> Any:
    for key in path:
        defaults = defaults[key]
    return defaults


def main(folder: Path) -> None:
    """Write the page anew."""
    page = folder / "README.md"
    page.write_text(readme(page.read_text("utf-8"), (folder / "values.yaml").read_text("utf-8")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
