"""A CA in this process behind all its ways in, and a caller of each kind there is, over real sockets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from ca_kit import KEK, TRUST_DOMAIN, FakeClock, a_directory
from echo import channel
from featward.identity.spiffe import SpiffeId
from featward_ca.attest import Attested, Method
from featward_ca.core import Core
from featward_ca.directory import Workload
from featward_ca.keys import EncryptedKeyStore
from featward_ca.own_identity import OwnIdentity
from featward_ca.recorded import Request, nothing
from featward_ca.requests import keys_of
from featward_ca.service.peers import PeerKind
from featward_ca.settings import HOUR, REATTEST_GRACE
from featward_ca.situation import Situation
from featward_ca.store.engines import open_store
from featward_engine import Credentials, Dialer, Listener
from service_kit import Served, serving

CA_ID = str(SpiffeId.ca(TRUST_DOMAIN))
_PRICING = Workload(
    "prod.payments/pricing-api",
    "prod.payments",
    SpiffeId.workload(TRUST_DOMAIN, "payments", "pricing-api"),
)
_OPERATOR = Workload("featward/operator", "platform", SpiffeId.operator(TRUST_DOMAIN))


@dataclass(frozen=True)
class Fronted:
    """The CA, and an open channel for each kind of caller."""

    served: Served
    tls: str
    channels: dict[PeerKind, grpc.aio.Channel]


@asynccontextmanager
async def fronted_ca(folder: Path) -> AsyncIterator[Fronted]:
    """A CA whose clock stands still at this moment, for as long as the context lasts."""
    clock = FakeClock(time.time() - 2 * HOUR)
    async with AsyncExitStack() as stack:
        core = await Core.open(
            open_store(f"sqlite:///{folder}/ca.sqlite3"),
            EncryptedKeyStore(KEK),
            Situation.of(a_directory(), unsafe_short_lives=False),
            clock,
        )
        stack.push_async_callback(core.close)
        expired = await _holder(core, _PRICING)
        clock.advance(2 * HOUR)
        own = Credentials(TRUST_DOMAIN)
        await OwnIdentity(core, own).renew()
        served = await stack.enter_async_context(serving(core, clock, folder))
        tls = _listen(own, "127.0.0.1:0", folder, stack)
        front = _listen(own, f"unix:{folder}/front.sock", folder, stack)
        holders = {
            PeerKind.ANONYMOUS: _trusting(core),
            PeerKind.SVID: await _holder(core, _PRICING),
            PeerKind.EXPIRED_SVID: expired,
            PeerKind.OPERATOR: await _holder(core, _OPERATOR),
        }
        paths = {PeerKind.ADMIN: str(folder / "a.sock"), PeerKind.UNIX: front.removeprefix("unix:")}
        for kind, credentials in holders.items():
            paths[kind] = _dial(credentials, kind, tls, folder, stack)
        channels = {
            kind: await stack.enter_async_context(channel(path)) for kind, path in paths.items()
        }
        yield Fronted(served, tls, channels)


def _trusting(core: Core) -> Credentials:
    trust, credentials = core.trust.current, Credentials(TRUST_DOMAIN)
    credentials.set_trust(list(trust.roots), list(trust.scopes), trust.sequence)
    return credentials


async def _holder(core: Core, workload: Workload) -> Credentials:
    credentials = _trusting(core)
    pending = credentials.new_identity()
    issued = await core.issuer.issue(
        Request("test", "test"),
        Attested(workload, Method.SELF, nothing),
        keys_of([pending.csr])[0],
        core.situation.lifetimes,
    )
    credentials.set_identity(pending, list(issued.chain))
    return credentials


def _listen(own: Credentials, address: str, folder: Path, stack: AsyncExitStack) -> str:
    config = {
        "listen": address,
        "forward": str(folder / "i.sock"),
        "client_certificate": "none" if address.startswith("unix:") else "optional",
        "expired_grace_seconds": int(REATTEST_GRACE),
        "send_root": True,
    }
    listener = Listener(own, json.dumps(config).encode())
    bound = listener.start()
    stack.push_async_callback(asyncio.to_thread, listener.stop, 0.0)
    return bound


def _dial(
    credentials: Credentials, kind: PeerKind, tls: str, folder: Path, stack: AsyncExitStack
) -> str:
    config = {
        "address": tls,
        "socket": str(folder / f"{kind}.sock"),
        "expect": CA_ID,
        "client_certificate": kind is not PeerKind.ANONYMOUS,
    }
    dialer = Dialer(credentials, json.dumps(config).encode())
    path = dialer.start()
    stack.push_async_callback(asyncio.to_thread, dialer.stop)
    return path
