"""The effective configuration as a person reads it: each key with its value, defaults included."""

from dataclasses import fields, is_dataclass

from featward_sidecar.configuration import Configuration
from featward_sidecar.settings import SETTINGS

__all__ = ["as_text"]


def as_text(configuration: Configuration) -> str:
    """One line for each setting, `key: value`, in the order of `SETTINGS`."""
    lines = []
    for setting in SETTINGS:
        value = _at(configuration, setting.target)
        lines.append(f"{setting.key + ':':32} {_shown(value)}")
    return "\n".join(lines)


def _at(configuration: Configuration, target: str) -> object:
    value: object = configuration
    for name in target.split("."):
        value = getattr(value, name) if value is not None else None
    return value


def _shown(value: object) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, tuple):
        return ", ".join(_shown(each) for each in value)
    if is_dataclass(value):
        first, *rest = (getattr(value, field.name) for field in fields(value))
        return f"{first} at {', '.join(str(each) for each in rest if each is not None)}"
    return str(value).lower() if isinstance(value, bool) else str(value)
