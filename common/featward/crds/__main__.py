"""`python -m featward.crds DIR` writes the YAML of every definition into a folder."""

import sys
from pathlib import Path

from featward.crds.writing import write

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m featward.crds DIR, where the YAML files are to be")
    write(Path(sys.argv[1]))
