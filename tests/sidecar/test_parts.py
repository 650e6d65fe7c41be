"""A snapshot in parts: whole or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from featward.policy.v1.policy_pb2 import Part
from featward_sidecar import parts
from featward_sidecar.errors import SnapshotError
from featward_sidecar.parts import Parts
from policy_kit import digest_of, parts_of

ONE, TWO = b"a snapshot of some length", b"and another one"


def all_of(taking: Parts, sent: list[Part]) -> list[bytes]:
    return [whole for part in sent if (whole := taking.take(part)) is not None]


@given(some.binary(min_size=1, max_size=200), some.integers(1, 200))
def test_parts_of_any_size_give_the_whole_once(snapshot: bytes, size: int) -> None:
    taking = Parts()
    assert all_of(taking, list(parts_of(snapshot, size))) == [snapshot]
    assert not taking.pending


def test_a_new_digest_voids_the_parts_before_it() -> None:
    taking = Parts()
    begun = list(parts_of(ONE, 4))[:3]
    assert all_of(taking, begun) == []
    assert taking.pending
    assert all_of(taking, list(parts_of(TWO, 4))) == [TWO]
    with pytest.raises(
        SnapshotError, match=r"for byte 12 of 25; expected byte 0 of 0 of a new one"
    ):
        taking.take(list(parts_of(ONE, 4))[3])


def test_a_part_that_is_missing_is_said_once_and_the_next_snapshot_is_taken() -> None:
    taking = Parts()
    sent = list(parts_of(ONE, 4))
    taking.take(sent[0])
    with pytest.raises(SnapshotError, match="came for byte 8 of 25; expected byte 4 of 25"):
        taking.take(sent[2])
    assert all_of(taking, sent[3:]) == []
    assert all_of(taking, sent) == [ONE]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (Part(digest="d", total=3, data=b"four"), "ends at byte 4; it has 3"),
        (Part(digest="d", total=parts.LARGEST_BYTES + 1), "at most 268435456 are taken"),
        (
            Part(digest="d", total=4, data=b"four"),
            f"sent as d is {digest_of(b'four')}: it was damaged",
        ),
        (Part(digest="d", total=8, offset=4, data=b"four"), "for byte 4 of 8; expected byte 0"),
    ],
)
def test_what_does_not_fit_is_refused_with_both_values(part: Part, said: str) -> None:
    taking = Parts()
    with pytest.raises(SnapshotError, match=said):
        taking.take(part)
    assert not taking.pending
    assert all_of(taking, list(parts_of(ONE))) == [ONE]


def test_a_total_that_changes_on_the_way_is_refused() -> None:
    taking = Parts()
    first, second, *_ = parts_of(ONE, 4)
    taking.take(first)
    second.total += 1
    with pytest.raises(SnapshotError, match="expected byte 4 of 25"):
        taking.take(second)
