"""What the demo says while it takes long, where there is no terminal."""

import io
import threading

from rich.console import Console

from featward_demo.progress import progress


class Written(io.StringIO):
    """Tells when a line with a word was written."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self._word = word
        self.seen = threading.Event()

    def write(self, text: str) -> int:
        count = super().write(text)
        if self._word in self.getvalue():
            self.seen.set()
        return count


def test_a_phase_is_one_plain_line_and_its_details_are_not() -> None:
    to = io.StringIO()
    with progress(Console(file=to)) as tell:
        for what in ("installing: one", "installing: [two]", "starting", "", "starting"):
            tell(what)
    assert to.getvalue().splitlines() == ["installing: one ...", "starting ...", "starting ..."]


def test_what_lasts_is_said_again_with_its_latest_detail() -> None:
    to = Written("still installing: [two] ...")
    with progress(Console(file=to), still=0.05) as tell:
        tell("installing: one")
        tell("installing: [two]")
        assert to.seen.wait(20)


def test_on_a_terminal_no_lines_are_left() -> None:
    to = io.StringIO()
    with progress(Console(file=to, force_terminal=True), still=0.01) as tell:
        tell("starting [it]")
    assert "..." not in to.getvalue()
