"""`featward ca ceremony …`: the steps around a root whose key is on no machine with a network."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import console, fail
from featward.cli.output import Output, OutputOption, print_json
from featward_ca.cli.connection import TIMEOUT, admin

if TYPE_CHECKING:
    from featward.authority.v1 import authority_pb2
    from featward_ca.ceremony_steps import ImportStep, RequestStep

app = typer.Typer(no_args_is_help=True, help="Keep the root's key on a machine without a network.")


@app.callback()
def ceremony() -> None:
    """A group, so that there may be more than one command."""


@app.command("run")
def run(
    file: Annotated[Path, typer.Argument(help="The step: root, request, sign or import.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Do the one step of the ceremony that a YAML file describes; its paths are relative to it."""
    from featward_ca import ceremony
    from featward_ca import ceremony_steps as steps
    from featward_ca.errors import CaError

    folder = file.absolute().parent
    made: list[Path] = []
    taken: Sequence[authority_pb2.Authority] = ()
    try:
        step = steps.read(file)
        match step:
            case steps.RootStep():
                made = ceremony.make_root(step, folder)
            case steps.RequestStep():
                made = _request(step, folder)
            case steps.SignStep():
                made = ceremony.sign(step, folder)
            case steps.ImportStep():
                taken = _import(step, folder)
    except CaError as error:
        fail(str(error))
    if output is Output.JSON:
        shown = [{"id": one.id, "owner": one.owner, "state": one.state} for one in taken]
        print_json({"written": [str(one) for one in made], "taken": shown})
        return
    for target in made:
        console.print(f"written: {target}", soft_wrap=True)
    for one in taken:
        console.print(f"{one.owner}: {one.id} is {one.state}", soft_wrap=True)
    if not made and not taken:
        console.print("nothing waits for a signature")


def _request(step: "RequestStep", folder: Path) -> list[Path]:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from featward.authority.v1 import authority_pb2
    from featward_ca.ceremony import write

    with admin(None, _socket(step, folder)) as stub:
        answer = stub.ListRequests(authority_pb2.ListRequestsRequest(), timeout=TIMEOUT)
    made = []
    for one in answer.requests:
        target = folder / step.requests / f"{one.owner}-{one.authority}.csr"
        write(target, x509.load_der_x509_csr(one.csr).public_bytes(Encoding.PEM), 0o644)
        made.append(target)
    return made


def _socket(step: "RequestStep | ImportStep", folder: Path) -> Path:
    """Where the CA is asked. Ends the command where nothing is, since a step has no --data."""
    socket = folder / step.admin_socket
    if not socket.exists():
        fail(
            f"no CA is listening on {socket}; start it with featward ca serve, or correct adminSocket in"
            " the step: its path is relative to the step's own file"
        )
    return socket


def _import(step: "ImportStep", folder: Path) -> "Sequence[authority_pb2.Authority]":
    from cryptography.hazmat.primitives.serialization import Encoding

    from featward.authority.v1 import authority_pb2
    from featward_ca.ceremony import certificate_of, files

    found = files(folder / step.certificates, ".pem") if step.certificates else []
    root = certificate_of(folder / step.root).public_bytes(Encoding.DER) if step.root else b""
    request = authority_pb2.ImportCertificatesRequest(
        certificates=[certificate_of(one).public_bytes(Encoding.DER) for one in found], root=root
    )
    with admin(None, _socket(step, folder)) as stub:
        return list(stub.ImportCertificates(request, timeout=TIMEOUT).authorities)
