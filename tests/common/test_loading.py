"""Loading never fails: whatever a folder holds, the outcome is documents and findings."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from featward.errors import CompileError, FolderError
from featward.identity.spiffe import SpiffeId
from featward.manifests import dump, load, load_texts, validate
from featward.manifests.feature_binding import FeatureBinding
from featward.policy import compile as compile_snapshot
from featward.strictyaml import Path as NodePath
from featward.strictyaml import read

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "driver-stats"
NOW = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
FEAST = SpiffeId.parse("spiffe://prod.acme.example/bu/payments/svc/feast")
# Beside the example, a grant that needs consent and has it.
SHARED = """\
apiVersion: featward.dev/v1alpha1
kind: FeatureBinding
metadata: {name: shared, namespace: pricing}
spec:
  subjects: [{businessUnit: prod.default}, {spiffeId: "spiffe://prod.acme.example/bu/default/svc/x"}]
  featureSet: {name: driver-stats}
  features: ["driver_hourly_stats:home"]
  purpose: shared
  expires: "2097-03-31"
  recertifyBy: "2026-11-30"
---
apiVersion: featward.dev/v1alpha1
kind: GrantApproval
metadata: {name: shared}
spec:
  binding: {namespace: pricing, name: shared}
  bindingDigest: "sha256:7bad46e852f3d09ed797c5ebf318346f46a1f76f50ed2ca09fa3133553d1d71a"
  businessUnit: prod.payments
  reason: agreed
  expires: "2026-11-22"
"""
TREES = [
    tree.value
    for text in (*(path.read_text() for path in sorted(EXAMPLE.glob("*.yaml"))), SHARED)
    for tree in read(text)[0]
]


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "x", "v:f"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=5,
)


def nodes(value: Any, path: NodePath = ()) -> list[NodePath]:
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    return [path, *(found for key, child in children for found in nodes(child, (*path, key)))]


def replaced(value: Any, path: NodePath, new: Any) -> Any:
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        return [
            replaced(item, rest, new) if index == step else item for index, item in enumerate(value)
        ]
    return {key: replaced(item, rest, new) if key == step else item for key, item in value.items()}


def test_the_grant_that_needs_consent_has_one_that_has_ended() -> None:
    loaded = load_texts([("x", "\n---\n".join(json.dumps(tree) for tree in TREES))])
    assert "approval-expired" in {finding.code for finding in validate(loaded, NOW)}


@given(st.data())
def test_a_manifest_with_junk_in_it_gives_findings_and_no_error(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(TREES) - 1))
    path = data.draw(st.sampled_from(nodes(TREES[number])))
    trees = [*TREES[:number], replaced(TREES[number], path, data.draw(junk)), *TREES[number + 1 :]]
    loaded = load_texts([("x", "\n---\n".join(json.dumps(tree) for tree in trees))])
    for finding in (*loaded.findings, *validate(loaded, NOW)):
        assert finding.line >= 1
        assert str(finding).isprintable()
    try:
        compile_snapshot(loaded, FEAST, NOW)
    except CompileError as error:
        assert str(error)  # noqa: PT017  (either outcome is right, an error of another kind is not)


@given(st.lists(st.text(), max_size=3))
def test_any_text_gives_findings_and_no_error(texts: list[str]) -> None:
    loaded = load_texts([(f"{number}.yaml", text) for number, text in enumerate(texts)])
    validate(loaded, NOW)


@pytest.mark.parametrize("document", load(EXAMPLE).documents, ids=str)
def test_what_is_written_is_read_back_as_it_was(document: Any) -> None:
    (again,) = load_texts([("x", dump(document.model))]).documents
    assert again.model == document.model


@given(st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable() and text.strip()))
@example("0E0")
@example("1e5")
@example("y")
@example("0o7")
def test_any_text_survives_writing_and_reading(text: str) -> None:
    models = (one.model for one in load(EXAMPLE).documents)
    model = next(one for one in models if isinstance(one, FeatureBinding))
    changed = model.model_copy(update={"spec": model.spec.model_copy(update={"purpose": text})})
    loaded = load_texts([("x", dump(changed))])
    assert [one.model for one in loaded.documents] == [changed]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    for name in (".git/a.yaml", ".a.yaml", "b.txt", "sub/c.yml"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("kind: Nothing\n")
    assert [Path(finding.file).name for finding in load(tmp_path).findings] == ["c.yml"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="is no folder"):
        load(tmp_path / "nothing")


@pytest.mark.timeout(10)
def test_what_is_no_file_or_far_too_large_is_a_finding_and_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")
    with (tmp_path / "sparse.yaml").open("wb") as file:
        file.truncate(1 << 40)
    loaded = load(tmp_path)
    assert [finding.code for finding in loaded.findings] == ["unreadable-file"] * 3
    assert all(finding.blocks for finding in loaded.findings)
