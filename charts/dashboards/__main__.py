"""Writes them: `python -m dashboards charts/featward/files/dashboards`.

Each is a list of panels here and 300 lines of JSON there. `make docs` calls it, and tests hold the files to
this and every expression to the series that there are.
"""

import sys
from pathlib import Path

from dashboards import ca, operator, sidecars
from dashboards.panels import Dashboard
from dashboards.writing import text_of

__all__ = ["DASHBOARDS"]

DASHBOARDS = (
    Dashboard("ca", "featward: CA", ca.PANELS),
    Dashboard("sidecars", "featward: sidecars", sidecars.PANELS),
    Dashboard("operator", "featward: operator", operator.PANELS),
)


def main(folder: Path) -> None:
    """Write them anew."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in DASHBOARDS:
        (folder / f"{one.name}.json").write_text(text_of(one))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
