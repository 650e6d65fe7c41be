"""What is asked and said for one owner, by a clock of the test's own."""

import json
from dataclasses import replace
from typing import Any

from featward.authority.v1 import authority_pb2
from featward.crds.status import OwnerStatus
from featward_operator.rotation.blockers import sentences
from featward_operator.rotation.owner import Owner, owner_of
from featward_operator.rotation.plan import Command, Planned, plan
from featward_operator.rotation.speech import news, unheard
from featward_operator.rotation.standing import Standing, standing_of
from featward_operator.vocabulary import Reason

NOW = 1_795_435_200.0  # 2026-11-23T12:00:00Z
FIRST, SECOND = "2026-11-23T11:00:00Z", "2026-11-23T11:30:00Z"
ID = "spiffe://prod.acme.example/bu/payments/ns/pricing/sa/feast"


def an_owner(annotations: dict[str, str] | None = None, **status: Any) -> Owner:
    said = {f"featward.dev/{key}": value for key, value in (annotations or {}).items()}
    metadata = {"name": "prod.payments", "uid": "u", "generation": 3, "resourceVersion": "7"}
    raw = {
        "apiVersion": "featward.dev/v1alpha1",
        "kind": "BusinessUnit",
        "metadata": {**metadata, "annotations": said},
        "status": status,
    }
    return owner_of(raw)


def a_rotation(step: str = "activate", state: str = "running", **more: Any) -> Any:
    return authority_pb2.Rotation(
        id="r1", owner="prod.payments", step=step, state=state, step_since=NOW, **more
    )


def a_standing(generation: int = 1, rotation: Any = None, *, left: bool = False) -> Standing:
    return Standing("a", generation, NOW + 86_400, NOW + 3600, left, rotation)


def written(owner: Owner, planned: Planned) -> Owner:
    """The object after its status was written; it is one that the CRD takes."""
    OwnerStatus.model_validate_json(json.dumps({"conditions": (), **planned.status}), strict=False)
    annotations = {"rotate-requested-at": owner.requested_at} if owner.requested_at else {}
    if owner.paused:
        annotations["rotation"] = "paused"
    return an_owner(annotations, **planned.status)


def answer(planned: Planned, question: str = "Rotating") -> tuple[str, str]:
    (found,) = [one for one in planned.status["conditions"] if one["type"] == question]
    return found["status"], found["reason"]


def test_a_request_is_written_before_it_is_asked() -> None:
    owner = an_owner({"rotate-requested-at": FIRST})
    first = plan(owner, a_standing(4), NOW)
    assert first.command is None
    assert first.status["rotation"]["request"] == {"requestedAt": FIRST, "generation": 5}
    assert answer(first) == ("True", "Requested")
    second = plan(written(owner, first), a_standing(4), NOW)
    assert second.command == Command("rotate", generation=5)
    # The same however often it is looked at, until the CA has begun.
    assert plan(written(owner, second), a_standing(4), NOW).command == second.command


def test_a_request_ends_with_its_rotation_and_is_not_asked_again() -> None:
    owner = an_owner({"rotate-requested-at": FIRST})
    owner = written(owner, plan(owner, a_standing(), NOW))
    for step, generation in (("activate", 1), ("taint", 2), ("revoke", 2)):
        planned = plan(owner, a_standing(generation, a_rotation(step)), NOW)
        assert planned.command is None
        assert planned.under_way
        owner = written(owner, planned)
    planned = plan(owner, a_standing(2), NOW)
    assert planned.status["rotation"]["request"]["done"] is True
    assert planned.status["rotation"]["state"] == "done"
    assert planned.command is None
    assert not planned.under_way
    again = plan(written(owner, planned), a_standing(2), NOW)
    assert again.status == planned.status


def test_one_that_ended_between_two_looks_is_done() -> None:
    owner = an_owner({"rotate-requested-at": FIRST})
    owner = written(owner, plan(owner, a_standing(), NOW))
    owner = written(owner, plan(owner, a_standing(1, a_rotation("prepare")), NOW))
    planned = plan(owner, a_standing(2), NOW)
    assert planned.status["rotation"]["state"] == "done"
    assert planned.status["rotation"]["request"]["done"] is True


