"""Shows the outcome of ``featward import feast --check``, to people and to programs."""

import json
from collections.abc import Sequence

from rich.markup import escape

from featward.cli.console import console
from featward.feast.comparison import Change

__all__ = ["changes_as_json", "print_changes"]


def changes_as_json(changes: Sequence[Change]) -> str:
    """One object; ``drifts`` says whether the command ends with 1."""
    return json.dumps(
        {
            "drifts": any(change.drifts for change in changes),
            "changes": [
                {
                    "kind": str(change.kind),
                    "name": change.name,
                    "detail": change.detail,
                    "bindings": list(change.bindings),
                    "identities": list(change.identities),
                }
                for change in changes
            ],
        },
        indent=2,
    )


def print_changes(changes: Sequence[Change]) -> None:
    """A few lines for each change, never cut, since names are what they are about."""
    if not changes:
        console.print("The manifests say what Feast serves.")
    for change in changes:
        console.print(f"[bold]{change.kind}[/] {escape(change.name)}: {escape(change.detail)}")
        for binding in change.bindings:
            console.print(f"    touches binding {escape(binding)}")
        for identity in change.identities:
            console.print(f"    and so {escape(identity)}")
