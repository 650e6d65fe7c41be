"""Every change of state that there is, against every one that there might be."""

import itertools

import pytest

from featward_ca.errors import IllegalTransitionError
from featward_ca.rotation.states import (
    ANNOUNCED,
    OPEN,
    TRANSITIONS,
    Action,
    Kind,
    Progress,
    State,
    Step,
    after,
    check_progress,
    step_after,
)

# Written down a second time, as design and operators' manual tell it: from, how, to.
LEGAL = """
    -          request     requested
    requested  sign        prepared
    prepared   activate    active
    active     replace     old
    old        taint       tainted
    active     compromise  tainted
    tainted    revoke      revoked
    prepared   expire      expired
    active     expire      expired
    old        expire      expired
    tainted    expire      expired
    expired    retire      retired
    requested  cancel      retired
    prepared   cancel      retired
"""
TOLD = {
    (before, action): then for before, action, then in map(str.split, LEGAL.strip().splitlines())
}
STATES: list[State | None] = [None, *State]


@pytest.mark.parametrize(("state", "action"), list(itertools.product(STATES, Action)))
def test_an_action_leads_where_the_table_says_or_is_refused(
    state: State | None, action: Action
) -> None:
    expected = TOLD.get((state or "-", str(action)))
    if expected is None:
        with pytest.raises(IllegalTransitionError, match=f"^{action} is for an authority that is"):
            after(state, action)
    else:
        assert after(state, action) == expected


def test_a_refusal_says_what_the_action_is_for_and_what_this_authority_is() -> None:
    with pytest.raises(IllegalTransitionError) as refused:
        after(State.REVOKED, Action.CANCEL)
    assert str(refused.value) == (
        "cancel is for an authority that is requested or prepared, and this one is revoked"
    )


def test_every_authority_comes_to_an_end_and_none_comes_back() -> None:
    ends = {State.REVOKED, State.RETIRED}
    assert {before for before, _ in TRANSITIONS} == {None, *State} - ends
    reached: set[State | None] = {None}
    for _ in State:
        reached |= {then for (before, _), then in TRANSITIONS.items() if before in reached}
    assert reached == {None, *State}


def test_whoever_may_hold_a_chain_to_it_is_still_told_of_it() -> None:
    assert frozenset(State) - ANNOUNCED == {State.REQUESTED, State.REVOKED, State.RETIRED}


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        (Kind.SCHEDULED, "request prepare activate done"),
        (Kind.MANUAL, "request prepare activate taint revoke done"),
        (Kind.ROOT, "request prepare activate taint revoke done"),
        (Kind.COMPROMISE, "request prepare activate revoke done"),
    ],
)
def test_a_rotation_takes_the_steps_of_its_kind(kind: Kind, steps: str) -> None:
    taken = [Step.REQUEST]
    while taken[-1] is not Step.DONE:
        taken.append(step_after(kind, taken[-1]))
    assert taken == steps.split()
    for other in set(Step) - set(taken) | {Step.DONE}:
        with pytest.raises(IllegalTransitionError):
            step_after(kind, other)


MAY_BECOME = {
    "running": "blocked paused done cancelled",
    "blocked": "running paused cancelled",
    "paused": "running cancelled",
    "done": "",
    "cancelled": "",
}


@pytest.mark.parametrize(("before", "then"), list(itertools.product(Progress, Progress)))
def test_a_rotation_that_is_over_stays_so(before: Progress, then: Progress) -> None:
    if then in MAY_BECOME[before].split():
        check_progress(before, then)
        assert before in OPEN
    else:
        with pytest.raises(IllegalTransitionError, match=f"is {before} does not become {then}"):
            check_progress(before, then)