def test_a_rotation_under_way_is_the_one_that_is_asked_for_until_it_signs() -> None:
    before = an_owner({"rotate-requested-at": FIRST})
    planned = plan(before, a_standing(1, a_rotation("activate")), NOW)
    assert planned.status["rotation"]["request"]["generation"] == 2
    later = plan(before, a_standing(2, a_rotation("revoke")), NOW)
    assert later.status["rotation"]["request"]["generation"] == 3
    # And that one is asked for when the one under way is over.
    owner = written(before, later)
    assert plan(owner, a_standing(2, a_rotation("revoke")), NOW).command is None
    assert plan(owner, a_standing(2), NOW).command == Command("rotate", generation=3)


def test_what_is_given_up_at_the_ca_is_over_and_another_request_is_another() -> None:
    owner = an_owner({"rotate-requested-at": FIRST})
    owner = written(owner, plan(owner, a_standing(), NOW))
    owner = written(owner, plan(owner, a_standing(1, a_rotation("activate")), NOW))
    planned = plan(owner, a_standing(1), NOW)
    assert planned.command is None
    assert planned.status["rotation"]["state"] == "cancelled"
    assert planned.status["rotation"]["request"]["done"] is True
    assert answer(planned) == ("False", "Failed")
    owner = written(owner, planned)
    assert answer(plan(owner, a_standing(1), NOW)) == ("False", "Failed")
    asked = replace(owner, requested_at=SECOND)
    planned = plan(asked, a_standing(1), NOW)
    assert planned.status["rotation"]["request"] == {"requestedAt": SECOND, "generation": 2}
    owner = written(asked, planned)
    assert plan(owner, a_standing(1), NOW).command == Command("rotate", generation=2)


def test_a_rotation_given_up_after_its_key_signs_is_told_so() -> None:
    owner = written(an_owner(), plan(an_owner(), a_standing(2, a_rotation("revoke")), NOW))
    planned = plan(owner, a_standing(2, left=True), NOW)
    assert planned.status["rotation"]["state"] == "cancelled"


def test_one_on_schedule_is_done_when_its_key_signs() -> None:
    owner = written(an_owner(), plan(an_owner(), a_standing(1, a_rotation("activate")), NOW))
    planned = plan(owner, a_standing(2, left=True), NOW)
    assert planned.status["rotation"]["state"] == "done"
    assert answer(planned) == ("False", "Idle")


def test_it_is_paused_and_resumed_by_the_annotation_alone() -> None:
    paused = an_owner({"rotation": "paused", "rotate-requested-at": FIRST})
    # Nothing is begun.
    planned = plan(paused, a_standing(), NOW)
    assert planned.command is None
    assert "rotation" not in planned.status
    assert answer(planned) == ("False", "Paused")
    # What the schedule began is paused: first written, then asked.
    running = a_standing(1, a_rotation("prepare"))
    planned = plan(paused, running, NOW)
    assert planned.command is None
    assert planned.status["rotation"]["held"] is True
    owner = written(paused, planned)
    assert plan(owner, running, NOW).command == Command("pause", rotation="r1")
    stopped = a_standing(1, a_rotation("prepare", "paused"))
    planned = plan(owner, stopped, NOW)
    assert planned.command is None
    assert answer(planned) == ("False", "Paused")
    # Without the annotation it goes on, and a request that waited is asked.
    owner = replace(written(owner, planned), paused=False)
    planned = plan(owner, stopped, NOW)
    assert planned.command == Command("resume", rotation="r1")
    assert planned.status["rotation"]["held"] is True
    planned = plan(written(owner, planned), running, NOW)
    assert "held" not in planned.status["rotation"]


def test_what_somebody_else_paused_is_not_resumed() -> None:
    stopped = a_standing(1, a_rotation("prepare", "paused"))
    owner = an_owner({"rotation": "paused"})
    planned = plan(owner, stopped, NOW)
    assert "held" not in planned.status["rotation"]
    owner = replace(written(owner, planned), paused=False)
    assert plan(owner, stopped, NOW).command is None


def test_a_time_changes_only_with_its_answer() -> None:
    owner = written(an_owner(), plan(an_owner(), a_standing(), NOW))
    assert plan(owner, a_standing(), NOW + 500).status == owner.status
    later = plan(owner, a_standing(1, a_rotation()), NOW + 500)
    (row,) = later.status["conditions"]
    assert row["lastTransitionTime"] == "2026-11-23T12:08:20Z"


