"""Who reaches which port of a pod, held against a judge that tries every source."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featward.kubectl import names
from featward.kubectl.closing import closing_policy
from featward.kubectl.exposure import Listening, Port, judge, probes
from featward.kubectl.selectors import can_match, matches
from featward.manifests.feature_set import Accepted
from featward_operator.injection import names as operators
from kubectl_kit import a_sidecar
from network_policies import OWN, somebody_enters, sources

NOW = 1_795_435_200.0  # 2026-11-23T12:00:00Z
POD: dict[str, Any] = {
    "metadata": {"name": "feast-0", "namespace": OWN, "labels": {"app": "feast", "tier": "z"}},
    "spec": {
        "serviceAccountName": "feast",
        "containers": [
            {
                "name": "online",
                "ports": [
                    {"name": "http", "containerPort": 6566},
                    {"name": "metrics", "containerPort": 8000},
                ],
            },
            {"name": "registry", "ports": [{"name": "grpc", "containerPort": 6570}]},
            {
                "name": "probe",
                "ports": [{"name": "dns", "containerPort": 6566, "protocol": "UDP"}],
            },
        ],
    },
}
PORTS = [(6566, "TCP"), (6566, "UDP"), (6570, "TCP"), (8000, "TCP")]
ALL: dict[str, Any] = {}
FEAST = {"matchLabels": {"app": "feast"}}


def policy(
    *rules: Any, selector: Any = None, types: list[str] | None = None, name: str = "p"
) -> dict[str, Any]:
    spec: dict[str, Any] = {"podSelector": FEAST if selector is None else selector}
    spec |= {"ingress": list(rules)} if rules else {}
    spec |= {"policyTypes": types} if types else {}
    return {"metadata": {"name": name, "namespace": OWN}, "spec": spec}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    one = {"key": key, "operator": operator}
    return {"matchExpressions": [one | ({"values": list(values)} if values else {})]}


def ports(*given: Any) -> list[dict[str, Any]]:
    return [one if isinstance(one, dict) else {"port": one} for one in given]


NOBODY = {"matchLabels": {"app": "a"}, **expression("app", "NotIn", "a")}
BLOCK = {"cidr": "10.0.0.0/29"}
# Each a set of policies, with a sentence of what it is about.
BY_HAND: list[tuple[str, list[dict[str, Any]]]] = [
    ("none", []),
    ("one that is about egress alone", [policy(types=["Egress"])]),
    ("one that selects another pod", [policy(selector={"matchLabels": {"app": "other"}})]),
    ("nobody comes in", [policy()]),
    ("nobody comes in anywhere", [policy(selector=ALL)]),
    ("everybody comes in", [policy({})]),
    ("two, of which one lets all in", [policy(), policy({}, name="q")]),
    ("two, of which the other selects nobody", [policy(), policy({}, selector=NOBODY)]),
    ("one port by number", [policy({"ports": ports(6566)})]),
    ("one port by name", [policy({"ports": ports("metrics")})]),
    ("a name that no container has", [policy({"ports": ports("nothing")})]),
    ("a name of the other protocol", [policy({"ports": ports("dns")})]),
    ("UDP", [policy({"ports": [{"port": "dns", "protocol": "UDP"}]})]),
    ("all of UDP", [policy({"ports": [{"protocol": "UDP"}]})]),
    ("a range", [policy({"ports": [{"port": 6000, "endPort": 6566}]})]),
    ("a range that ends before", [policy({"ports": [{"port": 6000, "endPort": 6565}]})]),
    ("two policies, a port each", [policy({"ports": ports(8000)}), policy({"ports": ports(6570)})]),
    ("no ports is all ports", [policy({"from": [{"podSelector": ALL}], "ports": []})]),
    ("pods of its namespace", [policy({"from": [{"podSelector": {"matchLabels": {"app": "a"}}}]})]),
    ("pods that can't be", [policy({"from": [{"podSelector": NOBODY}]})]),
    (
        "namespaces that can't be",
        [policy({"from": [{"namespaceSelector": NOBODY, "podSelector": ALL}]})],
    ),
    ("all namespaces", [policy({"from": [{"namespaceSelector": ALL}]})]),
    ("a team's", [policy({"from": [{"namespaceSelector": {"matchLabels": {"team": "x"}}}]})]),
    ("addresses", [policy({"from": [{"ipBlock": BLOCK}]})]),
    (
        "addresses but all of them",
        [policy({"from": [{"ipBlock": BLOCK | {"except": ["10.0.0.0/29"]}}]})],
    ),
    (
        "addresses but both halves",
        [policy({"from": [{"ipBlock": BLOCK | {"except": ["10.0.0.0/30", "10.0.0.4/30"]}}]})],
    ),
    (
        "addresses but one half",
        [policy({"from": [{"ipBlock": BLOCK | {"except": ["10.0.0.0/30"]}}]})],
    ),
    ("an empty from is everybody", [policy({"from": [], "ports": ports(6570)})]),
    (
        "a peer that can't be beside one that can",
        [policy({"from": [{"podSelector": NOBODY}, {"ipBlock": BLOCK}], "ports": ports(6570)})],
    ),
    (
        "labels that must be and must not",
        [
            policy(
                {
                    "from": [
                        {
                            "podSelector": {
                                "matchLabels": {"tier": "z"},
                                **expression("tier", "DoesNotExist"),
                            }
                        }
                    ]
                }
            )
        ],
    ),
    ("selected by an expression", [policy(selector=expression("app", "In", "feast", "x"))]),
    ("not selected by an expression", [policy(selector=expression("tier", "NotIn", "z"))]),
    ("both types", [policy({"ports": ports(6566)}, types=["Egress", "Ingress"])]),
]


def judged(
    policies: list[dict[str, Any]], pod: dict[str, Any] = POD
) -> dict[tuple[int, str], Port]:
    return {(one.port, one.protocol): one for one in judge(pod, None, [], policies, [], now=NOW)}


def held_against_trying(policies: list[dict[str, Any]]) -> None:
    found = judged(policies)
    assert sorted(found) == PORTS
    for (port, protocol), one in found.items():
        reached = somebody_enters(POD, policies, port, protocol)
        assert one.state == ("open" if reached else "closed-by-policy"), (port, protocol, one.why)


@pytest.mark.parametrize("policies", [one for _, one in BY_HAND], ids=[name for name, _ in BY_HAND])
def test_exposure_unites_all_policies_on_a_pod(policies: list[dict[str, Any]]) -> None:
    held_against_trying(policies)


def test_the_sets_by_hand_close_and_open_each_port() -> None:
    """Else they would show little."""
    assert len(BY_HAND) >= 30
    for port in PORTS:
        states = [judged(policies)[port].state for _, policies in BY_HAND]
        assert states.count("open") >= 8
        assert states.count("closed-by-policy") >= 8


_KEYS = {"app": ["a", "b"], "tier": ["z"], "team": ["x", "y"]}


def selectors(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    def expressions(key: str) -> st.SearchStrategy[dict[str, Any]]:
        values = st.lists(st.sampled_from(_KEYS[key]), min_size=1, max_size=2, unique=True)
        listed = st.builds(
            lambda operator, some: {"key": key, "operator": operator, "values": some},
            st.sampled_from(["In", "NotIn"]),
            values,
        )
        bare = st.sampled_from(["Exists", "DoesNotExist"]).map(
            lambda operator: {"key": key, "operator": operator}
        )
        return st.one_of(listed, bare)

    labels = st.fixed_dictionaries({}, optional={key: st.sampled_from(_KEYS[key]) for key in keys})
    more = st.lists(st.one_of([expressions(key) for key in keys]), max_size=3)
    return st.fixed_dictionaries({}, optional={"matchLabels": labels, "matchExpressions": more})


BLOCKS = ["10.0.0.0/29", "10.0.0.0/30", "10.0.0.4/30", "10.0.0.0/31", "10.0.0.2/31"]
blocks = st.fixed_dictionaries(
    {"cidr": st.just("10.0.0.0/29")},
    optional={"except": st.lists(st.sampled_from(BLOCKS), max_size=3, unique=True)},
)
pods_of = st.fixed_dictionaries(
    {}, optional={"podSelector": selectors("app", "tier"), "namespaceSelector": selectors("team")}
).filter(bool)
peers = st.one_of(pods_of, blocks.map(lambda one: {"ipBlock": one}))
numbers = st.sampled_from([6566, 6570, 8000, 1, "http", "grpc", "metrics", "dns", "nothing"])
one_port = st.fixed_dictionaries(
    {}, optional={"port": numbers, "protocol": st.sampled_from(["TCP", "UDP", "SCTP"])}
)
ranges = st.builds(
    lambda first, more: {"port": first, "endPort": first + more},
    st.integers(6560, 6572),
    st.integers(0, 8),
)
rules = st.fixed_dictionaries(
    {},
    optional={
        "from": st.lists(peers, max_size=2),
        "ports": st.lists(st.one_of(one_port, ranges), max_size=2),
    },
)
selecting = st.one_of(st.just(FEAST), st.just(ALL), selectors("tier"), selectors("app"))
policies_drawn = st.lists(
    st.builds(
        lambda said, selector, types: policy(*said, selector=selector, types=types),
        st.lists(rules, max_size=2),
        selecting,
        st.sampled_from([None, ["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
    ),
    max_size=3,
)


@given(policies_drawn)
def test_random_policies_are_judged_as_trying_does(policies: list[dict[str, Any]]) -> None:
    held_against_trying(policies)


@given(selectors("app", "tier"))
def test_a_selector_can_match_where_some_labels_match(selector: dict[str, Any]) -> None:
    assert can_match(selector) == any(matches(selector, one.labels()) for one in sources())


def accepted(until: str, port: int | None = 6570, what: str = "registry") -> Accepted:
    raw = {"what": what, "reason": "batch only", "until": until} | ({"port": port} if port else {})
    return Accepted.model_validate(raw)


@pytest.mark.parametrize("port", [6570, None])
def test_an_accepted_port_is_open_after_its_day(port: int | None) -> None:
    def state(until: str, now: float = NOW) -> tuple[str, str]:
        found = judge(POD, None, [], [], [accepted(until, port)], now=now)
        return next((one.state, one.why) for one in found if one.port == 6570)

    assert state("2026-11-23") == ("accepted", "until 2026-11-23: batch only")
    midnight = NOW + 12 * 3600
    assert state("2026-11-23", midnight - 1)[0] == "accepted"
    now_open = state("2026-11-23", midnight)
    assert now_open[0] == "open"
    assert "it was accepted until 2026-11-23: batch only" in now_open[1]
    # Only that port.
    others = judge(POD, None, [], [], [accepted("2027-01-01", port)], now=NOW)
    assert {one.state for one in others if one.port != 6570} == {"open"}


def test_what_listens_on_loopback_alone_is_closed() -> None:
    def states(*listening: Listening) -> dict[int, str]:
        found = judge(POD, listening, [], [], [], now=NOW)
        return {one.port: one.state for one in found if one.protocol == "TCP"}

    assert states(Listening("127.0.0.1", 6566))[6566] == "loopback"
    assert states(Listening("::1", 6566))[6566] == "loopback"
    both = states(Listening("127.0.0.1", 6566), Listening("0.0.0.0", 6566))  # noqa: S104  it is what is judged
    assert both[6566] == "open"
    assert states(Listening("::", 9999))[9999] == "open"
    quiet = judge(POD, [], [], [], [], now=NOW)
    assert all("nothing listens there now" in one.why for one in quiet if one.protocol == "TCP")


def test_a_pod_on_the_nodes_network_is_closed_by_no_policy() -> None:
    pod = {**POD, "spec": {**POD["spec"], "hostNetwork": True}}
    assert {one.state for one in judged([policy()], pod).values()} == {"open"}


def service(name: str, selector: dict[str, str], *given: Any, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"selector": selector, "ports": list(given), **spec},
    }


def test_services_lead_by_number_and_by_name() -> None:
    pod = {**POD, "spec": {**POD["spec"], "initContainers": [a_sidecar()]}}
    services = [
        service("a", {"app": "feast"}, {"port": 80, "targetPort": "http"}),
        service("b", {"app": "feast"}, {"port": 6566}, {"port": 9, "targetPort": 9000}),
        service("c", {"app": "other"}, {"port": 6566}),
        service("d", {}, {"port": 6566}),
        service("e", {"app": "feast"}, {"port": 443, "targetPort": "featward"}),
        service("f", {"app": "feast"}, {"port": 6566}, type="ExternalName"),
        service("g", {"app": "feast"}, {"port": 6566, "protocol": "UDP"}),
    ]
    found = {
        (one.port, one.protocol): one.services
        for one in judge(pod, None, services, [], [], now=NOW)
    }
    assert found[6566, "TCP"] == ("a", "b")
    assert found[6566, "UDP"] == ("g",)
    assert found[9000, "TCP"] == ("b",)
    # What our sidecar listens on is its own affair.
    assert (15443, "TCP") not in found
    assert (15020, "TCP") not in found


def test_each_port_is_called_what_it_is() -> None:
    found = {one.port: one.what for one in judge(POD, None, [], [], [], now=NOW, upstreams=[7000])}
    assert found == {
        6566: "feature-server",
        6570: "registry",
        8000: "feature-server",
        7000: "feature-server",
    }


def test_the_closing_policy_closes_that_port_and_no_other() -> None:
    pod = {
        "metadata": {**POD["metadata"], "labels": {"app": "feast", names.SERVER: "feast"}},
        "spec": {
            **POD["spec"],
            "containers": [
                {"name": "feast", "ports": [{"containerPort": 6566}, {"containerPort": 8000}]}
            ],
            "initContainers": [a_sidecar()],
        },
    }
    found = judge(pod, None, [], [], [], now=NOW, upstreams=[6566])
    closing = closing_policy(pod, found)
    after = {
        one.port: one.state
        for one in judge(pod, None, [], [closing], [], now=NOW, upstreams=[6566])
    }
    assert after == {6566: "closed-by-policy", 8000: "open"}
    for port, protocol in [(15443, "TCP"), (15020, "TCP"), (8000, "TCP")]:
        assert somebody_enters(pod, [closing], port, protocol)
    assert not somebody_enters(pod, [closing], 6566, "TCP")


def test_probes_of_the_kubelet_are_found_by_name_and_number() -> None:
    container = {
        "name": "online",
        "ports": [{"name": "http", "containerPort": 6566}],
        "livenessProbe": {"httpGet": {"path": "/health", "port": "http"}},
        "readinessProbe": {"tcpSocket": {"port": 6566}},
        "startupProbe": {"exec": {"command": ["true"]}},
    }
    pod = {**POD, "spec": {"containers": [container]}}
    assert probes(pod, 6566) == [
        "readinessProbe (tcpSocket) of the container online",
        "livenessProbe (httpGet) of the container online",
    ]
    assert probes(pod, 8000) == []


def test_the_names_are_those_of_injection() -> None:
    assert (names.INJECT, names.SERVER, names.CONTAINER) == (
        operators.INJECT,
        operators.SERVER,
        operators.CONTAINER,
    )
    assert names.FEATURE_SETS_ASKED in operators.ANNOTATIONS
