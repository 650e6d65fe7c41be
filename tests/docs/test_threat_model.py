"""The threat model names a test for each row, and every test that it names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
NAMED = re.compile(r"`([\w/]+\.(?:py|rs))::(\w+)`")
NOTHING = "no part of featward"
# The classes of defects found in other issuers, and the threats against a CA, that were collected before
# the CA was written: none may fall out of the page. Each is a word or two of its row's name.
DEFECTS = [
    "Verify one thing, parse another",
    "token used concurrently",
    "resumption skips the chain",
    "`exp` not enforced",
    "key or certificate costs a processor",
    "attacker's choice",
    "page size",
    "in logs",
    "Authorization bypass",
    "mask copied",
    "Path validation skipped",
    "review for every bogus token",
]
THREATS = [
    "Intermediate key stolen",
    "Root key stolen",
    "Stolen service account token",
    "node agent",
    "tenant or business unit admin",
    "CSR abuse",
    "Insider mis-issuance",
    "denial of service",
    "Clock faults",
    "Bundle tampering",
    "Replay of JWT-SVIDs",
    "isolation of environments",
]
CLUSTER = [
    "relabelled",
    "without its sidecar",
    "suspended",
    "webhook",
    "lies to the operator",
    "Policy read",
    "first contact",
    "consent",
    "past the sidecar",
]
NAMELESS = ["Node agents", "JWT-SVIDs", "Challenge attestors", "KMS"]


def rows() -> dict[str, str]:
    """The rows of the page's tables of threats and defects, by their bold names."""
    found = re.findall(r"^\| \*\*(.+?)\*\* \|(.+)$", PAGE, re.MULTILINE)
    return dict(found)


@pytest.mark.parametrize("part", [*THREATS, *DEFECTS, *CLUSTER])
def test_every_known_threat_and_defect_has_its_row(part: str) -> None:
    assert sum(part in name for name in rows()) == 1


@pytest.mark.parametrize("name", rows())
def test_every_row_names_a_test_or_says_that_there_is_no_such_part(name: str) -> None:
    shown = rows()[name].removesuffix(" |").rpartition(" | ")[2]
    assert NAMED.search(shown) or shown == NOTHING


@pytest.mark.parametrize(("file", "function"), sorted(set(NAMED.findall(PAGE))))
def test_every_test_that_is_named_exists(file: str, function: str) -> None:
    assert (ROOT / file).exists(), f"there is no {file}"
    definition = rf"\b{'fn' if file.endswith('.rs') else 'def'} {function}\("
    assert re.search(definition, (ROOT / file).read_text("utf-8")), f"{file} has no {function}"


def test_what_featward_has_no_part_for_is_said() -> None:
    said = PAGE.partition("## What featward has no part for")[2]
    assert all(f"**{part}" in said for part in NAMELESS)


def test_every_regression_is_named_by_the_page() -> None:
    """A test of another issuer's defect that no row knows was forgotten, or its row was."""
    named = set(NAMED.findall(PAGE))
    here = [
        (f"tests/regressions/{file.name}", function)
        for file in sorted((ROOT / "tests" / "regressions").glob("test_*.py"))
        for function in re.findall(
            r"^(?:async )?def (test_\w+)", file.read_text("utf-8"), re.MULTILINE
        )
    ]
    assert len(here) > 20
    assert not [f"{file}::{function}" for file, function in here if (file, function) not in named]
