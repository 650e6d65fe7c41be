"""From the objects of a cluster to a `Directory`, without asking anybody: an object that can't be used costs
what it says and nothing else.

A folder is one text that one person corrects, so one error there refuses the whole edit. A cluster's objects
are many people's. A Workload that can't be read, or contradicts another, is as it was, or not there; a
BusinessUnit keeps its lifetime of before, else the default, because everybody in it would lose their identities
without it; and only the Environment itself holds up all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from featward.manifests.document import AnyModel, Document
from featward.manifests.findings import Finding
from featward.manifests.model import API_VERSION
from featward.manifests.objects import document_of
from featward.manifests.platform import AUTHORITY_TTLS, Environment, Workload
from featward.manifests.text import in_text
from featward_ca.directory import Directory
from featward_ca.errors import ConfigurationError
from featward_ca.manifests import directory_of, workload_of
from featward_ca.settings import AUTHORITY_LIFETIME, ROOT_LIFETIME


@dataclass(frozen=True)
class Malformed:
    """An object that can't be read, and why."""

    why: str


def read(raw: Mapping[str, Any]) -> Document[AnyModel] | Malformed:
    """An object as the server gives it."""
    found = document_of(raw)
    return found if isinstance(found, Document) else Malformed(_words(found))


class Objects:
    """All that is known of a cluster's objects, each as it was last when it could be read."""

    def __init__(self, cluster: str, environment: str) -> None:
        self._where = f"the cluster {cluster}"
        self._environment = environment
        self._good: dict[tuple[str, str], Document[AnyModel]] = {}
        self._bad: dict[tuple[str, str], str] = {}

    def put(self, kind: str, name: str, found: Document[AnyModel] | Malformed | None) -> None:
        """An object is this now; None: it is gone, and nothing is left of it."""
        key = kind, name
        self._bad.pop(key, None)
        if isinstance(found, Document):
            self._good[key] = found
            return
        if found is None:
            self._good.pop(key, None)
        else:
            self._bad[key] = found.why

    def directory(self, before: Directory | None = None) -> tuple[Directory, list[str]]:
        """What the CA acts on, and what is wrong with objects that it does without. `before` is what it has
        acted on until now. Raises ConfigurationError where the Environment can't be used.
        """
        problems = [self._problem(*key) for key in self._bad]
        environment = self._good.get(("Environment", self._environment))
        if environment is None:
            raise ConfigurationError(self._without_environment())
        assert isinstance(environment.model, Environment)  # noqa: S101  the key says so
        units = [*self._of("BusinessUnit"), *self._unreadable_units()]
        known = {f"{self._environment}.default", *(unit.name for unit in units)}
        trust_domain = environment.model.spec.trust_domain
        workloads = self._workloads(known, trust_domain, problems)
        documents = (*self._of("Environment"), *units, *workloads)
        made = directory_of(documents, self._environment, self._where, namespaces=False)
        if len(self._names("Environment")) > 1:
            # One that can't be read is one all the same, and then nobody is anybody's by default.
            made = replace(made, default_unit=None)
        return _with_lives_that_hold(made, before, problems), sorted(problems)

    def _without_environment(self) -> str:
        name = self._environment
        if why := self._bad.get(("Environment", name)):
            return f"the Environment {name} of {self._where} can't be used: {why}"
        others = ", ".join(sorted(self._names("Environment"))) or "none"
        return (
            f"no Environment {name} yet in {self._where}: apply one, or correct --environment; there are:"
            f" {others}"
        )

    def _of(self, kind: str) -> list[Document[AnyModel]]:
        return [one for (of, _), one in sorted(self._good.items()) if of == kind]

    def _names(self, kind: str) -> set[str]:
        return {name for of, name in (*self._good, *self._bad) if of == kind}

    def _problem(self, kind: str, name: str) -> str:
        kept = "; it stays as it was" if (kind, name) in self._good else ""
        return f"{kind} {name}: {self._bad[kind, name]}{kept}"

    def _unreadable_units(self) -> Iterable[Document[AnyModel]]:
        """Units that were never read: that they exist is certain, and all else has a default."""
        for kind, name in self._bad:
            if kind == "BusinessUnit" and (kind, name) not in self._good:
                bare = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}}
                if isinstance(found := document_of(bare), Document):
                    yield found

    def _workloads(
        self, units: set[str], trust_domain: str, problems: list[str]
    ) -> Iterable[Document[AnyModel]]:
        """Those of this environment that contradict nothing; of two with one name the older."""
        taken: dict[str, str] = {}
        for document in sorted(self._of("Workload"), key=lambda one: (one.created, one.name)):
            model = document.model
            assert isinstance(model, Workload)  # noqa: S101  the key says so
            unit, name = model.spec.business_unit, model.spec.name
            if not unit.startswith(f"{self._environment}."):
                continue
            if unit not in units:
                problems.append(f"{document}: its business unit {unit} is not declared; add it")
            elif first := taken.get(f"{unit}/{name}"):
                problems.append(
                    f"{document}: {first}, which is older, is {unit}/{name} too; leave one"
                )
            elif why := self._unnamable(model, trust_domain):
                problems.append(f"{document}: {why}")
            else:
                taken[f"{unit}/{name}"] = str(document)
                yield document

    def _unnamable(self, model: Workload, trust_domain: str) -> str:
        try:
            workload_of(model, self._environment, trust_domain)
        except ConfigurationError as error:
            return str(error)
        return ""


def _with_lives_that_hold(
    made: Directory, before: Directory | None, problems: list[str]
) -> Directory:
    """The same, but that no unit's authority would live too shortly, or longer than the root, beside the
    Environment's svidTTL.
    """
    least, units = AUTHORITY_TTLS * made.svid_lifetime, dict(made.business_units)
    for name, lifetime in made.business_units.items():
        if least <= lifetime <= ROOT_LIFETIME:
            continue
        last = (before.business_units.get(name) if before else None) or AUTHORITY_LIFETIME
        units[name] = last if least <= last <= ROOT_LIFETIME else AUTHORITY_LIFETIME
        problems.append(
            f"BusinessUnit {name}: its authority would live {in_text(lifetime)}, and"
            f" {in_text(least)} ({AUTHORITY_TTLS} x the svidTTL) to {in_text(ROOT_LIFETIME)} can hold;"
            f" it lives {in_text(units[name])} until authority.lifetime is corrected"
        )
    return replace(made, business_units=units)


def _words(findings: list[Finding]) -> str:
    """All that was found in one object, where it stands in it."""
    return "; ".join(f"{one.path}: {one.message}, {one.remedy}" for one in findings)
