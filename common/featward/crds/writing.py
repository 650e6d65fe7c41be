"""The definitions as YAML files, one each, as the chart has them."""

from pathlib import Path

import yaml

from featward.crds.definitions import KINDS, definition, names_of

__all__ = ["documents", "write"]

_HEAD = "# Made from the models by `make docs`; change those.\n"
_WIDTH = 112


def documents() -> dict[str, str]:
    """The text of each file by its name."""
    return {f"{names_of(kind).plural}.yaml": _HEAD + _text(kind) for kind in KINDS}


def write(folder: Path) -> None:
    """Put them into a folder. What was made there of kinds that are no more goes; other people's files stay."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = documents()
    for old in folder.glob("*.yaml"):
        if old.name not in texts and old.read_text("utf-8").startswith(_HEAD):
            old.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")


def _text(kind: str) -> str:
    return yaml.dump(
        definition(kind), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH
    )


class _Dumper(yaml.SafeDumper):
    """Lists indented below their key, and no aliases, which would not be read as they are meant."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True
