"""The tour of `featward demo`, step by step."""

import pytest

from featward_demo.stack import DRIVERS, Stack
from featward_demo.tour import STEPS, Outcome, tour


@pytest.fixture(scope="module")
def outcomes(stack: Stack) -> list[Outcome]:
    """What every step saw; the tour begins with prod in observe."""
    stack.switch(DRIVERS, "observe", unidentified=True)
    return list(tour(stack))


@pytest.mark.parametrize("number", range(1, len(STEPS) + 1), ids=[step.title for step in STEPS])
def test_a_step_behaves(outcomes: list[Outcome], number: int) -> None:
    seen = outcomes[number - 1].seen
    assert seen.behaved, f"{seen.tried}: {seen.came_back}"
