"""The table view of a status document."""

import io
from typing import Any

import pytest
from rich.console import Console

from featward_sidecar.status_view import render
from featward_sidecar.status_words import span

NOW = 1_795_000_000.0

STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "time": NOW,
    "draining": False,
    "identity": {
        "spiffe_id": "spiffe://prod.acme.example/bu/p/svc/feast",
        "serial": "01ab",
        "not_after": NOW + 2400,
    },
    "policy": {
        "digest": "ab" * 32,
        "age_seconds": 60.0,
        "bindings": 3,
        "feature_sets": [
            {
                "name": "ml/driver-stats",
                "version": "1.2.0",
                "mode": "observe",
                "owner": {"team": "driver-ml", "contact": "driver-ml@acme.example"},
                "unidentified_until": NOW + 86_400,
            }
        ],
    },
    "callers": [
        {"identity": "spiffe://x/y", "last_seen": NOW - 5, "requests": 7, "decisions": {"allow": 7}}
    ],
    "unidentified": [
        {
            "source": "10.0.0.9",
            "last_seen": NOW - 5,
            "requests": 2,
            "decisions": {"would-deny": 2},
            "newest_trouble": {
                "reason": "not-granted",
                "feature_set": "ml/driver-stats",
                "missing": ["v:x"],
                "time": NOW - 65,
            },
        }
    ],
    "would_refuse": [],
    "records_dropped": 0,
    "agent": {
        "process": {"pid": 7, "started": NOW - 100, "workload": "prod.p/feast", "draining": False},
        "ca": {
            "address": "127.0.0.1:8443",
            "connected": True,
            "since": NOW - 90,
            "last_error": None,
            "failures": 0,
        },
        "identity": {"attested_by": "join-token", "renew_at": NOW + 600, "last_error": None},
        "policy": {"source": "manifests", "refused_edits": 0, "last_error": None},
    },
}


def shown(status: dict[str, Any], width: int = 200) -> str:
    out = io.StringIO()
    # As the command line's own console is.
    Console(file=out, width=width, color_system=None, soft_wrap=True).print(render(status))
    return out.getvalue()


def test_a_renewal_that_did_not_come_is_no_renewal() -> None:
    identity = STATUS["agent"]["identity"] | {"renew_at": NOW - 41}
    text = shown(STATUS | {"agent": STATUS["agent"] | {"identity": identity}})
    assert "renewal overdue for 41 s" in text
    assert "renewed" not in text


@pytest.mark.parametrize(
    "sentence",
    [
        "for prod.p/feast, process 7, up 1 min 40 s",
        "40 min left, renewed in 10 min, attested by join-token",
        "127.0.0.1:8443, connected for 1 min 30 s",
        "abababababab, 3 bindings, applied 1 min ago",
        "allowed for 1 d",
        "driver-ml driver-ml@acme.example",
        "callers with identity (1)",
        "callers without identity, to be moved (1)",
        "10.0.0.9",
        "not-granted (ml/driver-stats), 1 min 5 s ago: v:x",
    ],
)
def test_a_healthy_sidecar_shows_who_it_is_and_who_called(sentence: str) -> None:
    assert sentence in " ".join(shown(STATUS).split()) or sentence in shown(STATUS)


def test_an_operator_is_shown_with_how_it_is_reached() -> None:
    operator = {"address": "op:1", "connected": True, "since": NOW - 9, "failures": 0}
    agent = STATUS["agent"] | {"operator": operator | {"last_error": None}}
    assert "op:1, connected for 9 s" in shown(STATUS | {"agent": agent})
    error = {"time": NOW - 3, "message": "ml is of no business unit"}
    operator |= {"connected": False, "failures": 2, "last_error": error}
    policy = STATUS["agent"]["policy"] | {"source": "kept"}
    text = shown(STATUS | {"agent": agent | {"operator": operator, "policy": policy}})
    assert "op:1, not connected (2 failures)" in text
    assert "operator, 3 s ago: ml is of no business unit" in text
    assert "kept from an earlier run: the operator has not spoken" in text


def test_what_is_wrong_stands_out() -> None:
    agent = STATUS["agent"] | {
        "ca": {
            "address": "ca:1",
            "connected": False,
            "failures": 4,
            "last_error": {"time": NOW - 9, "message": "gone"},
        },
        "policy": {
            "source": "kept",
            "refused_edits": 2,
            "last_error": {
                "time": NOW - 3,
                "message": "a.yaml:3: bad and 1 more",
                "findings": ["one", "two"],
            },
        },
    }
    identity = STATUS["identity"] | {"not_after": NOW - 61}
    text = shown(STATUS | {"agent": agent, "identity": identity, "records_dropped": 3})
    for sentence in (
        "ca:1, not connected (4 failures)",
        "expired 1 min 1 s ago",
        "the manifests do not compile",
        "2 edits refused",
        "records dropped  3",
        "ca, 9 s ago: gone",
        "policy, 3 s ago: a.yaml:3: bad and 1 more",
        "  two",
    ):
        assert sentence in text


