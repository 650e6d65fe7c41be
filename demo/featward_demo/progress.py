"""Says what the demo is doing while it takes long: by a spinner on a terminal, and in plain lines elsewhere.

A spinner shows nothing in a pipe or in CI, where a minute of silence looks like a program that hangs.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

__all__ = ["progress"]

# Long enough that lines are few, short enough that nobody gives up.
STILL_SECONDS = 15.0


@contextmanager
def progress(console: Console, still: float = STILL_SECONDS) -> Iterator[Callable[[str], None]]:
    """Give a function to call with what begins: ``phase`` or ``phase: detail``; an empty text ends a phase."""
    if console.is_terminal and not console.is_dumb_terminal:
        with console.status("") as status:
            yield lambda what: status.update(escape(what))
        return
    lines = _Lines(console, still)
    thread = threading.Thread(target=lines.repeat, daemon=True)
    thread.start()
    try:
        yield lines.tell
    finally:
        lines.end()
        thread.join()


class _Lines:
    """One line where a phase begins, and one whenever it has lasted `still` seconds more."""

    def __init__(self, console: Console, still: float) -> None:
        self._console = console
        self._still = still
        self._what = ""
        self._ended = False
        self._changed = threading.Condition()

    def tell(self, what: str) -> None:
        with self._changed:
            before, self._what = self._what, what
            # A detail is told when its turn to be repeated comes.
            if _phase(what) == _phase(before):
                return
            self._print(what)
            self._changed.notify()

    def repeat(self) -> None:
        """Until `end`."""
        with self._changed:
            while not self._ended:
                if not self._changed.wait(self._still):
                    self._print(f"still {self._what}" if self._what else "")

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()

    def _print(self, what: str) -> None:
        if what:
            self._console.print(f"{what} ...", markup=False)


def _phase(what: str) -> str:
    return what.partition(": ")[0]
