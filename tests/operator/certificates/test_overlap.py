"""One authority after another, by a clock that the tests turn."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featward_operator.certificates.authority import (
    Authority,
    Kept,
    SecretError,
    make_authority,
    pem_blocks,
)
from featward_operator.certificates.overlap import Lives, Publish, Store, Wait, plan

LIVES = Lives(authority=1000.0, leaf=20.0, announced=60.0)
T0 = 1_800_000_000.0


class World:
    """The Secret and the caBundle, and a leader that does one step a second."""

    def __init__(self) -> None:
        self.now = T0
        self.kept: Kept | None = None
        self.published: bytes | None = b""
        self.steps: list[str] = []

    def make(self) -> Authority:
        return make_authority(self.now, LIVES.authority)

    def step(self) -> None:
        match plan(self.kept, self.published, self.now, LIVES, self.make):
            case Store(kept, what):
                # As a restarted replica would find it.
                self.kept = Kept.from_secret(kept.to_secret())
                self.steps.append(what)
            case Publish(bundle):
                self.published = bundle
                self.steps.append("published")
            case Wait():
                pass

    def run(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.step()
            self.now += 1.0

    @property
    def have(self) -> Kept:
        assert self.kept
        return self.kept


def test_a_first_authority_is_made_and_published() -> None:
    world = World()
    world.run(500)
    assert world.steps == ["made", "published"]
    assert world.published == world.have.current.certificate


def test_the_next_one_is_announced_then_used_and_the_old_one_forgotten() -> None:
    world = World()
    world.run(600)
    old = world.have.current
    world.run(400)
    made = ["made", "published", "announced", "used"]
    assert world.steps == ["made", "published", *made, "forgotten", "published"]
    assert world.have.current.certificate != old.certificate
    assert world.published == world.have.current.certificate


def test_no_authority_signs_before_it_has_been_announced_for_its_time() -> None:
    world = World()
    known_since: dict[bytes, float] = {}
    used = 0
    for _ in range(3000):
        world.run(1)
        blocks = pem_blocks(world.published or b"")
        known_since = {block: known_since.get(block, world.now) for block in blocks}
        if world.steps.count("used") > used:
            used += 1
            current = world.have.current.certificate.strip()
            assert world.now - known_since[current] >= LIVES.announced
    assert used >= 4


def test_the_old_one_is_trusted_for_two_lives_of_a_leaf_after_its_last() -> None:
    world = World()
    while "used" not in world.steps:
        world.run(1)
    used_at, previous = world.now, world.have.previous
    assert previous
    while "forgotten" not in world.steps:
        assert pem_blocks(previous) <= pem_blocks(world.published or b"")
        world.run(1)
    assert world.now - used_at >= 2 * LIVES.leaf - 1


def test_whoever_takes_the_next_one_out_of_the_bundle_makes_its_time_begin_anew() -> None:
    world = World()
    while "announced" not in world.steps:
        world.run(1)
    world.run(50)
    world.published = world.have.current.certificate
    world.run(50)
    assert world.steps[-3:] == ["not announced", "published", "announced"]
    assert "used" not in world.steps
    world.run(30)
    assert world.steps[-1] == "used"


def test_an_order_of_the_bundle_that_is_not_ours_is_no_reason_to_write() -> None:
    world = World()
    while "announced" not in world.steps:
        world.run(1)
    assert world.have.next
    world.published = world.have.next.certificate + b"\n\n" + world.have.current.certificate
    assert isinstance(plan(world.kept, world.published, world.now, LIVES, world.make), Wait)


def test_nothing_is_used_while_there_is_no_configuration() -> None:
    world = World()
    world.published = None
    world.run(900)
    assert world.steps == ["made", "made"]
    assert world.have.next


def test_an_authority_that_has_ended_is_replaced_at_once() -> None:
    world = World()
    world.run(10)
    world.now += 5000.0
    world.run(2)
    assert world.steps == ["made", "published", "made", "published"]
    assert world.have.current.not_after > world.now


@given(st.lists(st.sampled_from(["step", "second", "minute", "lost", "killed"]), max_size=60))
def test_whatever_happens_what_signs_is_published_or_about_to_be(events: list[str]) -> None:
    world = World()
    world.run(620)
    for event in events:
        match event:
            case "step":
                world.step()
            case "second":
                world.now += 1.0
            case "minute":
                world.now += 60.0
            case "lost":
                world.published = b""
            case "killed":
                world.kept = Kept.from_secret(world.have.to_secret())
        known = pem_blocks(world.published or b"")
        if world.published and known:
            current = world.have.current.certificate.strip()
            assert current in known or world.steps[-1] == "made"
    # At one moment, at which the steps come to an end: another might be due after a second.
    for _ in range(6):
        world.step()
    assert pem_blocks(world.published or b"") == pem_blocks(world.have.bundle)


def test_a_secret_is_read_as_it_was_written() -> None:
    one, other = make_authority(T0, 100.0), make_authority(T0, 100.0)
    kept = Kept(one, other, make_authority(T0, 100.0).certificate, 12.5)
    assert Kept.from_secret(kept.to_secret()) == kept
    assert Kept.from_secret(replace(kept, next=None).to_secret()).next is None


@pytest.mark.parametrize("spoilt", ["none", "no base64", "no pem", "another key", "no number"])
def test_a_spoilt_secret_is_an_error_and_not_another_kind_of_trust(spoilt: str) -> None:
    data = Kept(make_authority(T0, 100.0)).to_secret()
    other = Kept(make_authority(T0, 100.0)).to_secret()
    match spoilt:
        case "none":
            data = {}
        case "no base64":
            data["current.crt"] = "!"
        case "no pem":
            data["current.crt"] = "AAAA"
        case "another key":
            data["current.key"] = other["current.key"]
        case "no number":
            data["since"] = "eA=="
    with pytest.raises(SecretError):
        Kept.from_secret(data)
