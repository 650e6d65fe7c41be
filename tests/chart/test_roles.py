"""What the roles of the chart allow, asked of a real API server: what featward needs, and no more."""

from collections.abc import Iterator

import pytest

from chart_kit import NAMESPACE
from chart_releases import BOTH, CA, OPERATOR, release
from kubernetes_kit import Kubernetes
from kubernetes_programs import BUILD_SECONDS

pytestmark = pytest.mark.timeout(BUILD_SECONDS)

ADMISSION = "admissionregistration.k8s.io"
HOOKS = "mutatingwebhookconfigurations"


@pytest.fixture(scope="module")
def asked(server: Kubernetes) -> Iterator[Kubernetes]:
    """With the chart in it, and three people who have its roles."""
    with release(server, BOTH):
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        for role in ("assigner", "approver", "overrider", "rotator", "view", "edit"):
            binding = {
                "metadata": {"name": f"a-{role}"},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": f"featward-{role}",
                },
                "subjects": [{"kind": "User", "name": role}],
            }
            server.call("POST", f"{rbac}/clusterrolebindings", binding)
        yield server


def may(
    server: Kubernetes, user: str, verb: str, what: str, name: str = "", space: str = ""
) -> bool:
    """Whether the user may; `what` is `group/resource`, or `resource` of the core group."""
    group, _, resource = what.rpartition("/")
    resource, _, part = resource.partition(":")
    asked = {
        "user": user,
        "resourceAttributes": {
            "verb": verb,
            "group": group,
            "resource": resource,
            "subresource": part,
            "name": name,
            "namespace": space,
        },
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    answer = server.call("POST", path, {"spec": asked})
    return bool(answer["status"]["allowed"])


@pytest.mark.parametrize(
    ("user", "verb", "what", "name", "space", "allowed"),
    [
        (OPERATOR, "watch", "featward.dev/featuresets", "", "", True),
        (OPERATOR, "update", "featward.dev/featuresets", "a", "ml", False),
        (OPERATOR, "patch", "featward.dev/featuresets:status", "a", "ml", True),
        (OPERATOR, "create", "featward.dev/overrides", "", "", False),
        (OPERATOR, "assign", "featward.dev/businessunits", "prod.a", "", False),
        (OPERATOR, "watch", "pods", "", "", True),
        (OPERATOR, "delete", "pods", "a", "ml", False),
        (OPERATOR, "patch", "namespaces", "ml", "", False),
        (OPERATOR, "patch", "services", "feast-featward", "ml", True),
        (OPERATOR, "delete", "services", "feast-featward", "ml", True),
        (OPERATOR, "deletecollection", "services", "", "ml", False),
        (OPERATOR, "create", "configmaps", "featward-trust", "ml", True),
        (OPERATOR, "watch", "configmaps", "featward-trust", "", True),
        (OPERATOR, "watch", "configmaps", "", "", False),
        (OPERATOR, "patch", "configmaps", "another", "ml", False),
        (OPERATOR, "update", "secrets", "featward-webhook-ca", NAMESPACE, True),
        (OPERATOR, "get", "secrets", "featward-ca-prod-kek", NAMESPACE, False),
        (OPERATOR, "list", "secrets", "", NAMESPACE, False),
        (OPERATOR, "get", "secrets", "a", "ml", False),
        (OPERATOR, "update", "coordination.k8s.io/leases", "featward-operator", NAMESPACE, True),
        (OPERATOR, "update", "coordination.k8s.io/leases", "another", NAMESPACE, False),
        (OPERATOR, "create", "events.k8s.io/events", "", "ml", True),
        (OPERATOR, "patch", f"{ADMISSION}/{HOOKS}", "featward", "", True),
        (OPERATOR, "patch", f"{ADMISSION}/{HOOKS}", "another", "", False),
        (OPERATOR, "patch", f"{ADMISSION}/validatingadmissionpolicies", "featward-pods", "", False),
        (OPERATOR, "create", "authentication.k8s.io/tokenreviews", "", "", False),
        (OPERATOR, "create", "serviceaccounts:token", "a", "ml", False),
        (OPERATOR, "create", "apps/deployments", "driver-stats-gateway", "ml", True),
        (OPERATOR, "create", "pods:exec", "a", "ml", False),
        (CA, "create", "authentication.k8s.io/tokenreviews", "", "", True),
        (CA, "get", "namespaces", "ml", "", True),
        (CA, "list", "namespaces", "", "", False),
        (CA, "watch", "featward.dev/environments", "", "", True),
        (CA, "watch", "featward.dev/featuresets", "", "", False),
        (CA, "patch", "featward.dev/environments:status", "prod", "", False),
        (CA, "get", "secrets", "featward-ca-prod-kek", NAMESPACE, True),
        (CA, "update", "secrets", "featward-ca-prod-kek", NAMESPACE, False),
        (CA, "patch", "secrets", "featward-ca-prod-kek", NAMESPACE, False),
        (CA, "get", "secrets", "featward-ca-dev-kek", NAMESPACE, False),
        (CA, "patch", "configmaps", "featward-bundle-prod", NAMESPACE, True),
        (CA, "patch", "configmaps", "featward-bundle-dev", NAMESPACE, False),
        (CA, "patch", "configmaps", "featward-trust", "ml", False),
        (CA, "get", "pods", "a", "ml", False),
    ],
)  # fmt: skip  # a table
def test_the_roles_allow_what_is_asked_and_no_more(
    asked: Kubernetes, user: str, verb: str, what: str, name: str, space: str, allowed: bool
) -> None:
    assert may(asked, user, verb, what, name, space) is allowed


@pytest.mark.parametrize(
    ("user", "verb", "what", "allowed"),
    [
        ("assigner", "assign", "featward.dev/businessunits", True),
        ("assigner", "approve", "featward.dev/businessunits", False),
        ("assigner", "patch", "namespaces", False),
        ("approver", "approve", "featward.dev/businessunits", True),
        ("approver", "create", "featward.dev/grantapprovals", True),
        ("approver", "assign", "featward.dev/businessunits", False),
        ("overrider", "override", "featward.dev/featuresets", True),
        ("overrider", "override", "featward.dev/environments", True),
        ("overrider", "create", "featward.dev/overrides", True),
        ("overrider", "patch", "featward.dev/overrides", False),
        ("overrider", "patch", "featward.dev/featuresets", False),
        ("rotator", "patch", "featward.dev/environments", True),
        ("rotator", "patch", "featward.dev/businessunits", True),
        ("rotator", "watch", "featward.dev/businessunits", True),
        ("rotator", "update", "featward.dev/environments", False),
        ("rotator", "delete", "featward.dev/environments", False),
        ("rotator", "patch", "featward.dev/environments:status", False),
        ("rotator", "override", "featward.dev/environments", False),
        ("rotator", "assign", "featward.dev/businessunits", False),
        ("view", "list", "featward.dev/featurebindings", True),
        ("view", "create", "featward.dev/featurebindings", False),
        ("edit", "create", "featward.dev/featurebindings", True),
        ("edit", "override", "featward.dev/featuresets", False),
        ("edit", "create", "featward.dev/grantapprovals", False),
        ("edit", "patch", "featward.dev/featuresets:status", False),
    ],
)
def test_people_get_what_their_role_says(
    asked: Kubernetes, user: str, verb: str, what: str, allowed: bool
) -> None:
    assert may(asked, user, verb, what) is allowed
