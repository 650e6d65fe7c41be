"""The reference page of the manifests says what the models read."""

import re
from pathlib import Path

from featward.manifests import Document, load_texts
from featward.manifests.document import CLUSTER_KINDS, KINDS
from featward.manifests.objects import document_of
from featward.manifests.reference import page
from featward.strictyaml import read

PAGE = Path(__file__).parents[2] / "docs" / "manifests.md"


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text() == page(), "the models have changed: run make docs"


def test_every_key_has_a_meaning() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert [row for row in rows if row.rstrip(" |").endswith("|")] == []


def test_every_kind_has_a_section() -> None:
    for kind in CLUSTER_KINDS:
        assert f"\n## {kind}\n" in page()


def test_every_example_is_right_in_itself() -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```$", page(), re.MULTILINE | re.DOTALL)
    of_clusters = [text for text in examples if "kind: Override\n" in text]
    in_files = [text for text in examples if text not in of_clusters]
    loaded = load_texts([(str(number), text) for number, text in enumerate(in_files)])
    assert loaded.findings == ()
    assert {document.kind for document in loaded.documents} == set(KINDS)
    for text in of_clusters:
        assert isinstance(document_of(read(text)[0][0].value), Document)
