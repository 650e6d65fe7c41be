"""How people name an identity: by its SPIFFE ID, or in short by who owns it and its name.

Every command reads such a name here. What a short form stands for, only those know who have the manifests;
whether an identity may be the one that is meant can be seen without them.
"""

import re
from dataclasses import dataclass
from typing import Self

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId

__all__ = ["FORMS", "Called"]

FORMS = (
    "a SPIFFE ID, such as spiffe://prod.acme.example/bu/payments/svc/pricing-api, a Workload as "
    "<environment>.<unit>/<name>, such as prod.payments/pricing-api, or a service account as <namespace>/<name>"
)

_SHORT = re.compile(r"([a-z0-9-]+(?:\.[a-z0-9-]+)?)/([A-Za-z0-9._-]+)")


@dataclass(frozen=True, slots=True)
class Called:
    """One name as it was given. `owner` and `name` are the parts of a short form, empty for a SPIFFE ID."""

    text: str
    spiffe_id: SpiffeId | None = None
    owner: str = ""
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name; raises SpiffeIdError, with all forms that there are.

        >>> Called.parse("prod.payments/pricing-api").is_workload
        True
        """
        if text.startswith("spiffe:"):
            return cls(text, SpiffeId.parse(text))
        if found := _SHORT.fullmatch(text):
            return cls(text, None, *found.groups())
        raise SpiffeIdError(f"{text[:200]!r} names no identity: give {FORMS}")

    @property
    def is_workload(self) -> bool:
        """Whether a short form is a Workload's: a namespace is one label, so a dot makes it a business unit."""
        return "." in self.owner

    def fits(self, spiffe_id: str, trust_domain: str | None) -> bool:
        """Whether this SPIFFE ID may be what a short form stands for, or is the one that was given.

        `trust_domain`: the one that short forms are of; None where it is not known, and then any will do. The
        name of an environment is no part of an identity, so it is not compared.

        >>> Called.parse("prod.p/x").fits("spiffe://a.example/bu/p/ci/x", "a.example")
        True
        """
        if self.spiffe_id is not None:
            return spiffe_id == str(self.spiffe_id)
        try:
            found = SpiffeId.parse(spiffe_id)
        except SpiffeIdError:
            return False
        if trust_domain not in (None, found.trust_domain):
            return False
        unit = found.business_unit or ""
        if self.is_workload:
            meant = self.owner.partition(".")[2]
            makers = (SpiffeId.workload, SpiffeId.ci_job)
            return found in [make(found.trust_domain, meant, self.name) for make in makers]
        return bool(unit) and found == SpiffeId.service_account(
            found.trust_domain, unit, self.owner, self.name
        )
