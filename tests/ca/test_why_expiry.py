"""Which bound sets the end of an SVID, when it is issued and when somebody asks."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from ca_kit import TRUST_DOMAIN, FakeClock, OpenCore, a_directory, issue
from featward.authority.v1 import authority_pb2, authority_pb2_grpc
from featward_ca.bans import BanKind, read_value
from featward_ca.core import Core
from featward_ca.errors import MalformedRequestError
from featward_ca.expiry import Bound, least, limits
from featward_ca.service.admin import handlers
from featward_ca.service.guard import Guard
from featward_ca.service.peers import ADMIN
from featward_ca.service.sockets import listen
from featward_ca.service.streams import Streams
from featward_ca.settings import DAY, HOUR

PRICING = "prod.payments/pricing-api"
AUTHORITY = authority_pb2.DESCRIPTOR.services_by_name["AuthorityService"]
AdminStub: Any = authority_pb2_grpc.AuthorityServiceStub


@pytest.fixture
async def admin(core: Core, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Any]:
    guard = Guard(TRUST_DOMAIN, clock, core.metrics, core.issuance)
    socket = tmp_path / "a.sock"
    server = await listen(socket, [guard.service(AUTHORITY, handlers(core, Streams()), ADMIN)])
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        yield AdminStub(channel)
    await server.stop(0)


async def why(admin: Any, serial: str) -> authority_pb2.WhyExpiryResponse:
    answer: authority_pb2.WhyExpiryResponse = await admin.WhyExpiry(
        authority_pb2.WhyExpiryRequest(serial=serial)
    )
    return answer


async def test_an_svid_ends_by_its_ttl_while_its_authority_lives_longer(
    core: Core, admin: Any, clock: FakeClock
) -> None:
    svid = await issue(core, PRICING)
    answer = await why(admin, svid.row.serial)
    assert (answer.cap, answer.not_after) == ("svid-ttl", clock.now() + HOUR)
    assert [cap.name for cap in answer.caps] == ["svid-ttl", "authority", "root"]
    assert [cap.name for cap in answer.caps if cap.applied] == ["svid-ttl"]
    assert answer.caps[0].text.startswith("svidTTL of the Environment was 3600 s")
    assert answer.caps[1].not_after == core.authorities.active("prod.payments").row.not_after


async def test_an_svid_is_clamped_to_its_authority(
    core: Core, admin: Any, clock: FakeClock
) -> None:
    # The schedule was missed: the authority is about to end.
    clock.advance(7 * DAY - HOUR / 2)
    svid = await issue(core, PRICING)
    end = core.authorities.active("prod.payments").row.not_after
    answer = await why(admin, svid.row.serial)
    assert (answer.cap, answer.not_after, svid.row.not_after) == ("authority", end, end)
    assert [cap.name for cap in answer.caps if cap.applied] == ["authority"]
    assert end < clock.now() + HOUR == answer.caps[0].not_after


async def test_the_ttl_is_told_as_it_was_after_an_edit_of_it(core: Core, admin: Any) -> None:
    svid = await issue(core, PRICING)
    core.take_over(a_directory(svid_lifetime=2 * HOUR))
    answer = await why(admin, svid.row.serial)
    assert answer.caps[0].not_after == svid.row.not_after


async def test_a_serial_is_known_in_whichever_form_it_is_printed(core: Core, admin: Any) -> None:
    serial = (await issue(core, PRICING)).row.serial
    colons = ":".join(serial[i : i + 2] for i in range(0, len(serial), 2))
    for form in (serial.upper(), colons, f"0x{serial}", f"00:{colons}", f"serial={serial.upper()}"):
        assert (await why(admin, form)).spiffe_id.endswith("pricing-api")
        # The same reader.
        assert read_value(BanKind.SERIAL, form, TRUST_DOMAIN) == serial.lstrip("0")


@pytest.mark.parametrize("text", ["", "zz", "0x", "000", "a" * 41, "12 g4"])
async def test_what_is_no_serial_is_not_looked_for(admin: Any, text: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await why(admin, text)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    said = refused.value.details() or ""
    assert f"{text!r} is no serial number: expected its hexadecimal digits, 40 at most" in said
    with pytest.raises(MalformedRequestError, match="is no serial number"):
        read_value(BanKind.SERIAL, text, TRUST_DOMAIN)


async def test_a_serial_that_was_never_issued_is_not_found(admin: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await why(admin, "ff")
    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


async def test_of_equal_bounds_the_ttl_is_named(open_core: OpenCore) -> None:
    core = await open_core()
    row = core.authorities.active("prod.payments").row
    lifetimes = core.situation.lifetimes
    found = limits(row.not_after - lifetimes.svid, lifetimes, [row])
    assert found[0].not_after == found[1].not_after
    assert least(found).bound is Bound.SVID_TTL
