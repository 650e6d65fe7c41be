"""Which clusters have native sidecars."""

import pytest

from featward_operator.webhook.cluster_age import too_old


@pytest.mark.parametrize(
    ("server", "kubelets", "said"),
    [
        ("v1.33.0", [], ""),
        ("v1.37.2+k3s1", [("a", "v1.29.0"), ("b", "v1.37.1-gke.7")], ""),
        ("v1.32.9", [], "the API server is v1.32.9"),
        ("v2.0.0", [], ""),
        ("v1.33.0", [("a", "v1.28.15")], "the kubelet of node a is older than 1.29"),
        (
            "v1.33.0",
            [("b", "v1.27.1"), ("c", "v1.30.0"), ("a", "v1.28.0")],
            "the kubelet of node a and 1 more is older than 1.29",
        ),
        ("v1.33.0", [("a", "")], ""),
        ("v1.33.0", [("fake", "kwok-v0.7")], ""),
    ],
)
def test_what_is_too_old(server: str, kubelets: list[tuple[str, str]], said: str) -> None:
    assert too_old(server, kubelets) == said
