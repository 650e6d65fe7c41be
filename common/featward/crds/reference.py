"""Writes the page about the kinds on Kubernetes: `python -m featward.crds.reference`.

`make docs` puts it into docs/kinds.md, and a test fails while the two differ. What the keys of a spec mean is
on the page of the manifests, which are the same everywhere.
"""

import sys
from enum import StrEnum

from featward.crds.columns import COLUMNS
from featward.crds.definitions import KINDS, definition, names_of
from featward.crds.status import STATUS, Status
from featward.manifests.document import CLUSTER_KINDS
from featward.manifests.findings import CODES
from featward.manifests.labels import (
    INJECTION_LABEL,
    PROTECTION_LABEL,
    ROTATE_REQUESTED_AT,
    ROTATION,
)
from featward.manifests.model import BUSINESS_UNIT_LABEL
from featward.manifests.reference import table

__all__ = ["Judge", "judge_of", "page"]


class Judge(StrEnum):
    """Who reports a finding where the manifests are objects of a cluster."""

    NOBODY = "does not arise: objects are not files"
    SERVER = "the API server, by refusing the object"
    OPERATOR = "the operator, in the object's status"


_OF_FILES = frozenset(
    {
        "ambiguous-scalar",
        "duplicate-key",
        "key-not-text",
        "no-documents",
        "not-utf8",
        "number-out-of-range",
        "too-deep",
        "unreadable-file",
        "yaml-anchor",
        "yaml-merge-key",
        "yaml-syntax",
        "yaml-tag",
    }
)
_OF_ONE_OBJECT = frozenset(
    {
        "empty-value",
        "invalid-value",
        "missing-key",
        "not-a-mapping",
        "unknown-key",
        "unknown-kind",
        "wrong-type",
    }
)

_INTRODUCTION = """\
# Kinds on Kubernetes

This page is generated from the models by `make docs`; change those.

On Kubernetes the [manifests](manifests.md) are objects of the API group `featward.dev`, version `v1alpha1`:
the same YAML as in a folder. Their definitions (CRDs) are made from the models that `featward check` uses, so
a server refuses what `check` refuses in one document, when you apply it.

The definitions are in `charts/featward/files/crds`, a file each. They say that Helm leaves them when a chart
with them is removed, because with them all of their objects would go. By hand, and again at each upgrade:

```
kubectl apply --server-side -f charts/featward/files/crds
```

`kubectl get featward -A` prints all objects of all kinds, `kubectl explain fset.spec.serving` says what a key
means.
"""

_REFUSED = """\
## Who refuses what

A server judges one object, by its grammar, its bounds and its rules, the second of a name in a list among
them. It also judges an edit against what was there:

- the `trustDomain` of an Environment never changes, because it is part of every identity in it;
- an Override never changes once it is made: delete it and make another.

It gives no defaults: a key that you leave out stays left out, and means what the manifests' page says.

What it can't know:

- **A misspelt key is refused only if the client asks for that.** `kubectl apply` does by itself. A client
  that asks for `fieldValidation=Ignore` or `Warn` has unknown keys dropped in silence, and afterwards nothing
  can see that they were there. Let your pipeline use `kubectl apply`, and `featward check` before it.
- A key without a value (`limits:`) counts as left out. In a file it is an `empty-value`.
- Of `version` and `featureSet.version` it judges the letters only, and so of the SPIFFE IDs of subjects.
  Whether they are versions, ranges and identities, the operator says in the object's status.
- Objects above about 1.5 MB fit into no server, whatever their lists may hold.
- What is between objects, or depends on the day, the operator says in their status, by the codes of `check`:
"""

