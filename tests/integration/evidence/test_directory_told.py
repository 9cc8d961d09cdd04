"""Whatever the directory's own commands do, `audit verify` finds every row as its events tell it: no false alarm."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from broker.directory import changes, importing, national
from broker.directory.changes import Author, NewAgency
from broker.directory.changing import Change, Facts, Telling
from broker.directory.import_events import import_tellings
from broker.directory.live import today_in_vietnam
from broker.directory.merging import merge
from broker.evidence.verify import Scope, findings
from broker.evidence.verify_directory import OF_BEFORE
from broker.store.pool import Connection, connect

AUTHOR = Author(actor="an operator", reason="a reason")
TODAY = today_in_vietnam()


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run past midnight."""
    monkeypatch.setitem(globals(), "TODAY", today_in_vietnam())


HEADER = "code,name,level,has_mailbox,hub,valid_until"


@pytest.fixture
async def connection(migrated_database: str) -> AsyncIterator[Connection]:
    async with connect(migrated_database) as opened:
        yield opened


async def verified(connection: Connection) -> list[str]:
    """What is found in a database whose events have no place in a log yet."""
    async with connection.transaction():
        return [one.sentence() async for one in findings(connection, (), None, Scope(full=True), {})]


async def take(connection: Connection, *rows: str, header: str = HEADER, update: bool = False) -> None:
    data = "\n".join((header, *rows)).encode()
    report = await changes.import_csv(connection, data, what="a.csv", author=AUTHOR, update=update)
    assert report.rejected == ()


def told_as_before(*arguments: Any, **named: Any) -> list[Telling]:
    """What imports told before they told mandates, mailboxes and ends."""
    first = import_tellings(*arguments, **named)[0]
    return [replace(first, facts={name: (first.facts or {})[name] for name in ("rows_sha256", "added", "updated")})]


def imports_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on imports tell what they told then, and no change describes its rows."""
    monkeypatch.setattr(importing, "import_tellings", told_as_before)
    monkeypatch.setattr(Change, "describe", described_as_before)


async def described_as_before(change: Change, first: int, last: int) -> int:
    return 0


async def recorded_as_before(change: Change, word: str, codes: Sequence[str], *, facts: Facts, **named: Any) -> None:
    """What closing an agency told before it told extents."""
    few = {name: facts[name] for name in ("closed", "on")}
    await change.record_all([Telling(change=word, codes=codes, facts=few, **named)], target=", ".join(codes[:5]))


async def test_the_nation_is_told_whole(connection: Connection) -> None:
    await national.load(connection, author=AUTHOR)
    assert await verified(connection) == []


@pytest.mark.parametrize("before", [False, True], ids=["imports that tell mandates", "imports of before"])
async def test_mandates_that_end_narrow_and_come_again(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    if before:
        imports_of_before(monkeypatch)
    await take(connection, "H,Tỉnh,province,true,,", *(f"H.{n},Xã {n},commune,,H," for n in (1, 2, 3)))
    await changes.end_mandate(connection, "H", "H.1", author=AUTHOR)
    await changes.add_mandate(connection, "H", "H.2", may_receive=True, may_sign=False, author=AUTHOR)
    await changes.end_mandate(connection, "H", "H.3", author=AUTHOR)
    assert await verified(connection) == []
    await take(connection, "H.1,Xã 1,H", "H.2,Xã 2,H", header="code,name,hub")
    assert await verified(connection) == []
    await take(connection, "H.3,Phường 3,commune,true,,", update=True)
    await changes.set_mailbox(connection, "H.3", has_mailbox=False, author=AUTHOR)
    await changes.close(connection, "H.1", on=TODAY, author=AUTHOR)
    await changes.close(connection, "H.2", on=TODAY + timedelta(days=9), author=AUTHOR)
    await changes.close(connection, "H.2", on=TODAY + timedelta(days=5), author=AUTHOR)
    assert await verified(connection) == []


async def test_a_code_that_means_another_agency_later(connection: Connection) -> None:
    """Closings are often entered after their day; the code's new agency has another hub, or none."""
    await take(
        connection, "H,Tỉnh,province,true,,", "K,Tỉnh,province,true,,", "H.1,Xã,commune,,H,", "H.2,Xã,commune,true,,"
    )
    for code in ("H.1", "H.2"):
        await changes.close(connection, code, on=TODAY - timedelta(days=60), author=AUTHOR)
    await take(connection, "H.1,Phường,commune,,K,", "H.2,Phường,commune,,,", "H.1,Xã xưa,commune,,,2020-01-01")
    assert await verified(connection) == []
    await changes.end_mandate(connection, "K", "H.1", author=AUTHOR)
    assert await verified(connection) == []


