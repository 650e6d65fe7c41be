"""Manifests: our own reader of YAML, the models behind it, and the rules over what was read."""

from featward.manifests.loading import load_texts
from featward.manifests.validation import validate


def one(data: bytes) -> None:
    """Whatever stands in a file, documents and findings come out; each finding has a place."""
    text = data.decode("utf-8", "replace")
    loaded = load_texts([("fuzz.yaml", text)])
    lines = text.count("\n") + 2
    for finding in (*loaded.findings, *validate(loaded, now=1_795_305_600)):
        assert finding.message
        assert 1 <= finding.line <= lines, finding
