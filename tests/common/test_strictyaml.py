"""The reader of YAML: one meaning or a fault, and the place of everything."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from featward.strictyaml import Place, places, read, show_path


def value_of(text: str) -> object:
    trees, faults = read(text)
    assert faults == []
    return trees[0].value


def code_of(text: str) -> str:
    _, faults = read(text)
    assert len(faults) == 1
    return faults[0].code


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("null", None),
        ("-12", -12),
        ("1.5e3", 1500.0),
        ('"yes"', "yes"),
        ("2027-03-31", "2027-03-31"),
        ("1.2.0", "1.2.0"),
        ("12:30:45", "12:30:45"),
        ("90d", "90d"),
        ("10000/m", "10000/m"),
        ("on call", "on call"),
    ],
)
def test_plain_values_are_read_by_the_json_schema(text: str, value: object) -> None:
    assert value_of(f"key: {text}") == {"key": value}


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "No",
        "on",
        "OFF",
        "y",
        "N",
        "True",
        "NULL",
        "~",
        "017",
        "0o17",
        "0x1F",
        "1_000",
        "+1",
        ".5",
        ".inf",
    ],
)
def test_what_readers_disagree_on_is_refused(text: str) -> None:
    assert code_of(f"key: {text}") == "ambiguous-scalar"


@pytest.mark.parametrize("text", ["9223372036854775808", "1" * 5000, "1e999"])
def test_numbers_beyond_64_bits_are_refused(text: str) -> None:
    assert code_of(f"key: {text}") == "number-out-of-range"


def test_the_first_of_two_keys_is_kept() -> None:
    trees, faults = read("a: 1\na: 2\n")
    assert trees[0].value == {"a": 1}
    assert not trees[0].sound
    assert (faults[0].code, faults[0].line, faults[0].path) == ("duplicate-key", 2, ("a",))


def test_reading_goes_on_after_a_fault() -> None:
    trees, faults = read("a: yes\nb: !x 1\n---\nc: &d 1\ne: *d\n")
    assert [tree.sound for tree in trees] == [False, False]
    assert [fault.line for fault in faults] == [1, 2, 4, 5]


def test_documents_before_broken_syntax_are_kept() -> None:
    trees, faults = read("a: 1\n---\nb: [\n")
    assert [tree.value for tree in trees] == [{"a": 1}]
    assert [fault.code for fault in faults] == ["yaml-syntax"]


def test_empty_documents_are_left_out() -> None:
    assert read("---\n---\n# nothing\n") == ([], [])


def test_places_count_from_one_and_know_the_key() -> None:
    (found,) = places("a:\n  - bc: 1\n")
    assert found["a", 0, "bc"] == Place(2, 9, (2, 5))


def test_nesting_is_bounded() -> None:
    assert code_of("[" * 100_000) == "too-deep"


def test_aliases_that_would_multiply_are_not_followed() -> None:
    text = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*a, *a]\n" for n in range(5))
    trees, faults = read(text)
    assert trees[0].value["b4"] == [None, None]
    assert {fault.code for fault in faults} == {"yaml-anchor"}


def test_paths_are_shown_as_one_writes_them() -> None:
    assert show_path(("spec", "features", 0, "name")) == "spec.features[0].name"
    assert show_path(("labels", "a.b/c")) == 'labels["a.b/c"]'


@given(st.text())
def test_any_text_ends_in_trees_and_faults(text: str) -> None:
    trees, faults = read(text)
    assert len(places(text)) == len(trees)
    assert all(fault.line >= 1 and fault.column >= 1 for fault in faults)


@given(st.text(alphabet=" \n\t-:?,[]{}#&*!|>'\"%@`abc01~<"))
def test_any_punctuation_ends_in_trees_and_faults(text: str) -> None:
    trees, _ = read(text)
    assert len(places(text)) == len(trees)


def test_without_the_c_library_the_same_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    texts = [path.read_text() for path in sorted(root.glob("examples/**/*.yaml"))]
    fast = [(read(text), places(text)) for text in texts]
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert [(read(text), places(text)) for text in texts] == fast