def test_a_refused_edit_stands_with_its_reason_beside_the_policy_in_use() -> None:
    why = "a.yaml:3: spec.features[0]: feature v:y is not declared; did you mean v:x?"
    error = {"time": NOW - 3, "message": why, "findings": [why]}
    policy = STATUS["agent"]["policy"] | {"refused_edits": 1, "last_error": error}
    text = shown(STATUS | {"agent": STATUS["agent"] | {"policy": policy}})
    (line,) = (line for line in text.splitlines() if "is not declared" in line)
    assert line.startswith("policy ")
    assert line.endswith(f"1 edit refused: {why}")
    policy |= {"last_error": None}
    text = shown(STATUS | {"agent": STATUS["agent"] | {"policy": policy}})
    assert "1 edit refused before\n" in text
    # Without a policy in use there is no line for it to stand in.
    policy |= {"last_error": error}
    text = shown(STATUS | {"policy": None, "agent": STATUS["agent"] | {"policy": policy}})
    assert f"policy, 3 s ago: {why}" in text


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        ("would-be-refused", "would be refused "),
        ("not-seen-since-the-edit", "not seen since the edit"),
        ("not-allowed-since-the-edit", "nothing allowed since the edit"),
    ],
)
def test_who_would_be_refused_is_listed_with_each_reason_and_its_age(
    standing: str, words: str
) -> None:
    trouble: dict[str, Any] = {"decision": "would-deny", "feature_set": "ml/s", "missing": ["v:x"]}
    troubles = [
        {"decision": "unmanaged-route", "reason": "unknown-route", "feature_set": "", "time": NOW},
        {**trouble, "reason": "not-granted", "time": NOW - 3600},
        {**trouble, "decision": "deny", "reason": "binding-expired", "time": NOW - 9},
    ]
    row = {"identity": "spiffe://x/y", "last_seen": NOW - 5, "requests": 2}
    refused = [row | {"standing": standing, "troubles": troubles}]
    text = shown(STATUS | {"would_refuse": refused}, width=300)
    assert "would be refused when enforced (1)" in text
    (line,) = (line for line in text.splitlines() if "unknown-route, 0 s ago" in line)
    assert words in line
    assert line.endswith("unknown-route, 0 s ago; not-granted (ml/s), 1 h ago: v:x")
    enforced = STATUS["policy"]["feature_sets"][0] | {"mode": "enforce"}
    policy = STATUS["policy"] | {"feature_sets": [enforced]}
    text = shown(STATUS | {"would_refuse": refused, "policy": policy})
    assert "passed before all was enforced, and have not asked for it since (1)" in text
    assert "when enforced" not in text


def test_a_feature_server_that_differs_from_the_manifests_is_told() -> None:
    found = {"feature_set": "ml/s", "unlisted": ["booking_v2\x1b"], "unanswered": ["v:booking"]}
    lines = shown(STATUS | {"drift": [found | {"time": NOW - 60}]}, width=300).splitlines()
    (place,) = (place for place, line in enumerate(lines) if line.startswith("ml/s, 1 min ago"))
    assert lines[place].endswith(
        "the feature server serves columns that the set does not list: booking_v2?; "
        "it does not answer what is granted: v:booking"
    )
    assert lines[place + 1] == "  run `featward import feast --check`"


def test_nothing_is_cut_or_folded_on_a_narrow_terminal() -> None:
    long = "spiffe://prod.acme.example/bu/payments/ns/pricing-and-risk/sa/pricing-api"
    callers = [{**STATUS["callers"][0], "identity": long}]
    lines = shown({**STATUS, "callers": callers}, width=30).splitlines()
    assert any(line.split() == [long, "5", "s", "ago", "7", "allow", "7"] for line in lines)
    assert all(line == line.rstrip() for line in lines)


