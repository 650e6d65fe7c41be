"""The whole build: layers, which are kept by what they depend on, and the images of them."""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from image_builder import bytecode, debian, feast, keys, python_packages
from image_builder.layer import SHARED, Layer, write_layer
from image_builder.oci import write_image
from image_builder.recipe import COMMAND, FEAST, IMAGES, OURS, names_in, version

__all__ = ["Built", "build", "default_cache", "lay_out", "write_constraints"]

# Those of other checkouts and profiles may still be in use; what is older goes.
_KEPT_IMAGES = 4
_KEPT_LAYERS = 12
_KEPT_ROOTS = 2


@dataclass(frozen=True)
class Built:
    """An image in a file; `digest` is its manifest's, which stands for all of it."""

    name: str
    file: Path
    digest: str


def default_cache() -> Path:
    """Where images and what they are made of are kept: outside of the checkout."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "featward" / "images"


def build(
    profile: str = "release", *, demo: bool = False, cache: Path | None = None
) -> list[Built]:
    """featward's image, and with `demo` featward-demo's after it. Raises BuildError.

    `profile` is cargo's, of the engine. What was built of the same things before is taken from the cache.
    """
    with _Workshop.open(cache or default_cache()) as workshop:
        layers = [workshop.base(), workshop.ours(profile)]
        images = [workshop.image("featward", layers)]
        if demo:
            images.append(workshop.image("featward-demo", [*layers, *workshop.demo()]))
        workshop.prune()
        return images


def lay_out(profile: str, root: Path, cache: Path | None = None) -> None:
    """All files of featward's image in a new folder, for who makes an image of it with other tools."""
    with _Workshop.open(cache or default_cache()) as workshop:
        shutil.copytree(workshop.root(), root, symlinks=True)
        workshop.add_ours(profile, root)
        for name, mode in SHARED.items():
            (root / name).chmod(mode)


def write_constraints(cache: Path | None = None) -> None:
    """Pin the newest versions that go together."""
    with _Workshop.open(cache or default_cache()), tempfile.TemporaryDirectory() as folder:
        wheel = python_packages.build_wheel("dev", Path(folder), Path(folder) / "target")
        pins = python_packages.resolve(wheel, Path(folder) / "packages")
    said = [line for line in _lines(python_packages.PINS) if line.startswith("#")]
    python_packages.PINS.write_text("\n".join([*said, *pins, ""]))


@dataclass
class _Workshop:
    cache: Path
    names: list[str]
    packages: list[debian.Package]

    @classmethod
    @contextmanager
    def open(cls, cache: Path) -> Iterator["_Workshop"]:
        """One build at a time uses a cache."""
        for folder in ("layers", "roots"):
            (cache / folder).mkdir(parents=True, exist_ok=True)
        with (cache / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            names = names_in(IMAGES / "packages.txt")
            yield cls(cache, names, debian.available(names, cache))

    @property
    def _debian(self) -> str:
        return keys.key(keys.builder(), *(one.sha256 for one in self.packages))

    def root(self) -> Path:
        """Debian's files with the byte code of Python's library, which also runs the compiler."""
        root = self.cache / "roots" / self._debian
        if not root.exists():
            files = debian.fetch(self.names, self.packages, self.cache)
            fresh = root.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            debian.lay_out(files, fresh)
            bytecode.compile_all(fresh, [fresh / "usr/lib/python3.11"])
            fresh.rename(root)
        root.touch()
        return root

    def base(self) -> Layer:
        """Debian's packages."""

        def make(_: Path) -> Path:
            return self.root()

        return self._layer(f"base-{self._debian}", make, "Debian packages of images/packages.txt")

    def ours(self, profile: str) -> Layer:
        """featward and the Python packages that it needs."""

        def make(fresh: Path) -> Path:
            self.add_ours(profile, fresh / "layer")
            return fresh / "layer"

        name = keys.key(self._debian, keys.tree(), profile)
        return self._layer(f"featward-{name}", make, f"featward {version()} and its packages")

    def add_ours(self, profile: str, to: Path) -> None:
        """Into a folder that is or becomes a part of the file system."""
        target = to / OURS
        target.parent.mkdir(parents=True)
        with tempfile.TemporaryDirectory(dir=self.cache) as folder:
            wheel = python_packages.build_wheel(profile, Path(folder), self.cache / "target")
            python_packages.install(wheel, target)
        bytecode.compile_all(self.root(), [target], below=to)
        command = to / "usr/bin/featward"
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(COMMAND)
        command.chmod(0o755)

    def demo(self) -> Sequence[Layer]:
        """Feast, and a repository for it."""

        def make_feast(fresh: Path) -> Path:
            feast.copy_feast(fresh / "layer")
            bytecode.compile_all(self.root(), [fresh / "layer" / FEAST], below=fresh / "layer")
            return fresh / "layer"

        def make_rows(fresh: Path) -> Path:
            feast.lay_out_repository(fresh / "layer")
            return fresh / "layer"

        server = self._layer(
            f"feast-{keys.key(self._debian, feast.NEWEST)}", make_feast, f"Feast {feast.NEWEST}"
        )
        rows = keys.key(keys.builder(), keys.whole(feast.REPOSITORY), feast.NEWEST, feast.week())
        return server, self._layer(f"rows-{rows}", make_rows, "the demo's feature repository")

    def image(self, title: str, layers: Sequence[Layer]) -> Built:
        """Of these layers, under a name that says what is in it."""
        file = self.cache / f"{title}-{keys.key(*(one.digest for one in layers), version())}.tar"
        note = file.with_suffix(".digest")
        if not (file.exists() and note.exists()):
            fresh = file.with_suffix(".new")
            note.write_text(write_image(fresh, title, layers))
            fresh.replace(file)
        file.touch()
        return Built(f"localhost/{title}:{version()}", file, note.read_text())

    def prune(self) -> None:
        """Remove what has not been used for long."""
        _prune(self.cache, "*.tar", _KEPT_IMAGES)
        _prune(self.cache / "layers", "*.tar.gz", _KEPT_LAYERS)
        _prune(self.cache / "roots", "*", _KEPT_ROOTS)

    def _layer(self, name: str, make: Callable[[Path], Path], made_by: str) -> Layer:
        file = self.cache / "layers" / f"{name}.tar.gz"
        note = file.with_suffix(".json")
        if not (file.exists() and note.exists()):
            print(f"making {made_by} ...", flush=True)
            with tempfile.TemporaryDirectory(dir=self.cache) as folder:
                layer = write_layer(make(Path(folder)), file, made_by)
            note.write_text(json.dumps(asdict(layer) | {"file": ""}))
        file.touch()
        return Layer(**(json.loads(note.read_text()) | {"file": file}))


def _prune(folder: Path, pattern: str, kept: int) -> None:
    found = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in found[kept:]:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines() if file.exists() else []
