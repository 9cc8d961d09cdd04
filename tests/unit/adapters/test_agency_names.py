"""Names of agencies: shown before the code, asked for seldom, and never worth a document's trouble or time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import agency_names, naming
from adapters.agency_names import DAY, KEPT, NAME_LIMIT, Entry, clean, named, of_answer, read, shown, written
from adapters.naming import AgencyNames

COMMUNE = "Ủy ban nhân dân xã X"
HOSTILE = [
    "A\r\nBcc: x@y.test",
    "A\nB\x00\x1b[31m\x85\u2028\u2029",
    "\u202eA\u2066\u200f\ufeff\u200b",
    "\ud800 \udfff",
    "N" * 100_000,
    "=?utf-8?q?A=0D=0ABcc:_x?=",
]
WRONG: list[Any] = [None, 5, ["x"], {}]


def body(code: str = "H01.02", name: Any = COMMUNE, **more: Any) -> bytes:
    return json.dumps({"code": code, "name": name, **more}).encode()


def test_a_name_stands_before_its_code_and_without_one_the_code_stands_alone() -> None:
    names = {"H01.02": COMMUNE, "H01": "H01", "H02": "", "H03": " \n\t"}
    assert shown("H01.02", names) == "Ủy ban nhân dân xã X (H01.02)"
    assert [shown(code, names) for code in ("H01", "H02", "H03", "H04")] == ["H01", "H02", "H03", "H04"]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_malicious_name_is_one_short_line_that_ends_with_the_true_code(name: str) -> None:
    told = shown("H01", {"H01": name})
    assert told.endswith("(H01)") or told == "H01"
    assert told.isprintable() and len(told) <= NAME_LIMIT + len(" (H01)") and told.encode()


@settings(max_examples=200, deadline=None)
@given(name=st.text(st.characters(), max_size=300))
def test_whatever_a_name_holds_it_is_one_printable_line(name: str) -> None:
    assert clean(name).isprintable() and len(clean(name)) <= NAME_LIMIT and clean(clean(name)) == clean(name)


def test_codes_in_a_sentence_get_their_names_and_longer_codes_are_left_alone() -> None:
    names = {"H53": "Tỉnh", "H53.1": COMMUNE}
    said = named("H53.1 báo văn bản của H53. H53.12 và XH53 thì không.", ["H53", "H53.1"], names)
    assert said == f"{COMMUNE} (H53.1) báo văn bản của Tỉnh (H53). H53.12 và XH53 thì không."
    assert named("của H53.", ["H53"], {}) == "của H53." and named("của H53.", [], names) == "của H53."


def test_only_the_gateways_own_words_about_that_code_are_a_name() -> None:
    assert of_answer("H01.02", 200, body()) == COMMUNE
    assert of_answer("H01.02", 404, b'{"error": "LT-NOT-FOUND"}') == ""
    assert of_answer("H01.02", 200, body(code="H01.03")) == ""
    assert [of_answer("H01.02", 200, body(name=one)) for one in WRONG] == [""] * len(WRONG)
    deep = b'{"name":' + b"[" * 16_000
    for status, odd in [(200, b"<html>"), (404, b"no"), (500, body()), (302, b""), (200, b"[]"), (200, deep)]:
        assert of_answer("H01.02", status, odd) is None
    assert of_answer("H01.02", 200, b"\xff\xfe") is None


def test_the_file_holds_what_it_was_given_and_whatever_else_stands_in_it_is_left_out() -> None:
    entries = {"H01": Entry(COMMUNE, 5.0), "H02": Entry("", 6.0)}
    assert read(written(entries)) == entries
    odd = {"H01": ["A\nB", 1.0], "no code": ["x", 1.0], "H03": ["x"], "H04": [5, 1.0], "H05": "x", "H06": ["x", None]}
    assert read(json.dumps(odd).encode()) == {"H01": Entry("A B", 1.0)}
    for broken in (b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"H01": ["x", ' + b"9" * 5000 + b"]}"):
        assert read(broken) == {}
    many = {f"H{number}": Entry("x", float(number)) for number in range(KEPT + 10)}
    kept = read(written(many))
    assert len(kept) == KEPT and "H0" not in kept and f"H{KEPT + 9}" in kept


class Gateway:
    """Answers as it is told, and counts."""

    def __init__(self, **names: str) -> None:
        self.names = names
        self.asked: list[str] = []
        self.trouble: BaseException | None = None
        self.silent = False

    async def __call__(self, code: str) -> tuple[int, bytes]:
        self.asked.append(code)
        if self.silent:
            await asyncio.Event().wait()
        if self.trouble is not None:
            raise self.trouble
        name = self.names.get(code)
        return (404, b'{"error": "LT-NOT-FOUND"}') if name is None else (200, body(code, name))


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds since 1970 and of the monotonic clock, to be set by the test."""
    clock = [1_800_000_000.0, 1000.0]
    monkeypatch.setattr(naming, "time", SimpleNamespace(time=lambda: clock[0], monotonic=lambda: clock[1]))
    return clock