def test_a_blocked_step_says_by_what() -> None:
    standing = a_standing(1, a_rotation("activate", "blocked", acknowledged=41, needed=42))
    planned = plan(an_owner(), standing, NOW, blockers=["a pod of pricing/feast is gone"])
    assert answer(planned) == ("False", "Blocked")
    assert planned.status["rotation"]["progress"] == "41/42"
    assert planned.status["rotation"]["blockers"] == ["a pod of pricing/feast is gone"]


def a_client(spiffe_id: str = ID, *, connected: bool) -> authority_pb2.Blocker:
    client = authority_pb2.Client(
        spiffe_id=spiffe_id, connected=connected, not_after=int(NOW) + 600
    )
    return authority_pb2.Blocker(kind="client", text="client x", client=client)


def test_pods_that_are_gone_are_named_as_such() -> None:
    told = [
        a_client(connected=True),
        a_client(connected=False),
        a_client("spiffe://prod.acme.example/bu/risk/svc/score", connected=False),
        authority_pb2.Blocker(kind="join-token", text="an unused join token"),
        a_client("spiffe://prod.acme.example/featward/operator", connected=True),
    ]
    rotation = a_rotation(blockers=told)
    ends = "its SVID ends at 2026-11-23T12:10:00Z"
    assert sentences(rotation, lambda namespace, account: 0, 1) == [
        f"a pod of pricing/feast that is gone; {ends}",
        f"spiffe://prod.acme.example/bu/risk/svc/score, not connected; {ends}",
        "an unused join token",
        "a pod of pricing/feast, connected and behind",
        "a replica of the operator, connected and behind",
    ]
    assert "(2 run)" in sentences(rotation, lambda namespace, account: 2, 1)[0]
    assert "of another cluster" in sentences(rotation, lambda namespace, account: 0, 2)[0]


def test_of_many_blockers_the_rest_is_counted() -> None:
    rotation = a_rotation(blockers=[a_client(connected=True)] * 16, blockers_left_out=5)
    told = sentences(rotation, lambda namespace, account: 1, 1)
    assert len(told) == 16
    assert told[-1].startswith("and 6 more")


def test_an_owner_stands_as_its_ca_says() -> None:
    make = authority_pb2.Authority
    shown = authority_pb2.ShowResponse(
        authorities=[
            make(id="a", owner="prod.payments", state="tainted", generation=1),
            make(id="b", owner="prod.payments", state="active", generation=2, not_after=9),
            make(id="c", owner="prod.risk", state="active", generation=7),
        ],
        rotations=[a_rotation("revoke")],
    )
    standing = standing_of("prod.payments", shown)
    assert standing is not None
    assert (standing.id, standing.generation, standing.left) == ("b", 2, True)
    assert standing.rotation is not None
    assert standing_of("prod.none", shown) is None
    # One that a rotation on schedule has left behind is nothing of the last rotation.
    for state, generation, left in (("old", 2, False), ("old", 3, True), ("tainted", 2, True)):
        shown.authorities[0].MergeFrom(make(state=state, generation=generation))
        shown.authorities[1].generation = 4
        found = standing_of("prod.payments", shown)
        assert found is not None
        assert found.left == left


def test_events_tell_of_each_change() -> None:
    def told(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
        return [one.reason for one in news(an_owner(), before, after, "")]

    running = {"id": "r", "step": "activate", "state": "running"}
    blocked, paused = running | {"state": "blocked"}, running | {"state": "paused"}
    asked = {"request": {"requestedAt": FIRST, "generation": 2}}
    assert told({}, asked) == ["RotationRequested"]
    assert told(asked, asked | running) == ["RotationStep"]
    assert told(asked | running, asked | running) == []
    assert told(running, blocked) == ["RotationBlocked"]
    assert told(blocked, paused) == ["RotationPaused"]
    assert told(paused, running) == ["RotationResumed"]
    assert told(running, running | {"step": "taint"}) == ["RotationStep"]
    assert told(running, running | {"step": "done", "state": "done"}) == ["RotationDone"]
    assert told(running, running | {"state": "cancelled"}) == ["RotationFailed"]


def test_while_the_ca_is_not_heard_it_says_why_and_keeps_what_was_known() -> None:
    for reason in (Reason.UNREACHABLE, Reason.NO_IDENTITY, Reason.NO_AUTHORITY):
        (row,) = unheard(an_owner(), reason, "the CA is away", NOW)
        assert (row["status"], row["reason"]) == ("Unknown", reason)
    assert str(Reason.NO_AUTHORITY) == "NoAuthority"
