"""Amounts of CPU and memory as Kubernetes writes them: one spelling for each, which its server leaves alone.

A server that spells an amount anew would make each pod look changed when the webhook is called again.
"""

import re

__all__ = ["cpu", "cpu_amount", "memory", "memory_amount"]

_CPU = re.compile(r"(?P<whole>[0-9]{1,6})(\.(?P<part>[0-9]{1,3}))?|(?P<milli>[0-9]{1,9})m")
_MEMORY = re.compile("(?P<number>[0-9]{1,15})(?P<unit>k|M|G|T|Ki|Mi|Gi|Ti)?")
_BINARY = ("Ki", "Mi", "Gi", "Ti")
_DECIMAL = ("k", "M", "G", "T")
_MOST_CPU = 256_000
_LEAST_MEMORY = 32 * 1024**2


def cpu_amount(text: str) -> int:
    """In thousandths. Raises ValueError with what was expected."""
    found = _CPU.fullmatch(text)
    if found and found["milli"]:
        amount = int(found["milli"])
    else:
        amount = (
            int(found["whole"]) * 1000 + int((found["part"] or "").ljust(3, "0")) if found else 0
        )
    if not 1 <= amount <= _MOST_CPU:
        raise ValueError("an amount of CPU, such as 100m or 2")
    return amount


def cpu(text: str) -> str:
    """``0.5`` is ``500m``. Raises ValueError with what was expected."""
    whole, rest = divmod(cpu_amount(text), 1000)
    return str(whole) if not rest else f"{whole * 1000 + rest}m"


def memory_amount(text: str) -> int:
    """In bytes. Raises ValueError with what was expected."""
    found = _MEMORY.fullmatch(text)
    amount = int(found["number"]) * _size(found["unit"]) if found else 0
    if amount < _LEAST_MEMORY:
        raise ValueError("an amount of memory of at least 32Mi, such as 128Mi")
    return amount


def memory(text: str) -> str:
    """``1024Mi`` is ``1Gi``. Raises ValueError with what was expected."""
    amount = memory_amount(text)
    units, base = (_BINARY, 1024) if text.endswith("i") else (_DECIMAL, 1000)
    unit = ""
    for larger in units:
        if amount % base:
            break
        amount, unit = amount // base, larger
    return f"{amount}{unit}"


def _size(unit: str | None) -> int:
    if unit is None:
        return 1
    units, base = (_BINARY, 1024) if unit in _BINARY else (_DECIMAL, 1000)
    return int(base ** (units.index(unit) + 1))