async def test_a_code_is_asked_about_once_a_day_also_after_a_restart_and_also_if_it_is_unknown(
    tmp_path: Path, now: list[float]
) -> None:
    gateway, file = Gateway(H01="A", H02="B"), tmp_path / "names.json"
    names = AgencyNames(file, gateway)
    assert await names.of("H01", "H09", "H01", "not a code/../x") == {"H01": "A"}
    assert await names.of("H01", "H09", "H02") == {"H01": "A", "H02": "B"}
    again = AgencyNames(file, gateway)
    assert await again.of("H01", "H09") == {"H01": "A"} and again.known == {"H01": "A", "H02": "B"}
    assert gateway.asked == ["H01", "H09", "H02"]
    gateway.names["H01"] = "A mới"
    now[0] += DAY + 1
    assert await again.of("H01") == {"H01": "A mới"}
    assert gateway.asked[3:] == ["H01"] and [one.name for one in tmp_path.iterdir()] == ["names.json"]
    now[0] -= 10 * DAY  # a clock that was wrong keeps nothing for ever
    assert await again.of("H01") == {"H01": "A mới"} and gateway.asked[4:] == ["H01"]


async def test_a_gateway_that_fails_costs_nothing_old_names_stay_and_it_is_left_in_peace(
    tmp_path: Path, now: list[float]
) -> None:
    gateway = Gateway(H01="A", H02="B")
    names = AgencyNames(tmp_path / "names.json", gateway)
    await names.of("H01")
    now[0] += DAY + 1
    for trouble in (OSError("gone"), ValueError("too long"), TimeoutError(), RuntimeError("anything")):
        gateway.trouble, before = trouble, len(gateway.asked)
        assert await names.of("H01", "H02") == {"H01": "A"}
        assert await names.of("H02", "H03") == {}
        assert gateway.asked[before:] == ["H01", "H02"]
        now[1] += naming.PAUSE + 1
    gateway.trouble = None
    assert await names.of("H01", "H02") == {"H01": "A", "H02": "B"}


async def test_nobody_waits_longer_than_promised_for_a_gateway_that_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "SECONDS", 0.05)
    gateway = Gateway(H01="A")
    gateway.silent = True
    names = AgencyNames(tmp_path / "names.json", gateway)
    assert await asyncio.gather(*(names.of("H01") for _ in range(20))) == [{}] * 20
    assert await names.of("H02") == {} and gateway.asked == ["H01"]


async def test_who_ends_the_program_is_not_kept_waiting(tmp_path: Path) -> None:
    gateway = Gateway()
    gateway.silent = True
    names = AgencyNames(tmp_path / "names.json", gateway)
    asking = asyncio.create_task(names.of("H01"))
    while not gateway.asked:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_without_a_gateway_there_are_codes_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_bytes(written({"H01": Entry("A", 1.0)}))
    names = AgencyNames(tmp_path / "names.json", None)
    assert await names.of("H01") == {} and names.known == {}


async def test_a_file_that_cannot_be_read_or_written_costs_no_name(tmp_path: Path) -> None:
    names = AgencyNames(tmp_path / "no folder" / "names.json", Gateway(H01="A"))
    assert await names.of("H01") == {"H01": "A"}
    large = tmp_path / "names.json"
    large.write_bytes(b" " * (3 << 20) + written({"H01": Entry("A", 1.0)}))
    assert AgencyNames(large, Gateway()).known == {}
    large.unlink()
    large.mkdir()
    assert await AgencyNames(large, Gateway(H01="A")).of("H01") == {"H01": "A"}


async def test_one_caller_cannot_have_many_codes_asked_about(tmp_path: Path) -> None:
    gateway = Gateway()
    await AgencyNames(tmp_path / "names.json", gateway).of(*(f"H{number}" for number in range(100)))
    assert len(gateway.asked) == naming.AT_ONCE


def test_names_are_bounded_as_the_file_is() -> None:
    largest = {f"{number:A>35}": Entry("Ệ" * NAME_LIMIT, 1_800_000_000.123456) for number in range(KEPT)}
    assert len(written(largest)) <= naming._FILE_LIMIT and agency_names.read(written(largest)) == largest
