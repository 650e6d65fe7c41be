"""Writes manifests as the YAML that a person would have written, so that a diff of it can be reviewed."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

from featward.manifests.document import AnyModel
from featward.strictyaml import is_plain_text

__all__ = ["dump", "dump_all"]


def dump(model: AnyModel) -> str:
    """One document, in the order of the models; defaults are left out. Reading it gives it back."""
    value = model.model_dump(by_alias=True, exclude_defaults=True, exclude_none=True, mode="json")
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=_WIDTH,
        default_flow_style=False,
    )


def dump_all(models: Iterable[AnyModel]) -> str:
    """Several documents in one text."""
    return "---\n".join(dump(model) for model in models)


class _Dumper(yaml.SafeDumper):
    """Short mappings on one line, lists indented below their key, double quotes where quotes are needed."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def represent_mapping(
        self, tag: str, mapping: Any, flow_style: bool | None = None
    ) -> yaml.MappingNode:
        short = (
            all(isinstance(value, (str, int)) for value in mapping.values())
            and _width(mapping) <= _SHORT
        )
        return super().represent_mapping(tag, mapping, flow_style=short)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    node = dumper.represent_str(text)
    # What every reader takes for text and is a plain word needs no quotes, for us and for kubectl alike.
    resolve: Any = dumper.resolve
    resolved = resolve(yaml.ScalarNode, text, (True, False))
    if resolved != "tag:yaml.org,2002:str" or not is_plain_text(text) or not _PLAIN.fullmatch(text):
        node.style = '"'
    return node


def _width(mapping: dict[str, Any]) -> int:
    return sum(len(key) + len(str(value)) + 4 for key, value in mapping.items())


_WIDTH = 120
_SHORT = 100
# Words and host names; numbers with dots are versions mostly, and quoted as the reference shows them.
_PLAIN = re.compile(r"(?![0-9.]+$)[A-Za-z0-9_/][A-Za-z0-9_./@+-]*( [A-Za-z0-9_./@+-]+)*")
_Dumper.add_representer(str, _text)
