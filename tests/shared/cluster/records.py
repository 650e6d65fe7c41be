"""What a CA has on record, read from its store while it runs."""

import json
import sys
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from cluster.release import Release
from featward_ca.store.audit import Outcome

__all__ = ["Entry", "Records", "records"]

# Inside of the box: SQLite follows links itself, and so finds no way there.
_READ = """
import json, sqlite3, sys
columns = "time, kind, outcome, coalesce(subject, ''), coalesce(authority, '')"
with sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True) as store:
    json.dump(store.execute(f"SELECT {columns} FROM audit ORDER BY id").fetchall(), sys.stdout)
"""


class Entry(NamedTuple):
    """Of a row of the audit table, what is asked about here."""

    time: float
    kind: str
    outcome: str
    subject: str
    authority: str


@dataclass(frozen=True)
class Records:
    """The audit table of one environment at one moment."""

    entries: list[Entry]

    def changes(self, owner: str) -> Counter[tuple[str, str]]:
        """How often an owner's authorities were changed, by the kind of change and the authority's id."""
        return Counter(
            (one.kind, one.authority)
            for one in self.entries
            if one.kind.endswith("-authority") and one.subject.endswith(f" of {owner}")
        )

    def made(self, owner: str) -> int:
        """How many of an owner's authorities have ever signed."""
        return sum(
            n for (kind, _), n in self.changes(owner).items() if kind == "activate-authority"
        )

    def signers(self, path: str, since: float = 0.0) -> set[str]:
        """The authorities that have signed for identities below a path, such as `/bu/risk/`."""
        return {one.authority for one in self._signed(path, since)}

    def signed(self, path: str, since: float) -> int:
        """How many certificates were signed for identities below a path since then."""
        return len(self._signed(path, since))

    def asked(self, kind: str = "rotate") -> int:
        """How often this was asked of the CA, done or not."""
        return sum(one.kind == kind and one.outcome == Outcome.ASKED for one in self.entries)

    def _signed(self, path: str, since: float) -> list[Entry]:
        return [
            one
            for one in self.entries
            if one.outcome == Outcome.SIGNED and path in one.subject and one.time >= since
        ]


def records(release: Release, environment: str) -> Records:
    """As they are now."""
    file = str(release.store(environment))
    found = json.loads(release.cluster.box.run(sys.executable, "-c", _READ, file))
    return Records([Entry(*row) for row in found])
