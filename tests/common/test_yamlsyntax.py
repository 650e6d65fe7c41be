"""What is said of texts that are no YAML: the slip that was probably made, at its place."""

import pytest
import yaml

from featward.strictyaml import read

SLIPS = [
    ("a:\n\tb: 1\n", 2, 1, "a tab: YAML indents by spaces"),
    ("a:\n  b: 1\n\tc: 1\n", 3, 1, "a tab"),
    ("a:\n  \tb: 1\n", 2, 3, "a tab"),
    ("a: 1\n  b: 2\n", 2, 4, "indented deeper than the line above"),
    ("a:\n    b: 1\n  c: 2\n", 3, 3, "the indent of this line"),
    ("a:\n  - b: 1\n   c: 2\n", 3, 4, "the indent of this line"),
    ('a: 1\nb: "c\nd: e\n', 2, 4, "the quote that opens here"),
    ("a: 'b\nc: d\n", 1, 4, "the quote that opens here"),
    ("a: b: c\n", 1, 5, "a second colon"),
    ("a: [b, c\nd: e\n", 2, 2, "the bracket that opens at 1:4"),
    ("a: {b: c\nd: e\n", 2, 2, "the bracket that opens at 1:4"),
    ("a: 1\nb\nc: 2\n", 2, 1, "no `key: value`"),
    ("a: @b\n", 1, 4, "can't begin with @"),
    ('a: "b" c\n', 1, 8, "text after the end of a value"),
]


@pytest.mark.parametrize(("text", "line", "column", "said"), SLIPS)
@pytest.mark.parametrize("library", ["C", "Python"])
def test_a_slip_is_named_at_its_place(
    monkeypatch: pytest.MonkeyPatch, library: str, text: str, line: int, column: int, said: str
) -> None:
    if library == "Python":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    _, (fault,) = read(text)
    assert (fault.code, fault.line, fault.column) == ("yaml-syntax", line, column)
    assert said in fault.message
    assert fault.remedy != "correct the syntax here"
