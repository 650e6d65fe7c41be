"""What can be wrong with manifests, as data: one table of codes, one type for what was found.

Findings are not errors that are raised: one run reports all of them. The table says of each code how bad it is
and whether a snapshot may still be made. What an edit broke blocks; what only time or another team's object
brought about does not, because the rules of the decision already say what holds then.
"""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["CODES", "Code", "Finding", "Scope", "Severity", "printable"]


class Severity(StrEnum):
    """An error makes `featward check` fail, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Scope(StrEnum):
    """How far a finding that blocks reaches in a cluster. In a folder each of them blocks everything."""

    BINDING = "binding"
    """The binding grants nothing; all others do."""
    SET = "set"
    """The workload that serves the set is held: it keeps the policy that it has."""
    PLATFORM = "platform"
    """Every workload below is held: of the environment, the business unit or the namespace."""


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the table: what a code means, and what it does.

    ``scope`` is None where it is that of the document which the finding stands in.
    """

    meaning: str
    severity: Severity = Severity.ERROR
    blocks: bool = True
    scope: Scope | None = None


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing wrong in one place of one file; ``line`` and ``column`` count from 1.

    ``kind`` and ``name`` are those of the document it stands in, and "" where none was found.
    """

    file: str
    line: int
    column: int
    path: str
    code: str
    message: str
    remedy: str
    kind: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        # A manifest's text ends in terminals, and must not steer them.
        for name in ("path", "message", "remedy"):
            object.__setattr__(self, name, printable(getattr(self, name)))

    @property
    def severity(self) -> Severity:
        return CODES[self.code].severity

    @property
    def blocks(self) -> bool:
        """Whether no snapshot is made while this stands."""
        return CODES[self.code].blocks

    @property
    def scope(self) -> Scope:
        """How far it reaches in a cluster, if it blocks."""
        return CODES[self.code].scope or _SCOPES.get(self.kind, Scope.PLATFORM)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.code}: {self.message}; {self.remedy}"

    def as_json(self) -> dict[str, str | int | bool]:
        """For `--output json` and the policy subprocess; the names are part of the interface."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "code": self.code,
            "severity": str(self.severity),
            "message": self.message,
            "remedy": self.remedy,
            "blocks": self.blocks,
        }


def printable(text: str) -> str:
    """The text with everything that a terminal would not show written as an escape."""
    if text.isprintable():
        return text
    return "".join(mark if mark.isprintable() else ascii(mark)[1:-1] for mark in text)


# Of kinds that are not here: those that say who may exist. An approval or an Override that can't be read only
# fails to do what it was made for.
_SCOPES = {
    "FeatureBinding": Scope.BINDING,
    "GrantApproval": Scope.BINDING,
    "Override": Scope.BINDING,
    "FeatureSet": Scope.SET,
}


def _warning(meaning: str) -> Code:
    return Code(meaning, Severity.WARNING, blocks=False)


