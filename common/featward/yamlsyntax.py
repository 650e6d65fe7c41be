"""What is probably wrong where a text is no YAML, and what to do about it.

A parser says what it expected, in the words of YAML's grammar, and points to where it gave up. People get there
by few slips: a tab, an indent, a quote or a bracket left open, a colon too many. The place, the character there
and the parser's context tell them apart. Kept from the reader, because nothing here decides what is read.
"""

import re
from typing import Any, NamedTuple

import yaml

__all__ = ["Slip", "slip"]


class Slip(NamedTuple):
    """Where to look, both counted from 1, what is wrong there, and what to do."""

    line: int
    column: int
    message: str
    remedy: str


def slip(text: str, error: yaml.YAMLError) -> Slip | None:
    """The probable cause of a parser's error; None where it names no place or no cause is likely."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return None
    context, problem = getattr(error, "context", None) or "", getattr(error, "problem", None) or ""
    began = getattr(error, "context_mark", None)
    lines = _LINE_END.split(text)
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "quoted scalar" in context and "unexpected" in problem:
        return _at(began or mark, *_OPEN_QUOTE)
    if "simple key" in context and began is not None:
        return _at(began, *_NO_COLON)
    found = _by_character(line, mark.column, problem) or _by_context(line, mark.column, context)
    if found is None and began is not None and "flow" in context:
        found = _open_bracket(began)
    return _at(mark, *found) if found else None


def _by_character(line: str, column: int, problem: str) -> tuple[str, str] | None:
    character = line[column : column + 1]
    if character == "\t":
        return _TAB
    if "cannot start any token" in problem:
        return f"plain text can't begin with {character}", "put the text in quotes"
    if "mapping values" in problem:
        return _TWO_COLONS if _KEY.search(line[:column]) else _TOO_DEEP
    return None


def _by_context(line: str, column: int, context: str) -> tuple[str, str] | None:
    if "block mapping" not in context and "block collection" not in context:
        return None
    return _AFTER_VALUE if line[:column].strip(" -") else _INDENT


def _open_bracket(began: Any) -> tuple[str, str]:
    what = f"the bracket that opens at {began.line + 1}:{began.column + 1} goes on to here"
    return what, "close it where it ends, or put the comma that is missing between two values"


def _at(mark: Any, message: str, remedy: str) -> Slip:
    return Slip(mark.line + 1, mark.column + 1, message, remedy)


_TAB = (
    "a tab: YAML indents by spaces",
    "replace the tab by spaces, as many as the lines beside it have",
)
_OPEN_QUOTE = (
    "the quote that opens here is never closed",
    "close it with the same mark; text that holds one mark goes in quotes of the other",
)
_NO_COLON = (
    "this line is no `key: value`, and continues no value",
    "write the colon and a space after the key, or indent the line below the value that it continues",
)
_TWO_COLONS = (
    "a second colon in one line",
    "put the text after the first colon in quotes, or begin a new line",
)
_TOO_DEEP = (
    "this line is indented deeper than the line above, which has a value already",
    "indent it as the keys that it stands beside",
)
_INDENT = (
    "the indent of this line fits none of the lines above",
    "indent it by as many spaces as the keys or items that it stands beside",
)
_AFTER_VALUE = (
    "text after the end of a value",
    "put the whole value in one pair of quotes; a quote left open further up ends here, too",
)
# As YAML counts lines; Python's splitlines knows more ends.
_LINE_END = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_KEY = re.compile(r":(?:\s|$)")
