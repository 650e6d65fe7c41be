"""What sidecars report becomes a row of each replica, and the rows become one status."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cluster_objects import NOW
from featward.crds.status import FeatureSetStatus
from featward_operator.conditions import moment
from featward_operator.pods import PodIndex, pod_facts
from featward_operator.policy.tallies import Bypass, Open, Seen, SetTally, Sidecar
from featward_operator.reconcile.sightings import beat_of, row_of, united
from reconcile_kit import a_pod, a_row

DIGEST, OTHER = "a" * 64, "b" * 64
CALLER = "spiffe://prod.acme.example/bu/payments/ns/shop/sa/api"
SEEN = moment(NOW)


def a_sidecar(pod: str, *, current: bool = True, **more: Any) -> Sidecar:
    told: dict[str, Any] = {
        "engine": "0.2.0",
        "error": "",
        "mode": "enforce",
        "draining": False,
    } | more
    return Sidecar(pod, DIGEST if current else OTHER, since=NOW - 100.0, current=current, **told)


def a_tally(*sidecars: Sidecar, **more: Any) -> SetTally:
    told: dict[str, Any] = {"answered": 5, "refused": 1, "would_refuse": 0, "unidentified": 0}
    told |= {"callers": (), "bypassing": ()} | more
    return SetTally(sidecars or (a_sidecar("feast-0"),), **told)


def pods(*raws: dict[str, Any]) -> PodIndex:
    index = PodIndex()
    for raw in raws:
        key = (raw["metadata"]["namespace"], raw["metadata"]["name"])
        index.take(key, None, pod_facts(raw))
    return index


def a_made_row(tally: SetTally, index: PodIndex | None = None, **behind: float) -> dict[str, Any]:
    names = {name.replace("_", "-"): since for name, since in behind.items()}
    row = row_of(tally, "operator-0", DIGEST, names, index or PodIndex(), NOW)
    return row.as_row()


def seen(identity: str, **more: Any) -> Seen:
    told: dict[str, Any] = {
        "standing": "would-deny",
        "reason": "not-granted",
        "missing": ("hourly:a",),
    }
    told |= {"count": 3, "last_seen": float(NOW), "is_address": False} | more
    return Seen(identity, **told)


def test_a_row_says_what_the_sidecars_of_one_replica_report() -> None:
    tally = a_tally(
        a_sidecar("feast-0"),
        a_sidecar("feast-1", current=False, error="no such\nmode"),
        callers=(seen(CALLER), seen("10.0.0.9", is_address=True, standing="unidentified")),
        bypassing=(Bypass("feast-0", "10.0.0.9", 6566, float(NOW)),),
        listening=(Open(6566, "0.0.0.0"),),  # noqa: S104  a report says it
    )
    index = pods(a_pod("api-0", "shop", ip="10.0.0.9"))
    assert a_made_row(tally, index, feast_1=NOW - 7) == {
        "replica": "operator-0",
        "seenAt": SEEN,
        "digest": DIGEST,
        "sidecars": 2,
        "sidecarsCurrent": 1,
        "laggards": [
            {
                "pod": "feast-1",
                "digest": OTHER,
                "engine": "0.2.0",
                "since": moment(NOW - 7),
                "error": "no such mode",
            }
        ],
        "answeredLastHour": 5,
        "refusedLastHour": 1,
        "wouldBeRefused": [
            {
                "caller": CALLER,
                "reason": "not-granted",
                "missing": ["hourly:a"],
                "lastSeen": SEEN,
                "count": 3,
            }
        ],
        "unidentified": [{"address": "10.0.0.9", "pod": "shop/api-0", "lastSeen": SEEN}],
        "bypassing": [{"address": "10.0.0.9", "port": 6566, "pod": "shop/api-0", "lastSeen": SEEN}],
        "listening": [{"port": 6566, "address": "0.0.0.0"}],  # noqa: S104  as above
    }


def test_what_a_sidecar_makes_up_keeps_no_row_from_being_written() -> None:
    tally = a_tally(
        a_sidecar("Not A Name", current=False),
        a_sidecar("feast-1", current=False, engine="new\nline"),
        callers=(
            seen("spiffe://[broken"),
            seen(CALLER, missing=("no feature",)),
            seen(CALLER, reason="bad\x00text"),
            seen("bad\naddress", is_address=True),
            seen(CALLER, reason="", standing="waits"),
        ),
        bypassing=(Bypass("feast-0", "bad\n", 6566, 1.0), Bypass("feast-0", "10.0.0.1", 0, 1.0)),
        listening=(Open(0, "::"), Open(80, "bad\n")),
    )
    row = a_made_row(tally)
    assert [one["reason"] for one in row["wouldBeRefused"]] == ["waits"]
    assert not {"laggards", "unidentified", "bypassing", "listening"} & row.keys()


NUMBER = st.one_of(st.integers(0, 2**16), st.sampled_from([99_999, 2**31, 2**32 - 1]))
MOMENT = st.one_of(st.just(NOW), st.sampled_from([0, -1, 10**12, 2**63 - 1, -(2**63)])).map(float)
TEXT = st.one_of(st.text(), st.just("1.2.3.4"), st.just("x" * 300))


@given(
    st.lists(st.builds(Open, NUMBER, TEXT), max_size=4),
    st.lists(st.builds(Bypass, TEXT, TEXT, NUMBER, MOMENT), max_size=4),
    st.lists(st.tuples(TEXT, TEXT, MOMENT, st.booleans()), max_size=4),
)
def test_whatever_a_sidecar_reports_there_is_a_row(
    listening: list[Open],
    bypassing: list[Bypass],
    callers: list[tuple[str, str, float, bool]],
) -> None:
    """What raises here ends the operator, replica after replica."""
    said = tuple(
        seen(identity, reason=reason, last_seen=last, is_address=is_address)
        for identity, reason, last, is_address in callers
    )
    tally = a_tally(callers=said, bypassing=tuple(bypassing), listening=tuple(listening))
    assert a_made_row(tally)["sidecars"] == 1


def test_a_row_holds_no_more_than_a_status_may() -> None:
    many = [a_sidecar(f"feast-{number}", current=False) for number in range(100)]
    callers = tuple(
        seen(f"{CALLER}-{number}", missing=tuple(f"hourly:f{n}" for n in range(40)))
        for number in range(100)
    )
    row = a_made_row(a_tally(*many, callers=callers))
    assert (row["sidecars"], len(row["laggards"]), len(row["wouldBeRefused"])) == (100, 32, 32)
    assert len(row["wouldBeRefused"][0]["missing"]) == 16


def test_counters_and_times_wait_and_everything_else_does_not() -> None:
    def beat(tally: SetTally) -> Any:
        return beat_of(row_of(tally, "operator-0", DIGEST, {}, PodIndex(), NOW + 5.0))

    base = a_tally(callers=(seen(CALLER),))
    later = seen(CALLER, count=9, last_seen=NOW + 5.0)
    assert beat(base) == beat(a_tally(callers=(later,), answered=900, refused=40))
    assert beat(base) != beat(a_tally(callers=(seen(CALLER, missing=("hourly:b",)),)))
    assert beat(base) != beat(a_tally(a_sidecar("feast-0", current=False), callers=(later,)))
    assert beat(base) != beat(a_tally(callers=(later, seen(f"{CALLER}-two"))))


def test_rows_are_added_up() -> None:
    def would(caller: str, second: int, count: int) -> dict[str, Any]:
        told = {"caller": caller, "reason": "not-granted", "count": count}
        return {**told, "lastSeen": moment(NOW + second)}

    def lags(pod: str, second: int) -> dict[str, Any]:
        return {"pod": pod, "since": moment(NOW + second)}

    rows = [
        a_row(
            "operator-0",
            SEEN,
            sidecars=3,
            sidecarsCurrent=1,
            digest=DIGEST,
            refusedLastHour=2,
            laggards=[lags("a", 5), lags("b", 9)],
            wouldBeRefused=[would(CALLER, 1, 2)],
            unidentified=[{"address": "10.0.0.9", "lastSeen": SEEN}],
            listening=[{"port": 6566, "address": "::"}],
        ),
        a_row(
            "operator-1",
            SEEN,
            sidecars=2,
            sidecarsCurrent=2,
            digest=DIGEST,
            laggards=[lags("c", 1)],
            wouldBeRefused=[would(CALLER, 4, 5), would(f"{CALLER}-two", 2, 1)],
            unidentified=[{"address": "10.0.0.9", "pod": "shop/a", "lastSeen": moment(NOW + 1)}],
            listening=[{"port": 6566, "address": "::"}],
        ),
        a_row("operator-2", SEEN, digest=OTHER),
    ]
    found = united(rows)
    assert (found["digest"], found["progress"]) == (DIGEST, "4/6")
    assert (found["refused_last_hour"], found["answered_last_hour"]) == (2, None)
    assert [one.pod for one in found["laggards"]] == ["c", "a", "b"], "the longest behind first"
    told = [(one.caller, one.count, one.last_seen) for one in found["would_be_refused"]]
    assert told == [(CALLER, 7, moment(NOW + 4)), (f"{CALLER}-two", 1, moment(NOW + 2))]
    (unidentified,) = found["unidentified"]
    assert (unidentified.pod, unidentified.last_seen) == ("shop/a", moment(NOW + 1))
    assert len(found["listening"]) == 1
    assert FeatureSetStatus(**found).as_json()["sidecars"] == 6
    nothing = united([])
    assert (nothing["sidecars"], nothing["refused_last_hour"], nothing["digest"]) == (0, None, None)
