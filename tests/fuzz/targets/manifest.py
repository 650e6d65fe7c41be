"""Manifests: our own reader of YAML, the models behind it, and the rules over what was read."""

import re

from featward.manifests.loading import load_texts
from featward.manifests.validation import validate

# What YAML 1.1 takes for the end of a line.
_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")


def one(data: bytes) -> None:
    """Whatever stands in a file, documents and findings come out; each finding has a place."""
    text = data.decode("utf-8", "replace")
    loaded = load_texts([("fuzz.yaml", text)])
    lines = len(_LINE_END.findall(text)) + 2
    for finding in (*loaded.findings, *validate(loaded, now=1_795_305_600)):
        assert finding.message
        assert 1 <= finding.line <= lines, finding
