"""The steps of a ceremony as YAML files say them, read by the rules of manifests: what two readers may
read differently is refused, and so is every key that no step has.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from featward import strictyaml
from featward.manifests.document import SourceFile
from featward.manifests.shape import modelled
from featward.manifests.text import Duration, TrustDomainName, in_text, seconds
from featward_ca.errors import CaError
from featward_ca.settings import DAY


class CeremonyError(CaError):
    """A step of the ceremony was not done; the text says why."""


class _Step(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, populate_by_name=True
    )


def _at_least(least: float, why: str) -> AfterValidator:
    def check(text: str) -> str:
        if seconds(text) < least:
            raise ValueError(f"expected {in_text(least)} at the least, {why}")
        return text

    return AfterValidator(check)


class RootStep(_Step):
    """Make a root's key and certificate, on the machine that keeps them."""

    kind: Literal["root"]
    trust_domain: TrustDomainName
    lifetime: Annotated[
        Duration, _at_least(30 * DAY, "because people make the next root, and tell everybody of it")
    ]
    key_encryption_key: str
    key: str
    certificate: str


class RequestStep(_Step):
    """Ask the CA for the requests that wait, one file each."""

    kind: Literal["request"]
    admin_socket: str
    requests: str


class SignStep(_Step):
    """Sign requests with the offline root."""

    kind: Literal["sign"]
    key_encryption_key: str
    key: str
    certificate: str
    lifetime: Annotated[Duration, _at_least(DAY, "because people sign the next authority")]
    requests: str
    certificates: str


class ImportStep(_Step):
    """Give the CA what was signed, and a new root if there is one."""

    kind: Literal["import"]
    admin_socket: str
    certificates: str | None = None
    root: str | None = None

    @model_validator(mode="after")
    def _something(self) -> "ImportStep":
        if self.certificates is None and self.root is None:
            raise ValueError("an import names root (a file), certificates (a folder), or both")
        return self


Step = RootStep | RequestStep | SignStep | ImportStep
_KINDS: dict[object, type[Step]] = {
    "root": RootStep,
    "request": RequestStep,
    "sign": SignStep,
    "import": ImportStep,
}


def read(file: Path) -> Step:
    """The step that a file describes; its paths are relative to the file. Raises CeremonyError,
    which says all that is wrong with it.
    """
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise CeremonyError(
            f"{file} can't be read: {error.strerror}; name the YAML file of a step, as"
            " docs/operations/ceremony.md shows it"
        ) from error
    except UnicodeDecodeError as error:
        raise CeremonyError(f"{file} can't be read: it is no text in UTF-8") from error
    trees, faults = strictyaml.read(text)
    if faults:
        said = (f"{file}:{one.line}: {one.message}; {one.remedy}" for one in faults)
        raise CeremonyError("\n".join(said))
    if len(trees) != 1 or not isinstance(trees[0].value, dict):
        raise CeremonyError(f"{file}: expected one step, a mapping that begins with kind: root")
    value = trees[0].value
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in _KINDS:
        has = f"the kind {kind!r} is no step" if "kind" in value else "there is no kind"
        raise CeremonyError(f"{file}: {has}; write kind: root, request, sign or import")
    found = modelled(value, _KINDS[kind], SourceFile(str(file), text), 0)
    if isinstance(found, list):
        said = (f"{file}:{one.line}: {one.message}; {one.remedy}" for one in found)
        raise CeremonyError("\n".join(said))
    return found
