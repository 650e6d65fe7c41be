"""Debian's packages: which versions there are, their files, and a root file system of them.

apt keeps its lists in our own folder, so that nothing of the machine is changed and no root is needed;
it reads the machine's sources and keys, and checks what it gets by them.
"""

import hashlib
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from image_builder.commands import output_of, run
from image_builder.errors import BuildError
from image_builder.recipe import RELEASE, USER

__all__ = ["Package", "available", "fetch", "lay_out"]

_URI = re.compile(r"'[^']+' (\S+) \d+ SHA256:([0-9a-f]{64})")
# Documentation but the licences, translations, and what only compilers and the installer read.
_DROPPED = (
    "etc/update-motd.d",
    "usr/share/bug",
    "usr/share/doc/*/[!c]*",
    "usr/share/doc/*/changelog*",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/applications",
    "usr/share/pixmaps",
    "usr/share/binfmts",
    "usr/share/zoneinfo/right",
    "usr/share/zoneinfo/posix",
    "usr/sbin",
    "sbin",
    "var",
    "usr/lib/*/gconv",
    "usr/lib/*/audit",
    "usr/lib/python3.11/config-3.11-*",
    "usr/lib/python3.11/ensurepip",
    "usr/lib/python3.11/idlelib",
    "usr/lib/python3.11/lib2to3",
    "usr/lib/python3.11/pydoc_data",
    "usr/lib/python3.11/test",
    "usr/lib/python3.11/tkinter",
    "usr/lib/python3.11/turtledemo",
    "usr/lib/python3.11/turtle.py",
    # They link to libraries that are not here, and nothing of ours wants them.
    "usr/lib/python3.11/lib-dynload/_curses*",
    "usr/lib/python3.11/lib-dynload/_dbm.*",
    "usr/lib/python3.11/lib-dynload/_*test*",
    "usr/lib/python3.11/lib-dynload/nis.*",
    "usr/lib/python3.11/lib-dynload/readline.*",
    "usr/lib/python3.11/lib-dynload/xx*",
)
# All programs but the interpreter: pydoc, pdb, the linker's helpers.
_PROGRAMS = ("bin", "usr/bin")
_PASSWD = f"""root:x:0:0:root:/:/nonexistent
featward:x:{USER}:{USER}:featward:/:/nonexistent
nobody:x:65534:65534:nobody:/:/nonexistent
"""
_GROUP = f"""root:x:0:
featward:x:{USER}:
nogroup:x:65534:
"""


@dataclass(frozen=True, order=True)
class Package:
    """A package in the version that is installed: the name of its file, and that file's SHA-256."""

    file: str
    sha256: str


def available(names: Sequence[str], cache: Path) -> list[Package]:
    """The newest version of each. Raises BuildError on another release of Debian, or without its lists."""
    _require_release()
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (cache / "apt" / folder).mkdir(parents=True, exist_ok=True)
    try:
        _apt(cache, "update")
    except BuildError as error:
        # One of the machine's sources may be away that is none of ours: what we need, `download` tells.
        print(f"warning: apt's lists are not fresh: {error}", flush=True)
    if not names:
        return []
    said = _apt(cache, "download", "--print-uris", *names)
    found = sorted(Package(*match.groups()) for match in _URI.finditer(said))
    missing = set(names) - {package.file.partition("_")[0] for package in found}
    if missing:
        raise BuildError(f"apt-get knows no file of these packages: {', '.join(sorted(missing))}")
    return found


def fetch(names: Sequence[str], packages: Iterable[Package], cache: Path) -> list[Path]:
    """Their files, from the cache where they are there. Raises BuildError where one is not what apt said."""
    folder = cache / "debs"
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / package.file: package for package in packages}
    if not all(file.exists() for file in files):
        _apt(cache, "download", *names, folder=folder)
    for file, package in files.items():
        if hashlib.sha256(file.read_bytes()).hexdigest() != package.sha256:
            file.unlink()
            raise BuildError(f"{file.name} is not the file that apt's lists name; build again")
    return sorted(files)


def lay_out(files: Iterable[Path], root: Path) -> None:
    """A file system of these packages without what no container needs, in a new folder."""
    root.mkdir(parents=True)
    for file in files:
        run(["dpkg-deb", "--extract", file, root])
    for pattern in _DROPPED:
        for path in root.glob(pattern):
            _remove(path)
    for folder in _PROGRAMS:
        for program in (root / folder).glob("*"):
            if program.name != "python3.11":
                _remove(program)
    _complete(root, files)


def _complete(root: Path, files: Iterable[Path]) -> None:
    """What the packages' scripts would have made: accounts, the bundle of certificates, empty folders."""
    for folder in ("dev", "proc", "run", "sys", "tmp", "var/lib/dpkg/status.d", "etc/ssl/certs"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "var/run").symlink_to("/run")
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "etc/group").write_text(_GROUP)
    (root / "etc/nsswitch.conf").write_text("hosts: files dns\n")
    certificates = root / "usr/share/ca-certificates"
    bundle = b"".join(file.read_bytes() for file in sorted(certificates.rglob("*.crt")))
    (root / "etc/ssl/certs/ca-certificates.crt").write_bytes(bundle)
    _remove(certificates)
    # Where scanners look for packages in images that have no dpkg.
    for file in files:
        name = file.name.partition("_")[0]
        said = output_of(["dpkg-deb", "--field", file])
        (root / "var/lib/dpkg/status.d" / name).write_text(said)


def _apt(cache: Path, *arguments: str, folder: Path | None = None) -> str:
    places = {"State": cache / "apt/state", "Cache": cache / "apt/cache"}
    options = [f"-oDir::{name}={path}" for name, path in places.items()]
    return output_of(["apt-get", "-q", "-oDebug::NoLocking=1", *options, *arguments], folder=folder)


def _require_release() -> None:
    file = Path("/etc/os-release")
    said = file.read_text() if file.exists() else ""
    if f"VERSION_CODENAME={RELEASE}\n" not in said:
        raise BuildError(
            f"the images are made of Debian {RELEASE}'s packages, and this machine is not one;"
            " build with images/Containerfile instead"
        )


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
