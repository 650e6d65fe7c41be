"""Ten thousand clients in the way fill neither the tables that only grow nor a message."""

import io

from rich.console import Console

from featward_ca import report
from featward_ca.rotation.known import Blocker, BlockerKind, Known
from featward_ca.rotation.losses import listed
from featward_ca.rotation.orders import Answer
from featward_ca.service.admin.messages import step_response

MANY = 12_000


def test_a_row_names_some_and_counts_the_others() -> None:
    assert listed(["a", "b"]) == "a; b"
    row = listed([f"client {number}" for number in range(MANY)])
    assert row.startswith("client 0; client 1; ")
    assert row.endswith("; client 99; and 11900 more")


def test_an_answer_lists_some_and_counts_the_others() -> None:
    texts = tuple(f"{number} {'x' * 300}" for number in range(MANY))
    blockers = tuple(Blocker(BlockerKind.CLIENT, text, text) for text in texts)
    answer = step_response(Answer(blockers=blockers, breaks=texts), Known(0.0, 300.0), {})
    assert (len(answer.blockers), answer.blockers_left_out) == (1000, 11_000)
    assert (len(answer.breaks), answer.breaks_left_out) == (1000, 11_000)
    # What gRPC takes by default.
    assert answer.ByteSize() < 4 * 1024 * 1024
    shown = io.StringIO()
    report.step(answer, Console(file=shown, width=400), 0.0)
    assert "12000 in the way:" in shown.getvalue()
    assert shown.getvalue().count("and 11000 more") == 2
