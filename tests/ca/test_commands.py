"""What `featward ca` says to somebody who has told it something that can't be: which option, and what to do."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from featward.identity.join_token import JoinToken

FEATWARD = Path(sys.executable).with_name("featward")
MANIFESTS = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {trustDomain: prod.acme.example}
"""


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def said(*options: object) -> tuple[int, str]:
    """Exit status and error of `featward ca`, in one line."""
    command = [str(each) for each in (FEATWARD, "ca", *options)]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env=os.environ | {"COLUMNS": "300"},
    )
    assert "Traceback" not in done.stderr
    return done.returncode, " ".join(done.stderr.replace("│", " ").split())


def unit_of(lifetime: str) -> str:
    return f"""---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {{name: prod.payments}}
spec: {{authority: {{lifetime: {lifetime}}}}}
"""


async def serve(folder: Path, manifests: str = MANIFESTS, **options: str) -> tuple[int, str]:
    (folder / "manifests").mkdir(exist_ok=True)
    (folder / "manifests" / "platform.yaml").write_text(manifests)
    told = {"environment": "prod", "data": str(folder / "data"), "health": ""}
    told |= {"manifests": str(folder / "manifests"), "kek-file": str(folder / "kek")}
    told |= {"listen": "127.0.0.1:0"} | options
    return await said(
        "serve", *(part for key, value in told.items() for part in (f"--{key}", value))
    )


@pytest.mark.parametrize(
    ("environment", "unit", "sum_shown"),
    [
        ("svidTTL: 1h", "5h", "would live 5h, less than 6 x the SVID lifetime of 1h = 6h"),
        ("svidTTL: 24h", "5d", "would live 5d, less than 6 x the SVID lifetime of 1d = 6d"),
        ("svidTTL: 1h", "2000d", "would live 2000d, longer than the root's 1825d"),
    ],
)
async def test_lifetimes_that_cannot_hold_end_the_start_with_the_sum(
    tmp_path: Path, environment: str, unit: str, sum_shown: str
) -> None:
    code, text = await serve(
        tmp_path, MANIFESTS.replace("example}", f"example, {environment}}}") + unit_of(unit)
    )
    assert code == 1
    assert f"error: the authority of prod.payments {sum_shown}; " in text
    assert "authority.lifetime" in text
    assert not (tmp_path / "data").exists()


async def test_an_svid_lifetime_below_the_floor_ends_the_start(tmp_path: Path) -> None:
    code, text = await serve(tmp_path, MANIFESTS.replace("example}", "example, svidTTL: 1m}"))
    assert code == 1
    assert "error: an SVID lifetime of 1m is outside of 5m to 1d; change svidTTL" in text


@pytest.mark.parametrize("option", ["listen", "health"])
async def test_an_address_in_use_is_named_with_its_option_and_what_to_do(
    tmp_path: Path, taken: str, option: str
) -> None:
    code, text = await serve(tmp_path, **{option: taken})
    assert code == 1
    assert f"error: --{option}: cannot listen on {taken}: Address already in use" in text
    assert "another program listens there (`ss -tlnp` names it): end it, or choose another" in text


@pytest.mark.parametrize("option", ["listen", "health"])
@pytest.mark.parametrize(
    "address", ["18444", "127.0.0.1:http", "::1:8443", "127.0.0.1:70000", ":1"]
)
async def test_an_address_of_another_form_is_refused_before_anything_is_made(
    tmp_path: Path, option: str, address: str
) -> None:
    code, text = await serve(tmp_path, **{option: address})
    assert code == 2
    assert f"--{option}: '{address}' is no address; write host:port, such as 127.0.0.1:8443" in text
    assert not (tmp_path / "data").exists()
    assert not (tmp_path / "kek").exists()


async def test_a_mistyped_environment_is_guessed(tmp_path: Path) -> None:
    code, text = await serve(tmp_path, environment="prd")
    assert (code, "'prd', which --environment asks for: did you mean prod?" in text) == (1, True)
    code, text = await serve(tmp_path, environment="staging")
    assert (code, "'staging', which --environment asks for: there are prod" in text) == (1, True)
    assert not (tmp_path / "data").exists()


async def test_fetching_from_an_address_of_another_form_names_the_option(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("featward-join-token")
    code, text = await said("fetch-svid", "--ca", "8443", "--token-file", token, "--out", tmp_path)
    assert (code, "--ca: '8443' is no address; write host:port" in text) == (2, True)
    assert "or unix: and the path of a socket" in text


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "can't be read: No such file or directory"),
        (b"\xff", "can't be read: it is no text in ASCII"),
        (b"hello", "is not usable: this is no join token"),
    ],
)
async def test_a_token_file_that_holds_no_token_is_named_with_the_command_for_one(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    token, out = tmp_path / "token", tmp_path / "out"
    if content is not None:
        token.write_bytes(content)
    told = ("--ca", "127.0.0.1:1", "--token-file", token, "--out", out)
    code, text = await said("fetch-svid", *told)
    assert (code, f"error: the token file {token} {why}" in text) == (1, True), text
    assert f"featward ca token create --workload prod.payments/pricing-api > {token}" in text
    assert "Errno" not in text
    assert not out.exists()


async def test_a_ca_that_speaks_no_tls_is_told_in_words_and_leaves_no_folder(
    tmp_path: Path,
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    (tmp_path / "token").write_text(str(JoinToken("prod.acme.example", bytes(32), bytes(32))))
    out = tmp_path / "of" / "pricing"
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as plain:
        address = "{}:{}".format(*plain.sockets[0].getsockname())
        told = ("--ca", address, "--token-file", tmp_path / "token", "--out", out)
        code, text = await said("fetch-svid", *told)
    assert (code, "does not speak TLS; name the port that does" in text) == (1, True), text
    assert "InvalidContentType" not in text
    assert not out.parent.exists()


@pytest.mark.parametrize(
    "words",
    [
        ("clients", "--behind", "-1"),
        ("clients", "--behind", "9" * 20),
        ("clients", "--behind", "9" * 5000),
        ("clients", "--behind", "later"),
        ("authority", "prepare", "prod.payments", "--generation", "-1"),
    ],
)
async def test_numbers_that_no_field_holds_are_wrong_usage(words: tuple[str, ...]) -> None:
    status, error = await said(*words)
    assert status == 2
    assert f"Invalid value for {words[-2]}" in error.replace("'", "")