def test_a_client_shows_where_its_sets_are_and_how_the_last_calls_went() -> None:
    server = {"address": "10.0.0.7:15443", "spiffe_id": "spiffe://prod.acme.example/bu/p/svc/feast"}
    failure = {"time": NOW - 7, "reason": "server-unreachable", "detail": "gone\x1b[2J"}
    known = {"feature_set": "driver-stats", "listen": "127.0.0.1:15100", "server": server}
    unknown = {"feature_set": "riders", "listen": "unix:/run/r.sock", "server": None}
    never: dict[str, Any] = {"last_answer": None, "last_failure": None}
    policy = {"digest": "ab" * 32, "age_seconds": 60.0, "bindings": 0, "feature_sets": []}
    outbound = [known | {"last_answer": NOW - 60, "last_failure": failure}, unknown | never]
    text = shown(STATUS | {"policy": policy, "outbound": outbound}, width=300)
    (first,) = (line for line in text.splitlines() if "127.0.0.1:15100" in line)
    for word in (
        "driver-stats",
        "10.0.0.7:15443",
        "spiffe://prod.acme.example/bu/p/svc/feast",
        "1 min ago",
        "7 s ago: server-unreachable: gone?[2J",
    ):
        assert word in first
    (second,) = (line for line in text.splitlines() if "unix:/run/r.sock" in line)
    assert "none known" in second
    assert "none yet" in second
    assert "no bindings" in text
    assert "…" not in shown(STATUS | {"outbound": outbound}, width=60)


@pytest.mark.parametrize(
    ("count", "words"), [(0, "no bindings"), (1, "1 binding"), (2, "2 bindings")]
)
def test_one_is_not_many(count: int, words: str) -> None:
    policy = STATUS["policy"] | {"bindings": count}
    assert f", {words}, applied" in shown(STATUS | {"policy": policy})


def test_a_sidecar_without_anything_yet_can_be_shown() -> None:
    text = shown({"version": "0.1.0", "time": NOW, "identity": None, "policy": None, "agent": None})
    assert text.count("none yet") == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
        (-5, "5 s"),
    ],
)
def test_lengths_of_time_have_two_units_at_most(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize("name", ["[/red]", "[link=https://evil.example]v:x[/link]", "\x1b[2Jv:x"])
def test_names_that_callers_chose_are_shown_as_they_are_and_steer_no_terminal(name: str) -> None:
    caller = STATUS["unidentified"][0]
    trouble = {**caller["newest_trouble"], "missing": [name]}
    text = shown({**STATUS, "unidentified": [{**caller, "newest_trouble": trouble}]})
    assert name.replace("\x1b", "?") in text
    assert "\x1b" not in text


def test_where_apps_fetch_the_identity_is_shown_and_a_source_that_is_not_our_ca() -> None:
    agent = {
        "ca": {"address": "unix:/run/spire.sock", "connected": True, "since": NOW - 60},
        "identity": {"attested_by": "workload-api"},
        "apps": {
            "socket": "/run/featward/workload.sock",
            "files": None,
            "last_error": {"time": NOW - 5, "message": "the hook failed"},
        },
    }
    text = shown(STATUS | {"agent": agent})
    assert "apps fetch it at" in text
    assert "/run/featward/workload.sock" in text
    assert "source" in text
    assert "unix:/run/spire.sock, connected for 1 min" in text
    assert "apps, 5 s ago: the hook failed" in text


@pytest.mark.parametrize(
    ("action", "mode", "shown_as"),
    [("relax", "shadow", "shadow for"), ("close", "enforce", "closed for")],
)
def test_what_was_decided_by_hand_shows_with_its_name_and_its_end(
    action: str, mode: str, shown_as: str
) -> None:
    override = {"action": action, "name": "incident-7", "until": NOW + 3600}
    overridden = STATUS["policy"]["feature_sets"][0] | {"mode": mode, "override": override}
    text = shown(STATUS | {"policy": STATUS["policy"] | {"feature_sets": [overridden]}})
    assert shown_as in text
    assert "incident-7" in text


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("banned", "banned or revoked; `featward ca ban list` says why"),
        ("authority-revoked", "its authority was revoked"),
        ("new in a later release", "new in a later release"),
    ],
)
def test_a_certificate_that_the_ca_refuses_is_shown_as_such_beside_its_runway(
    reason: str, words: str
) -> None:
    refused = {"since": NOW - 200, "reason": reason, "message": "long"}
    identity = STATUS["agent"]["identity"] | {"refused": refused}
    text = shown(STATUS | {"agent": STATUS["agent"] | {"identity": identity}})
    lines = [line.split() for line in text.splitlines()]
    (row,) = [line for line in lines if line[:1] == ["refused"]]
    assert " ".join(row) == f"refused by the CA for 3 min 20 s: {words}"
    assert "refused" not in shown(STATUS)
