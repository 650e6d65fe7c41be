"""Words of the status that several parts of it use: spans, counts, and what others wrote."""

from rich.text import Text

__all__ = ["ago", "count", "span", "verbatim"]


def span(seconds: float) -> str:
    """A length of time in its two largest units: ``2 h 5 min``."""
    left = int(abs(seconds))
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    for place, (name, size) in enumerate(units):
        if left >= size:
            text = f"{left // size} {name}"
            if place + 1 < len(units) and (rest := left % size // units[place + 1][1]):
                text += f" {rest} {units[place + 1][0]}"
            return text
    return "0 s"


def ago(then: float, now: float) -> str:
    return f"in {span(then - now)}" if then > now else f"{span(now - then)} ago"


def count(number: int, thing: str) -> str:
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"


def verbatim(text: str) -> Text:
    """Words that callers or manifests chose: no markup is read in them, and none of them moves the cursor."""
    return Text("".join(letter if letter.isprintable() else "?" for letter in text))
