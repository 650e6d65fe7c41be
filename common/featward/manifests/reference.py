"""Writes the reference page of the manifests from the models: `python -m featward.manifests.reference`.

The models hold every word of it, so that the page can't promise what they don't read. `make docs` puts it into
docs/manifests.md, and a test fails while the two differ.
"""

import sys
from collections.abc import Iterator
from importlib.resources import files
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from featward.manifests.document import CLUSTER_KINDS, KINDS
from featward.manifests.findings import CODES
from featward.manifests.model import API_VERSION
from featward.manifests.text import EXPECTED

__all__ = ["page", "table"]

_INTRODUCTION = f"""\
# Manifests

This page is generated from the models by `make docs`; change those.

What people write: YAML of the API group `{API_VERSION}`, the same on Kubernetes and in a folder. Read are all
files of a folder and those below it that end in `.yaml` or `.yml`, hidden ones left out, with any number of
documents in a file. `featward check DIR` reports everything that is wrong with them.

Values are read by the JSON schema of YAML 1.2: text, whole numbers, `true`, `false`. What YAML readers disagree
on is refused: plain `yes`, `on`, `~`, `017` and the like, tags, anchors, merge keys, a key given twice. So is a
key that is not on this page: what a key says is enforced, or the key does not exist.

[Kinds on Kubernetes](kinds.md) says what else there is to them in a cluster: short names, columns, status,
and who refuses what.
"""


def page() -> str:
    """The whole page."""
    kinds = (_kind(name, model) for name, model in CLUSTER_KINDS.items())
    sections = [_INTRODUCTION, *kinds, _codes()]
    return "\n".join(sections)


def _kind(name: str, model: type[BaseModel]) -> str:
    example = f"```yaml\n{_example(name)}```"
    where = "" if name in KINDS else "Only in a cluster; a folder that holds one is refused.\n\n"
    return f"## {name}\n\n{_doc(model)}\n\n{where}{example}\n\n{table(model)}"


def table(model: type[BaseModel], prefix: str = "") -> str:
    """A row for every key of a model, below a prefix."""
    rows = "".join(_row(path, info) for path, info in _fields(model, prefix))
    return f"| key | value | default | meaning |\n|---|---|---|---|\n{rows}"


# Of kinds that `featward init` does not write, because a first folder needs none.
_EXAMPLES = {
    "GrantApproval": """\
apiVersion: featward.dev/v1alpha1
kind: GrantApproval
metadata: {name: pricing-scoring}
spec:
  binding: {namespace: pricing, name: scoring}
  bindingDigest: "sha256:a6100286932d2bd8d6601617e74c722226e3ed96243e585c278fca29265c937a"
  businessUnit: prod.payments
  reason: agreed with risk for a year
  expires: "@day@"
""",
    "Override": """\
apiVersion: featward.dev/v1alpha1
kind: Override
metadata: {name: scoring-incident}
spec:
  action: relax
  target: {featureSet: {namespace: pricing, name: driver-stats}}
  reason: scoring is refused since the release of noon
  expires: "2026-11-23T18:00:00Z"
""",
}


def _example(kind: str) -> str:
    """The first document of the kind in what `featward init` writes, without the comments above it."""
    if kind in _EXAMPLES:
        return _EXAMPLES[kind].replace("@day@", "2027-03-31")
    folder = files("featward.manifests") / "starter"
    texts = (
        folder.joinpath(name).read_text("utf-8") for name in ("platform.yaml", "driver-stats.yaml")
    )
    documents = (document for text in texts for document in text.split("---\n"))
    text = next(document for document in documents if f"\nkind: {kind}\n" in document)
    return text[text.index("apiVersion:") :].replace("@day@", "2027-03-31")


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    """Each field with its path, then what is inside it."""
    for name, info in model.model_fields.items():
        path = f"{prefix}{info.alias or name}"
        inner, is_list = _inner(info.annotation)
        yield path, info
        if inner is not None:
            yield from _fields(inner, f"{path}[]." if is_list else f"{path}.")


def _row(path: str, info: FieldInfo) -> str:
    cells = (f"`{path}`", _value(info), _default(info), info.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _value(info: FieldInfo) -> str:
    return _type(info.annotation, list(info.metadata))


def _type(annotation: Any, metadata: list[Any]) -> str:
    """A few words on what may stand there."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0], list(arguments[1:]))
    if origin in (Union, UnionType):
        return _type(next(part for part in arguments if part is not type(None)), metadata)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0], [])}{_most(metadata)}"
    if annotation is str:
        return _expected(metadata) or "text"
    if annotation is int:
        return f"whole number{_bounds(metadata)}"
    names = {bool: "`true` or `false`"}
    return names.get(annotation, "mapping")


def _expected(metadata: list[Any]) -> str | None:
    patterns = (getattr(one, "pattern", None) for one in metadata)
    return next((EXPECTED[pattern] for pattern in patterns if pattern in EXPECTED), None)


def _bounds(metadata: list[Any]) -> str:
    low = next((one.ge for one in metadata if getattr(one, "ge", None) is not None), None)
    high = next((one.le for one in metadata if getattr(one, "le", None) is not None), None)
    return f", {low} to {high}" if low is not None and high is not None else ""


def _most(metadata: list[Any]) -> str:
    """How many there may be; the grammar of an item has commas of its own."""
    most = next((one.max_length for one in metadata if hasattr(one, "max_length")), None)
    return f" (at most {most})" if most else ""


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    default = info.default
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`" if isinstance(default, (str, int)) else ""


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model inside an annotation, and whether there is a list of it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    if origin is tuple:
        return _inner(arguments[0])[0], True
    if origin in (Union, UnionType, Annotated):
        found = (_inner(part) for part in arguments)
        return next((one for one in found if one[0] is not None), (None, False))
    return None, False


def _doc(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _codes() -> str:
    rows = "".join(
        f"| `{name}` | {code.severity} | {'yes' if code.blocks else 'no'} | {code.meaning} |\n"
        for name, code in CODES.items()
    )
    return (
        "## What check finds\n\nWhile something that blocks stands, no policy is made of the folder, and "
        "sidecars keep the last good one.\n\n| code | severity | blocks | meaning |\n|---|---|---|---|\n"
        + rows
    )


if __name__ == "__main__":
    sys.stdout.write(page())