_LABELS_HEAD = """\
## Labels and annotations

What the operator reads on objects besides their spec. In a folder any other key of `featward.dev/` is
refused; on an object of a cluster it is the warning `unknown-label`, for other people's hands write there too.
"""
_OWNERS = "Environment, BusinessUnit"
_LABELS = (
    (
        "Namespace",
        "label",
        BUSINESS_UNIT_LABEL,
        "`prod.payments`",
        "The business unit, and with it the environment, that the namespace belongs to.",
    ),
    (
        "Namespace",
        "label",
        INJECTION_LABEL,
        "`enabled`",
        "Pods of the namespace may ask for a sidecar by annotation, too.",
    ),
    (
        "Namespace",
        "label",
        PROTECTION_LABEL,
        "`suspended`",
        "Pods of the namespace come up without a sidecar, whatever they ask for.",
    ),
    (
        _OWNERS,
        "annotation",
        ROTATE_REQUESTED_AT,
        "a moment, such as `2026-11-23T18:00:00Z`",
        "Replace the authority now; each new moment once.",
    ),
    (_OWNERS, "annotation", ROTATION, "`paused`", "Take no step of a rotation while it is there."),
)

_STATUS = """\
## Status

Written by the operator alone. A counter that is missing is not known; 0 is known to be none. Lists of what
was seen hold the newest 32.
"""


def judge_of(code: str) -> Judge:
    """Who reports a finding of this code in a cluster."""
    if code in _OF_FILES:
        return Judge.NOBODY
    return Judge.SERVER if code in _OF_ONE_OBJECT else Judge.OPERATOR


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            _INTRODUCTION,
            _names(),
            _REFUSED,
            _judges(),
            _labels(),
            _columns(),
            _STATUS,
            *_statuses(),
        ]
    )


def _names() -> str:
    titles = ("kind", "resource", "short", "lives in", "selectable fields")
    head = f"## Names\n\n| {' | '.join(titles)} |\n|---|---|---|---|---|\n"
    return head + "".join(_name_row(kind) for kind in KINDS)


def _name_row(kind: str) -> str:
    names = names_of(kind)
    (version,) = definition(kind)["spec"]["versions"]
    selectable = (one["jsonPath"].lstrip(".") for one in version.get("selectableFields", ()))
    cells = (
        f"[{kind}](manifests.md#{kind.lower()})",
        f"`{names.plural}`",
        f"`{names.short}`",
        "a namespace" if names.namespaced else "the cluster",
        ", ".join(f"`{path}`" for path in selectable),
    )
    return f"| {' | '.join(cells)} |\n"


def _judges() -> str:
    rows = []
    for judge in Judge:
        codes = ", ".join(f"`{code}`" for code in CODES if judge_of(code) is judge)
        rows.append(f"| {judge} | {codes} |\n")
    return "| who says it in a cluster | codes of `check` |\n|---|---|\n" + "".join(rows)


def _labels() -> str:
    rows = "".join(
        f"| {on} | {group} | `{key}` | {value} | {meaning} |\n"
        for on, group, key, value, meaning in _LABELS
    )
    return f"{_LABELS_HEAD}\n| on | as | key | value | meaning |\n|---|---|---|---|---|\n{rows}"


def _columns() -> str:
    rows = []
    for kind in KINDS:
        narrow = ", ".join(one.name for one in COLUMNS[kind] if not one.wide)
        wide = ", ".join(one.name for one in COLUMNS[kind] if one.wide)
        rows.append(f"| `{names_of(kind).short}` | {narrow} | {wide} |\n")
    head = "## Columns\n\n| kind | `kubectl get` | and with `-o wide` |\n|---|---|---|\n"
    return head + "".join(rows)


def _statuses() -> list[str]:
    """What all say first; kinds that say the same besides share a section."""
    common = table(Status, "status.")
    sections = [f"### Of every kind\n\n{common}"]
    of: dict[type[Status], list[str]] = {}
    for kind in KINDS:
        of.setdefault(STATUS[kind], []).append(kind)
    head = common.splitlines(keepends=True)[:2]
    for status, kinds in of.items():
        lines = table(status, "status.").splitlines(keepends=True)
        own = [line for line in lines if line not in common]
        if own:
            sections.append(f"### Of {' and '.join(kinds)}\n\n{''.join([*head, *own])}")
    return sections


if __name__ == "__main__":
    missing = CLUSTER_KINDS.keys() - {*KINDS, "Namespace"}
    if missing:
        sys.exit(f"no CRD for {', '.join(sorted(missing))}: add it to featward.crds.definitions")
    sys.stdout.write(page())