async def test_a_merger_on_a_day_to_come_and_what_it_hands_over(connection: Connection) -> None:
    await take(
        connection, "H,Tỉnh,province,true,,", "K,Tỉnh,province,true,,", *(f"H.{n},X,commune,,H," for n in (1, 2, 3))
    )
    # The new one has a mandate already, had one, and never had one.
    await changes.add_mandate(connection, "K", "H.1", may_receive=False, may_sign=True, author=AUTHOR)
    await changes.add_mandate(connection, "K", "H.2", may_receive=True, may_sign=True, author=AUTHOR)
    await changes.end_mandate(connection, "K", "H.2", author=AUTHOR)
    day = TODAY + timedelta(days=30)
    await merge(connection, ["H"], into="K", on=day, author=AUTHOR)
    assert await verified(connection) == []
    since = await connection.fetch(
        "SELECT a.code, m.valid_from FROM mandate m JOIN agency a USING (agency_id)"
        " JOIN agency h ON h.agency_id = m.hub_id WHERE h.code = 'K' ORDER BY 1"
    )
    assert [tuple(row) for row in since] == [("H.1", TODAY), ("H.2", day), ("H.3", day)], (
        "what had ended begins that day"
    )


@pytest.mark.parametrize("before", [False, True], ids=["imports that tell tiers", "imports of before"])
async def test_tiers_that_change_and_codes_that_come_again(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    if before:
        imports_of_before(monkeypatch)
    header = "code,name,level,tier,valid_until"
    await take(connection, "A,Sở,department,,", "B,Trục,hub,,", "C,Xã,commune,,", header=header)
    await changes.add_agency(connection, NewAgency(code="D", name="Xã", level="commune", tier=2), author=AUTHOR)
    await take(connection, "A,Sở,province,,", "C,Xã,commune,1,", "D,Xã,commune,3,", header=header, update=True)
    assert await verified(connection) == []
    await changes.close(connection, "C", on=TODAY, author=AUTHOR)
    await changes.add_agency(connection, NewAgency(code="C", name="Bộ", level="ministry", tier=2), author=AUTHOR)
    await take(connection, "C,Huyện cũ,district,3,2020-01-01", "D,Xã cũ,district,,2020-01-01", header=header)
    assert await verified(connection) == []
    await connection.execute("UPDATE agency SET tier = 1 WHERE code = 'D' AND state <> 'closed'")
    assert [one.split(": ")[0] for one in await verified(connection)] == ([] if before else ["agency D"])


@pytest.mark.parametrize("before", [False, True], ids=["imports that tell superiors", "imports of before"])
async def test_superiors_that_change_and_codes_that_come_again(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    if before:
        imports_of_before(monkeypatch)
    header = "code,name,level,parent,valid_until"
    await take(
        connection, "H.1,Xã,commune,H,", "H,Tỉnh,province,,", "K,Tỉnh,province,,", "H.2,Xã,commune,H,", header=header
    )
    new = NewAgency(code="H.3", name="Xã", level="commune", parent="H")
    await changes.add_agency(connection, new, author=AUTHOR)
    await changes.add_alias(connection, "K", "KK", kind="former", author=AUTHOR)
    await take(connection, "H.2,Xã,commune,KK,", "H.3,Xã khác,commune,,", header=header, update=True)
    assert await verified(connection) == []
    await merge(connection, ["H"], into="K", on=TODAY, author=AUTHOR)
    await take(connection, "H.1,Xã,commune,K,", "H.3,Phường,commune,K,", header=header, update=True)
    await changes.close(connection, "H.2", on=TODAY, author=AUTHOR)
    await take(connection, "H.2,Xã,commune,H.3,", "H.3,Xã cũ,commune,K,2020-01-01", header=header)
    assert await verified(connection) == []
    await connection.execute(
        "UPDATE agency SET parent_id = (SELECT agency_id FROM agency WHERE code = 'H') WHERE code = 'H.2'"
        " AND state <> 'closed'"
    )
    assert [one.split(": ")[0] for one in await verified(connection)] == ([] if before else ["agency H.2"])


@pytest.mark.parametrize("before", [False, True], ids=["imports that tell successions", "imports of before"])
async def test_successions_that_change_and_codes_that_come_again(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    if before:
        imports_of_before(monkeypatch)
    header = "code,name,level,valid_until,successors"
    await take(
        connection, *(f"{code},Xã,commune,," for code in "ABCDE"),
        "A,Xã cũ,commune,2020-01-01,A=part;B=main part", "A,Xã xưa,commune,2021-01-01,A", header=header,
    )  # fmt: skip
    await changes.close(
        connection, "B", on=TODAY, author=AUTHOR, successors=[("C", "part"), ("A", "main part"), ("D", "part")]
    )
    assert await verified(connection) == []
    later = TODAY + timedelta(days=9)
    await changes.close(connection, "C", on=later, author=AUTHOR, successors=[("D", "part"), ("E", "part")])
    await changes.close(connection, "C", on=TODAY, author=AUTHOR, successors=[("E", "part"), ("E", "whole")])
    await changes.add_agency(connection, NewAgency(code="C", name="Xã", level="commune"), author=AUTHOR)
    await merge(connection, ["C", "D"], into="E", on=TODAY, author=AUTHOR)
    assert await verified(connection) == []
    await connection.execute("DELETE FROM succession WHERE extent = 'main part'")
    # What was closed by hand is told by its own event, what an import of before brought by none.
    removed = [one.split(": ")[0] for one in await verified(connection)]
    assert sorted(removed) == (["succession B to A"] if before else ["succession A to B", "succession B to A"])


async def test_closings_of_before_that_told_no_extents(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    await take(connection, "A,Xã,commune,,,", "B,Xã,commune,,,", "C,Xã,commune,,,")
    with monkeypatch.context() as before:
        before.setattr(Change, "record", recorded_as_before)
        before.setattr(Change, "describe", described_as_before)
        await changes.close(connection, "A", on=TODAY, author=AUTHOR, successors=[("B", "part"), ("C", "main part")])
    assert await verified(connection) == []
    await connection.execute("UPDATE succession SET extent = 'whole', on_date = on_date - 1 WHERE extent = 'part'")
    found = [one.split(":")[:2] for one in await verified(connection)]
    assert found == [["succession A to B", " on_date"]], "its day was told, its extent was not"


async def test_an_agency_added_with_an_end(connection: Connection) -> None:
    until = TODAY + timedelta(days=3)
    new = NewAgency(code="T", name="Tạm", level="department", has_mailbox=True, valid_until=until)
    await changes.add_agency(connection, new, author=AUTHOR)
    await changes.suspend(connection, "T", author=AUTHOR)
    assert await verified(connection) == []


async def test_an_agency_added_by_hand_whose_level_an_import_changes(connection: Connection) -> None:
    await changes.add_agency(connection, NewAgency(code="H", name="Tỉnh", level="province"), author=AUTHOR)
    await changes.add_agency(connection, NewAgency(code="H.1", name="Xã", level="commune"), author=AUTHOR)
    await take(connection, "H.1,Sở,department", header="code,name,level", update=True)
    assert await verified(connection) == []


async def test_what_a_version_of_before_wrote_is_passed_over_and_counted_until_it_is_described(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        imports_of_before(before)
        await take(connection, "A,Xã A,commune,,,", "B,Xã B,commune,,,", "C,Xã C,commune,,,")
        await changes.add_alias(connection, "A", "AA", kind="local", author=AUTHOR)
    await changes.add_alias(connection, "B", "BB", kind="local", author=AUTHOR)
    await changes.close(connection, "C", on=TODAY, author=AUTHOR)
    assert await verified(connection) == []
    assert await passed_over(connection) == 3, "A, B and the alias of A; C was told when it closed"
    with monkeypatch.context() as before:
        imports_of_before(before)  # a change by a version before, between two of this one
        await changes.end_alias(connection, "B", "BB", author=AUTHOR)
    assert await verified(connection) == []
    assert await passed_over(connection) == 4
    await connection.execute("UPDATE agency SET name = 'khác'")
    assert [one.split(": ")[:2] for one in await verified(connection)] == [["agency C", "name"]]
    assert await changes.describe(connection, author=AUTHOR) == 5
    assert (await verified(connection), await passed_over(connection)) == ([], 0)
    await connection.execute("UPDATE agency SET name = 'lại khác', revision = 99")
    assert [one.split(": ")[:2] for one in await verified(connection)] == [
        [f"agency {code}", column] for code in "ABC" for column in ("name", "revision")
    ]


async def test_agencies_that_have_had_the_same_code_are_told_apart(connection: Connection) -> None:
    await take(connection, "H,Tỉnh,province,true,,", "K,Tỉnh,province,true,,", "H.1,Xã cũ,commune,,H,")
    await changes.close(connection, "H.1", on=TODAY, author=AUTHOR)
    await take(connection, "H.1,Phường mới,commune,,K,")
    assert await verified(connection) == []
    await connection.execute(
        "UPDATE agency a SET name = b.name FROM agency b WHERE a.code = 'H.1' AND b.code = 'H.1'"
        " AND a.agency_id <> b.agency_id"
    )
    await connection.execute("UPDATE mandate SET valid_from = valid_from - 1 WHERE valid_from = '2019-03-12'")
    assert {tuple(one.split(": ")[:2]) for one in await verified(connection)} == {
        ("agency H.1", "name"), ("mandate H for H.1", "valid_from"), ("mandate K for H.1", "valid_from"),
    }  # fmt: skip
    await connection.execute("UPDATE mandate SET valid_from = valid_from + 1")
    await connection.execute(
        "UPDATE mandate m SET agency_id = a.agency_id FROM agency a WHERE a.code = 'H.1' AND a.agency_id <> m.agency_id"
    )
    found = [one.split(": ")[:2] for one in await verified(connection) if one.startswith("mandate")]
    assert found == [["mandate H for H.1", "row"], ["mandate K for H.1", "row"]] * 2, "whose they are, exchanged"


async def test_what_a_restore_lost_accuses_no_row_that_is_as_it_was_before(connection: Connection) -> None:
    """The log's later events come back out of its files, the rows do not."""
    await take(connection, "A,Xã A,commune,,,")
    rows = "SELECT name, revision FROM agency"
    before = await connection.fetchrow(rows)
    assert before is not None
    last = await connection.fetchval("SELECT max(event_id) FROM event")
    await take(connection, "A,Xã khác,commune,,,", "B,Xã B,commune,,,", update=True)
    await changes.add_alias(connection, "A", "AA", kind="local", author=AUTHOR)
    await connection.execute("DELETE FROM agency_code; DELETE FROM agency WHERE code = 'B'")
    await connection.execute("UPDATE agency SET name = $1, revision = $2", *before)
    assert {one.split(":")[0] for one in await verified(connection) if one.startswith("agency")} == {
        "agency A", "agency B", f"agency_code A {sha256(b'AA').hexdigest()}",
    }  # fmt: skip
    await connection.execute(
        "INSERT INTO log_put_back SELECT at, event_id, 1, event_id FROM event WHERE event_id > $1", last
    )
    assert [one for one in await verified(connection) if one.startswith("agency")] == []


async def passed_over(connection: Connection) -> int:
    """How many rows of the directory nothing is said of because no event describes them."""
    counted: dict[str, int] = {}

    def count(what: str, steps: int) -> None:
        counted[what] = counted.get(what, 0) + steps

    async with connection.transaction():
        _ = [one async for one in findings(connection, (), None, Scope(), {}, progress=count)]
    return counted.get(OF_BEFORE, 0)
