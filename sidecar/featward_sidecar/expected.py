"""The identities that a workload of the configuration may get: the CA decides which, and this says which not.

Apart from the evidence, which is only shown: what comes back for it is looked at by this.
"""

from collections.abc import Container

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId

__all__ = ["ServiceAccountIds", "workload_ids"]


def workload_ids(trust_domain: str, workload: str) -> tuple[str, ...]:
    """The identities that a Workload of the configuration may get: the CA knows whether it is a job.

    >>> workload_ids("prod.acme.example", "prod.payments/feast")
    ('spiffe://prod.acme.example/bu/payments/svc/feast', 'spiffe://prod.acme.example/bu/payments/ci/feast')
    """
    business_unit, _, name = workload.partition("/")
    unit = business_unit.partition(".")[2]
    makers = SpiffeId.workload, SpiffeId.ci_job
    return tuple(str(make(trust_domain, unit, name)) for make in makers)


class ServiceAccountIds(Container[str]):
    """The identities that a Kubernetes service account may get: its business unit is that of its namespace,
    which the CA asks the cluster for, and which may change while we run.

    >>> "spiffe://a.example/bu/risk/ns/ml/sa/feast" in ServiceAccountIds("a.example", "ml/feast")
    True
    """

    def __init__(self, trust_domain: str, workload: str) -> None:
        self._namespace, _, self._name = workload.partition("/")
        self._trust_domain = trust_domain

    def __contains__(self, spiffe_id: object) -> bool:
        try:
            unit = SpiffeId.parse(str(spiffe_id)).business_unit or ""
            return spiffe_id == str(self._with(unit))
        except SpiffeIdError:
            return False

    def __str__(self) -> str:
        return f"spiffe://{self._trust_domain}/bu/…/ns/{self._namespace}/sa/{self._name}"

    def _with(self, unit: str) -> SpiffeId:
        return SpiffeId.service_account(self._trust_domain, unit, self._namespace, self._name)
