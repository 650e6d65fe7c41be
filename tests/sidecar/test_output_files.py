"""Files for apps that read nothing else: changed at once, never half, and the app told of it."""

import os
import signal
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certificates import DOMAIN, PRICING, Authority, Environment, der
from featward_engine import Credentials
from featward_sidecar.agent_status import AgentStatus
from featward_sidecar.configuration import Output
from featward_sidecar.consumers import Consumers
from featward_sidecar.content import Bundle
from featward_sidecar.output_files import OutputFiles
from workload_kit import wait_for


class Written:
    """A folder kept by a real engine's identity."""

    def __init__(self, folder: Path, reload: tuple[str, ...]) -> None:
        self.folder = folder
        self.environment = Environment()
        self.credentials = Credentials(DOMAIN)
        self.status: dict[str, Any] = {}
        published = AgentStatus("prod.payments/pricing", "", "")
        self.files = OutputFiles(Output(folder, reload), published)
        self.consumers = Consumers(self.credentials, [self.files], published)
        self._thread = threading.Thread(target=self.files.run, daemon=True)
        self._thread.start()
        self.sequence = 0
        self.trust()

    def trust(self, *more: bytes) -> int:
        self.sequence += 1
        roots = [*self.environment.roots, *more]
        self.credentials.set_trust(roots, self.environment.scopes, self.sequence)
        self.consumers.trust(Bundle(DOMAIN, tuple(roots)), ())
        return self.sequence

    def identify(self) -> None:
        self.environment.payments.identify(self.credentials, PRICING)
        self.consumers.refresh()

    def given(self) -> None:
        wait_for(lambda: self.consumers.given() == self.sequence)

    def stop(self) -> None:
        self.files.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Callable[..., Written]]:
    started: list[Written] = []

    def write(*reload: str) -> Written:
        started.append(Written(tmp_path / "identity", reload))
        return started[-1]

    yield write
    for written in started:
        written.stop()


def serial(folder: Path) -> int:
    return x509.load_pem_x509_certificate((folder / "svid.pem").read_bytes()).serial_number


def test_the_files_are_what_openssl_takes_and_the_key_is_ours_alone(
    write: Callable[..., Written],
) -> None:
    written = write()
    written.identify()
    written.given()
    folder = written.folder
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(folder / "svid.pem", folder / "key.pem")
    context.load_verify_locations(folder / "bundle.pem")
    assert context.cert_store_stats()["x509_ca"] == 1
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir() if not path.name.startswith("..")) == [
        "bundle.pem",
        "key.pem",
        "svid.pem",
    ]


def test_a_reader_that_opens_the_folder_once_never_has_the_key_of_another_chain(
    write: Callable[..., Written],
) -> None:
    written = write()
    written.identify()
    written.given()
    over = threading.Event()
    torn: list[object] = []
    read = set()

    def look() -> None:
        while not over.is_set():
            try:
                inside = os.open(written.folder / "..data", os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError as error:
                torn.append(error)
                continue
            try:
                chain, key = (_read(inside, name) for name in ("svid.pem", "key.pem"))
            except FileNotFoundError:
                continue  # of a folder that was replaced while we were in it: read anew
            finally:
                os.close(inside)
            leaf = x509.load_pem_x509_certificate(chain)
            private = serialization.load_pem_private_key(key, None)
            if leaf.public_key() != private.public_key():
                torn.append(leaf.serial_number)
            read.add(leaf.serial_number)

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(30):
        before = serial(written.folder)
        written.identify()
        wait_for(lambda: serial(written.folder) != before)  # noqa: B023  called before the next
    over.set()
    reader.join()
    assert (torn, len(read) > 1) == ([], True)
    # The folder before is removed only after the new one is what readers find.
    wait_for(lambda: len([path for path in written.folder.iterdir() if path.is_dir()]) == 2)


def _read(folder: int, name: str) -> bytes:
    with open(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:
        return file.read()


def test_a_change_counts_as_given_once_the_command_has_succeeded(
    write: Callable[..., Written], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    allowed = tmp_path / "allowed"
    script = (
        f"echo it is not time; test -e {allowed} && cat {tmp_path}/identity/svid.pem > {allowed}"
    )
    written = write("sh", "-c", script)
    written.identify()
    wait_for(lambda: "files not delivered" in caplog.text)
    assert (written.folder / "svid.pem").exists()
    assert written.consumers.given() == 0
    said = [record.__dict__["featward_fields"]["error"] for record in caplog.records[-1:]]
    assert said == ["sh ended with status 1 and said: it is not time"]
    allowed.touch()
    written.given()
    assert allowed.read_bytes() == (written.folder / "svid.pem").read_bytes()


def test_the_app_is_told_only_when_a_file_is_another(
    write: Callable[..., Written], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    written = write("sh", "-c", f"echo >> {told}")
    written.identify()
    written.given()
    written.trust()  # another sequence, the same roots
    written.given()
    assert told.read_text() == "\n"
    written.trust(der(Authority.root().certificate))
    written.given()
    assert told.read_text() == "\n\n"


WAITER = """
import pathlib, signal, sys
signal.signal(signal.SIGHUP, lambda *_: pathlib.Path(sys.argv[1]).touch())
print(flush=True)
while True:
    signal.pause()
"""


def test_a_process_that_a_file_names_gets_sighup(
    write: Callable[..., Written], tmp_path: Path
) -> None:
    heard, pidfile = tmp_path / "heard", tmp_path / "app.pid"
    command = [sys.executable, "-c", WAITER, str(heard)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as app:
        assert app.stdout is not None
        app.stdout.readline()
        pidfile.write_text(f"{app.pid}\n")
        written = write(f"signal:{pidfile}")
        written.identify()
        written.given()
        wait_for(heard.exists)
        app.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("text", ["", "-1", "0", "1", "nonsense"])
def test_no_signal_goes_to_a_group_or_to_everybody(
    write: Callable[..., Written],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    text: str,
) -> None:
    (tmp_path / "app.pid").write_text(text)
    written = write(f"signal:{tmp_path / 'app.pid'}")
    written.identify()
    wait_for(lambda: "files not delivered" in caplog.text)
    assert written.consumers.given() == 0


def test_a_folder_that_cant_be_written_is_tried_again_and_said_so(
    write: Callable[..., Written], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "identity").write_text("a file where the folder should be")
    written = write()
    written.identify()
    wait_for(lambda: "files not delivered" in caplog.text)
    (tmp_path / "identity").unlink()
    written.given()
    assert serial(written.folder)


def test_a_folder_that_can_hold_nothing_is_found_before_the_token_is_used(scene: Any) -> None:
    scene.write()
    scene.start_ca()
    folder = scene.folder / "identity"
    folder.write_text("")
    told = {
        "workload": "prod.payments/feast",
        "manifests": str(scene.manifests),
        "ca": scene.ca.address,
        "joinTokenFile": str(scene.token("feast")),
        "state": str(scene.folder / "state"),
        "health": "none",
        "output": {"folder": str(folder)},
        "log": {"format": "json"},
    }
    refused = scene.configured("feast", told)
    assert (
        f"output.folder {folder} can't hold the files: it is a file"
        in (refused.logged("not started")["error"])
    )
    assert refused.process.wait(10) == 1
    folder.unlink()
    sidecar = scene.configured("feast", told)
    sidecar.logged("identity issued")
    sidecar.logged("files written")
    assert (folder / "svid.pem").exists()