CODES: dict[str, Code] = {
    # Reading
    "unreadable-file": Code("The file can't be opened."),
    "not-utf8": Code("The file is not UTF-8 text."),
    "yaml-syntax": Code("The text is not YAML."),
    "yaml-tag": Code(
        "A YAML tag such as `!!str`: featward and Kubernetes might read it differently."
    ),
    "yaml-anchor": Code("A YAML anchor or alias: what is granted must stand where it is read."),
    "yaml-merge-key": Code("A YAML merge key (`<<`)."),
    "ambiguous-scalar": Code(
        "A plain value that YAML readers read differently, such as `yes` or `017`."
    ),
    "number-out-of-range": Code("A number that does not fit into 64 bits."),
    "key-not-text": Code("A key that is no text."),
    "duplicate-key": Code("A key given twice in one mapping."),
    "too-deep": Code("Nested deeper than any manifest is."),
    "no-documents": Code("The folder holds no manifest at all."),
    # Shape
    "not-a-mapping": Code("A document that is no mapping of keys to values."),
    "unknown-kind": Code("A kind or API version that featward does not know."),
    "unknown-label": _warning(
        "A label or annotation of `featward.dev/` on an object of a cluster that this version does not know. "
        "In a file it is an `unknown-key`."
    ),
    "unknown-key": Code("A key that this version does not know, and so would not enforce."),
    "missing-key": Code("A required key is missing."),
    "empty-value": Code("A key without a value."),
    "wrong-type": Code("A value of another type than expected."),
    "invalid-value": Code("A value of the right type that is not allowed."),
    # References between documents
    "duplicate-name": Code("Two things of one kind with one name."),
    "unknown-environment": Code(
        "A business unit of an environment that is not declared.", scope=Scope.PLATFORM
    ),
    "unknown-business-unit": Code("A business unit that is not declared."),
    "unknown-namespace": Code("A namespace that is not declared."),
    "unknown-workload": Code("A workload that is not declared."),
    "unknown-jwt-issuer": Code(
        "An issuer of JWTs that the environment does not have.", scope=Scope.PLATFORM
    ),
    "unknown-feature-set": Code(
        "A feature set that is not in the binding's namespace.", scope=Scope.BINDING
    ),
    "unknown-feature": Code("A feature that its feature set does not list."),
    "unknown-service": Code("A service that its feature set does not list.", scope=Scope.BINDING),
    "namespace-without-business-unit": Code(
        "A namespace without the label `featward.dev/business-unit` where several environments are declared."
    ),
    "undeclared-identity": _warning(
        "A SPIFFE ID of this environment that no declared workload can prove."
    ),
    "not-foreign": Code(
        "An environment federates with one trust domain twice, or with one of an own environment.",
        scope=Scope.PLATFORM,
    ),
    "authority-too-short": Code(
        "A business unit's issuing certificate would live less than six times the `svidTTL`, too short to be "
        "replaced while everybody learns of the next. The CA does not start with it.",
        blocks=False,
    ),
    "rotation-too-often": Code(
        "A business unit's issuing key would be replaced after less than six times the `svidTTL`, before "
        "everybody has learned of the one before. The CA replaces it no more often than that.",
        blocks=False,
    ),
    # Serving
    "feature-claimed-twice": Code(
        "Two feature sets of one serving workload list one feature. The older one keeps it; of files, the "
        "first by namespace and name.",
        blocks=False,
    ),
    "service-claimed-twice": Code(
        "Two feature sets of one serving workload list one service. The older one keeps it; of files, the "
        "first by namespace and name.",
        blocks=False,
    ),
    "answer-name-collision": Code(
        "Two columns of one answer would have one name, so neither could be judged.",
        scope=Scope.SET,
    ),
    "column-type-conflict": Code(
        "An entity or request input has two types at one serving workload.",
        scope=Scope.SET,
    ),
    "endpoint-conflict": Code(
        "Two feature sets of one serving workload name different feature servers.",
        scope=Scope.SET,
    ),
    "gateway-endpoint": Code(
        "A gateway's `upstream` is on loopback, where its pods have no feature server."
    ),
    "token-in-clear": Code(
        "`upstreamAuth` would send a token unencrypted to a feature server on another machine.",
        scope=Scope.SET,
    ),
    "address-missing": _warning(
        "Clients can't find the feature set: `serving.address` is missing."
    ),
    "observe-after-enforce-by": Code(
        "A feature set is in observe after the environment's `enforceBy`.",
        scope=Scope.SET,
    ),
    "unidentified-in-enforce": _warning(
        "Callers without identity are allowed in a mode that refuses them."
    ),
    # Grants
    "grant-across-business-units": Code(
        "A binding grants to a workload of another business unit without a GrantApproval. It is left out.",
        blocks=False,
    ),
    "foreign-trust-domain": Code(
        "A binding grants to an identity of another environment, or of a trust domain that its environment "
        "does not federate with.",
        scope=Scope.BINDING,
    ),
    "subject-not-a-workload": Code(
        "A binding grants to an identity that no workload of a business unit has.",
        scope=Scope.BINDING,
    ),
    "above-ceiling": Code(
        "A binding grants features above its business unit's ceiling without a GrantApproval. They are left "
        "out.",
        blocks=False,
    ),
    "outlives-ceiling": Code(
        "A binding lives longer than its business unit's ceiling allows.", scope=Scope.BINDING
    ),
    "version-mismatch": _warning(
        "A binding's version range misses the feature set's version: it does not apply."
    ),
    "expired": Code("A binding has expired: it grants nothing.", blocks=False),
    # Governance
    "recertification-due": _warning(
        "A binding has to be looked at again by its owner within 30 days."
    ),
    "recertification-overdue": Code(
        "A binding was not looked at again in time. It grants nothing where its business unit's ceiling says "
        "`suspendOverdue`.",
        blocks=False,
    ),
    "approval-void": Code(
        "A GrantApproval that approves nothing: its binding was edited after it, or belongs to another "
        "business unit.",
        blocks=False,
    ),
    "approval-expired": Code(
        "A binding needs a consent that has ended: it grants nothing.", blocks=False
    ),
    "override-too-long": Code(
        "An Override that would hold longer than the `maxOverride` of its environment, or one of an "
        "environment that has none. It is not in force.",
        blocks=False,
    ),
    "override-without-target": _warning("An Override of something that is not declared."),
    "approval-without-binding": _warning("A GrantApproval of a binding that is not declared."),
}
