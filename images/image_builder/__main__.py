"""`python -m image_builder`: builds the images and prints where they are, a line each, at the end."""

import argparse
import shutil
import sys
from pathlib import Path

from image_builder.build import build, default_cache, lay_out, write_constraints
from image_builder.errors import BuildError


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="image_builder", description=__doc__)
    parser.add_argument("--profile", choices=("release", "dev"), default="release")
    parser.add_argument("--demo", action="store_true", help="build featward-demo as well")
    parser.add_argument("--cache", type=Path, default=default_cache())
    parser.add_argument("--output", type=Path, help="copy featward's image to this file")
    parser.add_argument("--root", type=Path, help="lay its files out in this new folder instead")
    parser.add_argument("--constraints", action="store_true", help="write images/constraints.txt")
    given = parser.parse_args()
    try:
        if given.constraints:
            write_constraints(given.cache)
            return 0
        if given.root:
            lay_out(given.profile, given.root, given.cache)
            return 0
        images = build(given.profile, demo=given.demo, cache=given.cache)
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if given.output:
        shutil.copyfile(images[0].file, given.output)
    for image in images:
        size = image.file.stat().st_size / 1e6
        print(f"{image.name} {image.digest} ({size:.0f} MB): {image.file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
