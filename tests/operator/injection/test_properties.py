"""Pods of any shape: everything that is not ours is afterwards what it was, byte for byte."""

import copy
import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from injection_kit import admitted, answer_of, known_namespace

NAMESPACE = known_namespace("ml")
words = st.from_regex("[a-z]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
# What JSON has, and nothing that a number's spelling could change.
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
variables = st.lists(
    st.fixed_dictionaries({"name": words, "value": st.text(max_size=6)}), max_size=3
)
mounts = st.lists(st.fixed_dictionaries({"name": words, "mountPath": words}), max_size=2)
containers = st.fixed_dictionaries(
    {"name": words},
    optional={
        "env": variables | st.none(),
        "volumeMounts": mounts | st.none(),
        "image": words,
        "resources": st.dictionaries(words, st.dictionaries(words, words, max_size=2), max_size=2),
        "x~y/z": anything,
    },
)
annotations = st.fixed_dictionaries(
    {},
    optional={
        "featward.dev/feature-sets": st.sampled_from(
            ["driver-stats", "geo/rides=9000, driver-stats"]
        ),
        "featward.dev/hold-application": st.just("true"),
        "example.dev/a~b": st.text(max_size=6),
    },
)
pods = st.builds(
    lambda kind, notes, labels, extra, init, apps, volumes, more: {
        "apiVersion": "v1",
        "metadata": {
            "labels": {**labels, "featward.dev/inject": kind},
            **({} if notes is None else {"annotations": notes}),
            **extra,
        },
        "spec": {
            "containers": apps,
            **({} if init is None else {"initContainers": init}),
            **({} if volumes is None else {"volumes": volumes}),
            **more,
        },
        "status": {},
    },
    st.sampled_from(["server", "client"]),
    st.none() | annotations,
    st.dictionaries(words, words, max_size=2),
    st.dictionaries(words.map("x{}".format), anything, max_size=2),
    st.none() | st.lists(containers, max_size=2),
    st.lists(containers, min_size=1, max_size=3),
    st.none()
    | st.lists(st.fixed_dictionaries({"name": words, "emptyDir": st.just({})}), max_size=2),
    st.dictionaries(words.map("x{}".format), anything, max_size=2),
)
OURS = re.compile("featward-.*|FEATWARD_.*|SPIFFE_ENDPOINT_SOCKET")


def without_ours(pod: dict[str, Any]) -> str:
    """The bytes of a pod when all that design section 10 calls ours is taken out."""
    left = copy.deepcopy(pod)
    metadata, spec = left["metadata"], left["spec"]
    for group in ("labels", "annotations"):
        kept = {k: v for k, v in (metadata.pop(group, None) or {}).items() if k not in SET_BY_US}
        metadata[group] = kept
    for group in ("initContainers", "containers", "volumes"):
        spec[group] = [one for one in spec.get(group) or [] if not OURS.fullmatch(one["name"])]
    for container in (*spec["initContainers"], *spec["containers"]):
        for group in ("env", "volumeMounts"):
            entries = container.get(group) or []
            container[group] = [one for one in entries if not OURS.fullmatch(one["name"])]
    return json.dumps(left, sort_keys=True)


SET_BY_US = ("featward.dev/injected", "featward.dev/server", "featward.dev/status")


@given(pods)
def test_everything_not_ours_stays_byte_equal(pod: dict[str, Any]) -> None:
    answer = answer_of(pod, NAMESPACE)
    assert not answer.decision.refused, answer.explanation.sentence
    after = admitted(pod, answer)
    assert without_ours(after) == without_ours(pod)
    assert after["spec"]["initContainers"][0]["name"] == "featward-sidecar"
    assert answer_of(after, NAMESPACE).patch == ()


def defaulted(value: Any) -> Any:
    """As a server that fills in what was left out, and another injector that adds to every container."""
    if isinstance(value, dict):
        filled = {key: defaulted(one) for key, one in value.items()}
        if "image" in filled or "resources" in filled:
            filled["env"] = [*(filled.get("env") or []), {"name": "OTHER", "value": "1"}]
            filled.setdefault("terminationMessagePath", "/dev/termination-log")
        if "httpGet" in filled:
            filled["httpGet"].setdefault("scheme", "HTTP")
            filled.setdefault("successThreshold", 1)
        if "projected" in filled:
            filled["projected"].setdefault("defaultMode", 420)
        return filled
    return [defaulted(one) for one in value] if isinstance(value, list) else value


@given(pods)
def test_defaults_and_other_injectors_cause_no_second_patch(pod: dict[str, Any]) -> None:
    after = defaulted(admitted(pod, answer_of(pod, NAMESPACE)))
    assert answer_of(after, NAMESPACE).patch == ()
