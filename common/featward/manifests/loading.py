"""Reads a folder of manifests. Whatever the files hold, documents and findings come out, never an error."""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from featward.errors import FolderError
from featward.manifests.document import AnyModel, Document, SourceFile
from featward.manifests.findings import Finding
from featward.manifests.shape import declared_names, shape
from featward.strictyaml import Fault, read, show_path

__all__ = ["Loaded", "load", "load_texts"]

_SUFFIXES = (".yaml", ".yml")
# A hundred thousand bindings in one file have 40 MB; what is larger is no manifest.
_LARGEST = 128 << 20


@dataclass(frozen=True)
class Loaded:
    """What a folder held: the documents that are well formed, and what is wrong with the rest."""

    documents: tuple[Document[AnyModel], ...]
    findings: tuple[Finding, ...]
    # What malformed documents seem to declare, so that those that refer to it are not blamed too.
    malformed: frozenset[tuple[str, str]] = frozenset()


def load(folder: Path | str) -> Loaded:
    """Read every .yaml and .yml file below the folder, in the order of their paths; hidden ones are left out.

    Raises FolderError when there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise FolderError(
            f"{root} is no folder: name one that holds manifests, or make one with featward init"
        )
    texts: list[tuple[str, str]] = []
    unreadable: list[Finding] = []
    for path in sorted(_files(root)):
        text = _text(path)
        if isinstance(text, Finding):
            unreadable.append(text)
        else:
            texts.append((str(path), text))
    loaded = load_texts(texts)
    findings = [*unreadable, *loaded.findings]
    if not loaded.documents and not findings:
        message, remedy = "no manifest in here", "add files that end in .yaml, or run featward init"
        findings.append(Finding(str(root), 1, 1, "", "no-documents", message, remedy))
    return Loaded(loaded.documents, tuple(sorted(findings)), loaded.malformed)


def load_texts(texts: list[tuple[str, str]]) -> Loaded:
    """The same for texts that are at hand, each with the name that findings give it."""
    documents: list[Document[AnyModel]] = []
    findings: list[Finding] = []
    malformed: set[tuple[str, str]] = set()
    for name, text in texts:
        source = SourceFile(name, text)
        trees, faults = read(text)
        findings += [_finding(name, fault) for fault in faults]
        known = {(fault.line, fault.column) for fault in faults}
        for index, tree in enumerate(trees):
            outcome = shape(tree, source, index)
            if isinstance(outcome, Document) and tree.sound:
                documents.append(outcome)
                continue
            malformed.update(declared_names(tree.value))
            if isinstance(outcome, list):
                # What the reader has refused already is not refused twice.
                findings += [one for one in outcome if (one.line, one.column) not in known]
    return Loaded(tuple(documents), tuple(sorted(findings)), frozenset(malformed))


def _finding(name: str, fault: Fault) -> Finding:
    path = show_path(fault.path)
    return Finding(name, fault.line, fault.column, path, fault.code, fault.message, fault.remedy)


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.endswith(_SUFFIXES) and not name.startswith("."):
                yield Path(folder, name)


def _text(path: Path) -> str | Finding:
    try:
        return _bytes(path).decode("utf-8-sig")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        message, remedy = (
            f"the file can't be read: {reason}",
            "correct its permissions, or remove it",
        )
        return Finding(str(path), 1, 1, "", "unreadable-file", message, remedy)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        message = f"byte {error.object[error.start]:#04x} is not UTF-8"
        return Finding(str(path), line, 1, "", "not-utf8", message, "save the file as UTF-8")


def _bytes(path: Path) -> bytes:
    """The content of a regular file. A pipe would keep whoever opens it waiting, a device gives bytes
    without end: both are a symbolic link away from anybody who may write one manifest.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if found.st_size > _LARGEST:
            raise OSError(errno.EFBIG, f"it is larger than {_LARGEST >> 20} MiB")
        return file.read(_LARGEST)
