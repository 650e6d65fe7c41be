"""What was made elsewhere is refused in one way, whatever is wrong with it; found by fuzzing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from ca_kit import a_request, issue
from featward_ca import reading
from featward_ca.ceremony import certificate_of
from featward_ca.ceremony_steps import CeremonyError
from featward_ca.core import Core
from featward_ca.errors import MalformedRequestError
from featward_ca.requests import public_key_of

SUBJECT_KEY, AUTHORITY_KEY = bytes.fromhex("0603551d0e"), bytes.fromhex("0603551d23")


def test_a_request_of_an_unknown_version_is_refused() -> None:
    request = a_request()
    other = request.replace(bytes.fromhex("020100"), bytes.fromhex("020101"), 1)
    assert other != request
    with pytest.raises(MalformedRequestError, match="no readable PKCS #10"):
        public_key_of(other)


@pytest.fixture
async def leaf(core: Core) -> bytes:
    return (await issue(core, "prod.payments/pricing-api")).chain[0]


def _of_unknown_version(leaf: bytes) -> bytes:
    return leaf.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020109"), 1)


def _with_an_extension_twice(leaf: bytes) -> bytes:
    return leaf.replace(SUBJECT_KEY, AUTHORITY_KEY, 1)


@pytest.mark.parametrize("broken", [_of_unknown_version, _with_an_extension_twice])
def test_a_certificate_that_no_library_reads_whole_is_refused(
    broken: Callable[[bytes], bytes], leaf: bytes, tmp_path: Path
) -> None:
    raw = broken(leaf)
    assert raw != leaf
    with pytest.raises(MalformedRequestError, match="is no readable X"):
        reading.certificate(raw)
    file = tmp_path / "found.der"
    file.write_bytes(raw)
    with pytest.raises(CeremonyError, match="no readable certificate"):
        certificate_of(file)


def test_a_good_one_is_read_in_both_forms(leaf: bytes) -> None:
    read = reading.certificate(leaf)
    pem = b"\n" + read.public_bytes(Encoding.PEM)
    assert reading.certificate(pem) == read
