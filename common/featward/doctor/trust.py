"""By whose trust the doctor judges: a file of roots, what a Workload API hands out, or the CA's own."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import grpc

from featward.authority.v1 import authority_pb2
from featward.authority.v1.authority_pb2_grpc import AuthorityServiceStub
from featward.doctor.certificates import from_pem_file, show, tidy
from featward.doctor.local import Handed
from featward.errors import DoctorError

__all__ = ["Trust", "by_bundle", "by_ca", "by_workload_api"]

ADMIN_NAME = "admin.sock"
Scopes = tuple[tuple[bytes, str], ...]
Bans = tuple[tuple[str, str, int], ...]
"""What is banned (identity, serial, authority), whom, and the Unix second it ends at, 0 for until lifted."""

_PAGE = 1000


@dataclass(frozen=True)
class Trust:
    """Roots by trust domain, and for our own CA's the table of which key may sign which path, and the bans."""

    source: str
    trust_domain: str | None
    """The one of our own; None where the source does not say it."""
    roots: Mapping[str | None, tuple[bytes, ...]] = field(repr=False)
    scopes: Scopes | None = field(default=None, repr=False)
    bans: Bans = field(default=(), repr=False)
    server_time: float | None = None
    """The CA's clock, Unix seconds."""

    def roots_for(self, domain: str) -> tuple[bytes, ...]:
        """Those of the domain, else our own: where a chain is of nobody known, it is we who refuse it."""
        every = tuple(root for roots in self.roots.values() for root in roots)
        return self.roots.get(domain) or self.roots.get(self.trust_domain) or every


def by_bundle(file: Path, trust_domain: str | None) -> Trust:
    """A PEM file. Its trust domain is the one that is told, else what its roots say. Raises DoctorError."""
    roots = from_pem_file(file)
    said = {domain for root in roots if (domain := show(root).trust_domain)}
    if trust_domain is None and len(said) == 1:
        trust_domain = said.pop()
    return Trust(f"{file}", trust_domain, {trust_domain: roots})


def by_workload_api(path: Path, handed: Handed) -> Trust:
    """What came with the first SVID. Raises DoctorError where there is none."""
    if not handed.svids:
        text = handed.findings[0].text if handed.findings else "it has no Workload API"
        raise DoctorError(f"{path} hands out no identity to be judged by: {text}")
    own = handed.svids[0].claimed.removeprefix("spiffe://").partition("/")[0]
    return Trust(f"the Workload API of {path}", own, dict(handed.bundles))


def by_ca(where: Path, seconds: float) -> Trust:
    """What a running CA announces now, asked over its admin socket. Raises DoctorError."""
    path = where / ADMIN_NAME if where.is_dir() else where
    if not path.is_socket():
        raise DoctorError(
            f"no CA is listening on {path}; name the data directory of one on this machine, or take"
            " --bundle FILE"
        )
    with grpc.insecure_channel(f"unix:{path.absolute()}") as channel:
        stub = AuthorityServiceStub(channel)
        try:
            shown = stub.Show(authority_pb2.ShowRequest(), timeout=seconds)
            bans = tuple(_bans(stub, seconds))
        except grpc.RpcError as error:
            why = tidy(cast("grpc.Call", error).details())
            raise DoctorError(f"the CA on {path} does not say whom it trusts: {why}") from error
    scopes = tuple((each.spki_sha256, each.path_prefix) for each in shown.scopes)
    domain = shown.trust_domain
    source = f"the CA of {domain}, sequence {shown.sequence}"
    roots = {domain: tuple(shown.roots)}
    return Trust(source, domain, roots, scopes, bans, shown.server_time)


def _bans(stub: AuthorityServiceStub, seconds: float) -> Iterator[tuple[str, str, int]]:
    """Those that hold at some time; the engine looks at which."""
    after = ""
    while True:
        request = authority_pb2.ListBansRequest(limit=_PAGE, after=after)
        page = stub.ListBans(request, timeout=seconds)
        yield from ((each.kind, each.value, math.ceil(each.expires_at)) for each in page.bans)
        if not (after := page.next):
            return
