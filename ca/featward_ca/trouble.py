"""What somebody has to do something about, in the words that `featward ca status` shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Trouble:
    """Something to do. `due`: by when, in Unix seconds; 0: now."""

    code: str
    text: str
    remedy: str
    due: float = 0.0
