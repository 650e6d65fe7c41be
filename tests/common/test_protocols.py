"""The Python side of the protocols, which is generated and kept, is what the `.proto` files give."""

import subprocess
import sys
from pathlib import Path

import pytest

COMMON = Path(__file__).parents[2] / "common"
PROTOCOLS = sorted(path.relative_to(COMMON) for path in COMMON.rglob("*.proto"))


def generated(protocol: Path, folder: Path) -> dict[Path, str]:
    """Path to text of all that `make protos` makes of one protocol."""
    outputs = [f"--python_out={folder}", f"--pyi_out={folder}"]
    if "\nservice " in (COMMON / protocol).read_text():
        outputs.append(f"--grpc_python_out={folder}")
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{COMMON}", *outputs, str(protocol)]
    subprocess.run(command, check=True, cwd=COMMON)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_text() for path in files}


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=str)
def test_what_is_kept_is_what_the_protocol_gives(protocol: Path, tmp_path: Path) -> None:
    kept = COMMON.joinpath(protocol.parent).glob(f"{protocol.stem}_pb2*")
    assert generated(protocol, tmp_path) == {
        path.relative_to(COMMON): path.read_text() for path in kept
    }
