"""Times as they travel, and ids that sort by time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import Refusal
from schemas.times import new_id, parse_rfc3339, rfc3339

HANOI = timezone(timedelta(hours=7))
moments = st.datetimes(
    min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=st.sampled_from([UTC, HANOI])
)


@given(moments)
def test_a_moment_survives_being_written_and_read(moment: datetime) -> None:
    text = rfc3339(moment)
    assert len(text) == len("2026-03-12T01:30:00.000000Z")
    assert text.endswith("Z")
    assert parse_rfc3339(text) == moment


@pytest.mark.parametrize(
    ("text", "in_utc"),
    [
        ("2026-03-12T08:30:00+07:00", "2026-03-12T01:30:00.000000Z"),
        ("2026-03-12T08:30:00.5Z", "2026-03-12T08:30:00.500000Z"),
        ("2026-03-12t08:30:00z", "2026-03-12T08:30:00.000000Z"),
        ("2026-03-12T08:30:00.123456789Z", "2026-03-12T08:30:00.123456Z"),
        ("2026-03-12T08:30:00-00:00", "2026-03-12T08:30:00.000000Z"),
    ],
)
def test_every_way_of_writing_a_moment_of_rfc_3339_is_read(text: str, in_utc: str) -> None:
    moment = parse_rfc3339(text)
    assert rfc3339(moment) == in_utc
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-12T08:30:00",
        "2026-03-12 08:30:00Z",
        "2026-03-12",
        "2026-03-12T08:30Z",
        "20260312T083000Z",
        "2026-W11-4T08:30:00Z",
        "2026-03-12T08:30:00+0700",
        "2026-03-12T08:30:00+24:00",
        "2026-13-12T08:30:00Z",
        "2026-02-29T08:30:00Z",
        "2026-03-12T08:30:60Z",
        "0000-03-12T08:30:00Z",
        "0001-01-01T00:00:00+07:00",
        "9999-12-31T23:59:59-07:00",
        "2026-03-12T08:30:00Z\n",
        "２026-03-12T08:30:00Z",
        "1773279000",
        "",
    ],
)
def test_anything_else_is_refused_naive_times_first_of_all(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_rfc3339(text, field="sent_at")
    assert (refused.value.code, refused.value.field, refused.value.found) == ("LT-SCHEMA", "sent_at", text)


def test_a_naive_time_is_never_written() -> None:
    with pytest.raises(ValueError, match="offset"):
        rfc3339(datetime(2026, 3, 12))
    with pytest.raises(ValueError, match="aware"):
        new_id(datetime(2026, 3, 12))


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 1, 1), timezones=st.just(UTC)),
    st.binary(min_size=10, max_size=10),
)
def test_an_id_is_a_version_7_uuid_that_tells_its_millisecond(now: datetime, randomness: bytes) -> None:
    id = new_id(now, randomness)
    assert id.version == 7
    assert id.variant == "specified in RFC 4122"
    assert id.int >> 80 == int(now.timestamp() * 1000)
    assert id == new_id(now, randomness)


def test_ids_sort_by_time_and_differ_within_a_millisecond() -> None:
    now = datetime(2026, 3, 12, tzinfo=UTC)
    later = new_id(now + timedelta(milliseconds=1))
    ids = {new_id(now) for _ in range(100)}
    assert len(ids) == 100
    assert all(id < later for id in ids)


def test_an_id_of_too_little_randomness_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="10 bytes"):
        new_id(datetime(2026, 3, 12, tzinfo=UTC), b"123")
