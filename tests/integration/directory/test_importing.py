"""Importing agencies into a real database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from broker.directory import national
from broker.directory.changes import Author, end_mandate, import_csv
from broker.directory.live import load_directory
from broker.directory.planning import Defaults
from broker.store.pool import Connection
from schemas.problem import Problem


async def take(connection: Connection, author: Author, *lines: str, update: bool = False) -> tuple[int, int, int, int]:
    data = "\n".join(lines).encode()
    report = await import_csv(connection, data, what="a.csv", author=author, update=update)
    return report.added, report.updated, report.unchanged, len(report.rejected)


async def test_rows_are_rejected_and_not_files(connection: Connection, author: Author) -> None:
    counts = await take(
        connection, author,
        "code_qcvn102,name",
        "000.00.00.H53,UBND Tỉnh Tây Ninh",
        "000.00.37.H53,UBND huyện Tân Châu",
        "000.1137.H53,Phòng Y tế huyện Tân Châu",
        "000.00.20.G14,Cục Báo chí",
        "000.00.20.G14,Cục Báo chí - Bộ Thông tin truyền thông",
    )  # fmt: skip
    assert counts == (3, 0, 0, 2)
    directory = await load_directory(connection)
    found = directory.find("000.00.37.h53")
    assert found is not None and (found.code, found.level, found.name) == ("H53.37", "district", "UBND huyện Tân Châu")
    assert found.parent_id is not None and directory.by_id(found.parent_id).code == "H53"
    orphan = directory.find("G14.20")
    assert orphan is not None and orphan.name == "Cục Báo chí" and orphan.parent_id is None


async def test_importing_again_changes_nothing_and_updating_changes_what_differs(
    connection: Connection, author: Author
) -> None:
    header = "code,name,level,parent,hub,has_mailbox,aliases"
    rows = [
        "H53,Tây Ninh,province,,,true,000.00.00.H53",
        "H53.1,Xã Một,commune,H53,H53,,",
        "H53.2,Xã Hai,commune,H53,,,",
    ]
    assert await take(connection, author, header, *rows) == (3, 0, 0, 0)
    revision = (await load_directory(connection)).revision
    assert await take(connection, author, header, *rows) == (0, 0, 3, 0)
    assert (await load_directory(connection)).revision == revision
    changed = ["H53.1,Phường Một,commune,H53.2,H53,true,"]
    assert await take(connection, author, header, *changed) == (0, 0, 0, 1)
    assert await take(connection, author, header, *changed, update=True) == (0, 1, 0, 0)
    directory = await load_directory(connection)
    found = directory.find("H53.1")
    assert found is not None and found.name == "Phường Một" and found.has_mailbox
    assert found.parent_id is not None and directory.by_id(found.parent_id).code == "H53.2"


async def test_a_known_agency_gets_a_new_hub_and_alias_by_import(connection: Connection, author: Author) -> None:
    await take(connection, author, "code,name,level,has_mailbox", "H53,Tây Ninh,province,true", "H53.1,Xã,commune,")
    await take(connection, author, "code,name,hub,aliases", "H53.1,Xã,H53,x.1")
    directory = await load_directory(connection)
    found = directory.find("x.1")
    assert found is not None and (owner := directory.owner_of(found.id)) is not None and owner.code == "H53"


async def test_a_reform_is_one_file(connection: Connection, author: Author) -> None:
    await take(connection, author, "code,name,level", "H53,Tây Ninh,province")
    counts = await take(
        connection, author,
        "code,name,level,valid_from,valid_until,successors",
        "H53.1,Phường Cũ,commune,,2025-07-01,H53.1=main part;H53.2=part",
        "H53.3,Xã Ba,commune,,2025-07-01,H53.2",
        "H53.1,Phường Mới,commune,2025-07-01,,",
        "H53.2,Xã Hai,commune,2025-07-01,,",
    )  # fmt: skip
    assert counts == (4, 0, 0, 0)
    directory = await load_directory(connection)
    old, found = directory.closed("H53.1"), directory.find("H53.1")
    assert old is not None and found is not None and found.name == "Phường Mới"
    assert [agency.code for agency in directory.successors(old.id)] == ["H53.1", "H53.2"]
    gone = directory.closed("H53.3")
    assert gone is not None and [agency.code for agency in directory.successors(gone.id)] == ["H53.2"]


async def test_nothing_is_imported_when_the_header_fits_nothing(connection: Connection, author: Author) -> None:
    with pytest.raises(Problem, match="columns"):
        await take(connection, author, "a,b", "c,d")


async def test_the_nation_is_imported_whole_and_hangs_together(connection: Connection, author: Author) -> None:
    steps: list[int] = []
    report = await national.load(connection, author=author, on_progress=steps.append)
    assert report.added == sum(steps) == 26 + 34 + 272 + 3321 + 29 and report.rejected == ()
    directory = await load_directory(connection)
    sizes = {name: len(directory.members(f"group:{name}") or ())
             for name in ("ministries", "provinces", "communes", "communes/H53", "children/H53")}  # fmt: skip
    assert sizes == {"ministries": 26, "provinces": 34, "communes": 3321, "communes/H53": 96, "children/H53": 104}
    assert len(directory.mailboxes()) == 26 + 34 + 96
    assert all(directory.owner_of(agency.id) for agency in directory.agencies() if agency.open_on(directory.today))
    by_alias = directory.find("000.00.00.H53")
    assert by_alias is not None and by_alias.code == "H53"
    longan = directory.closed("H39")
    assert longan is not None and [agency.code for agency in directory.successors(longan.id)] == ["H53"]
    again = await national.load(connection, author=author)
    assert (again.added, again.updated, again.unchanged) == (0, 0, report.added)


async def told(connection: Connection) -> list[dict[str, Any]]:
    """What the log's events of the directory say, in their order."""
    rows = await connection.fetch("SELECT body FROM event WHERE kind = 'directory_changed' ORDER BY event_id")
    return [json.loads(row["body"]) for row in rows]


async def test_an_import_is_told_to_the_log_five_hundred_codes_at_a_time(
    connection: Connection, author: Author
) -> None:
    rows = [f"X.{number},Xã số {number},commune" for number in range(1_200)]
    await take(connection, author, "code,name,level", *rows)
    bodies = [body for body in await told(connection) if body["change"] == "agencies.imported"]
    assert [len(body["codes"]) for body in bodies] == [500, 500, 200]
    assert {body["facts"]["added"] for body in bodies} == {1_200}
    assert {body["facts"]["mandates"] for body in bodies} == {0}


async def test_every_mandate_of_an_import_is_told_with_its_hub_first_and_no_event_loses_it(
    connection: Connection, author: Author
) -> None:
    hub = "H53,Tây Ninh,province,true,,"
    communes = [f"H53.{number},Xã số {number},commune,,H53,2026-01-0{1 + number % 2}" for number in range(1_200)]
    header = "code,name,level,has_mailbox,hub,valid_from"
    await take(connection, author, header, hub, *communes)
    bodies = [body for body in await told(connection) if body["change"] == "mandates.imported"]
    assert [len(body["codes"]) for body in bodies] == [500, 102, 500, 102]
    assert all(body["codes"][0] == "H53" and "part" not in body for body in bodies)
    assert {(body["facts"]["receive"], body["facts"]["sign"]) for body in bodies} == {(True, True)}
    named = {(code, body["facts"]["from"]) for body in bodies for code in body["codes"][1:]}
    rows = await connection.fetch("SELECT code, m.valid_from FROM mandate m JOIN agency USING (agency_id)")
    assert named == {(row["code"], str(row["valid_from"])) for row in rows} and len(rows) == 1_200
    assert await connection.fetchval("SELECT count(*) FROM admin_action WHERE action = 'mandates.imported'") == 1
    hub_id = await connection.fetchval("SELECT agency_id FROM agency WHERE code = 'H53'")
    found_by = "SELECT count(*) FROM event WHERE agency_id = $1"
    assert await connection.fetchval(found_by, hub_id) == 4, "a bundle finds them by their hub"


async def test_an_agency_that_only_gained_a_hub_is_told_and_with_what_its_row_says(
    connection: Connection, author: Author
) -> None:
    header = "code,name,level,has_mailbox,hub,valid_from"
    await take(
        connection, author, header, "H53,T,province,true,,", "H53.1,A,commune,,H53,2026-02-03", "H53.2,B,commune,,,"
    )
    await end_mandate(connection, "H53", "H53.1", author=author)
    before = len(await told(connection))
    assert await take(connection, author, "code,name,hub", "H53.1,A,H53", "H53.2,B,H53") == (0, 0, 2, 0)
    imported, *mandates = (await told(connection))[before:]
    assert (imported["codes"], imported["facts"]["mandates"]) == (["H53.2", "H53.1"], 2)
    assert {(body["codes"][1], body["facts"]["from"]) for body in mandates} == {
        ("H53.1", "2026-02-03"),  # its row began then, and the end is forgotten
        ("H53.2", "2019-03-12"),
    }


async def test_mailboxes_and_ends_of_an_import_are_told(connection: Connection, author: Author) -> None:
    header = "code,name,level,has_mailbox,valid_until"
    rows = ["A,A,province,true,", "B,B,province,,", "C,C,province,true,2025-07-01", "B,B cũ,province,true,2020-01-01"]
    await take(connection, author, header, *rows)
    await take(connection, author, "code,name,has_mailbox", "B,B,true", "A,A khác,", update=True)
    bodies = await told(connection)
    mailboxes = [(one["facts"]["mailbox"], one["codes"]) for one in bodies if one["change"] == "mailboxes.imported"]
    assert mailboxes == [(False, ["B"]), (True, ["A"]), (True, ["B"])], "what does not exist any more needs none"
    closings = [(one["facts"]["on"], one["codes"]) for one in bodies if one["change"] == "closings.imported"]
    assert closings == [("2020-01-01", ["B"]), ("2025-07-01", ["C"])]


async def test_tiers_of_an_import_are_told_where_they_are_new(connection: Connection, author: Author) -> None:
    header = "code,name,level,tier,valid_until"
    await take(
        connection, author, header, "A,A,province,,", "B,B,hub,,", "C,C,commune,1,", "B,B cũ,district,,2020-01-01"
    )
    await take(connection, author, "code,name,tier", "A,A khác,", "C,C,2", update=True)
    tiers = [(one["facts"], one["codes"]) for one in await told(connection) if one["change"] == "tiers.imported"]
    assert tiers == [
        ({"tier": None, "closed": False}, ["B"]),
        ({"tier": 1, "closed": False}, ["A", "C"]),
        ({"tier": 2, "closed": True}, ["B"]),
        ({"tier": 2, "closed": False}, ["C"]),
    ]


async def test_superiors_of_an_import_are_told_by_their_codes_where_they_are_new(
    connection: Connection, author: Author
) -> None:
    header = "code,name,level,parent,aliases"
    await take(connection, author, header, "A.1,A,commune,A,", "A,A,province,,", "B,B,province,,BB", "A.2,A,commune,A,")
    await take(connection, author, "code,name,parent", "A.1,A,BB", "A.2,A khác,A", update=True)
    told_as = [(one["facts"], one["codes"]) for one in await told(connection) if one["change"] == "superiors.imported"]
    assert told_as == [
        ({"superior": None, "closed": False}, ["A", "B"]),
        ({"superior": "A", "closed": False}, ["A.1", "A.2"]),
        ({"superior": "B", "closed": False}, ["A.1"]),
    ]


async def test_a_whole_province_under_one_superior_is_told_five_hundred_at_a_time(
    connection: Connection, author: Author
) -> None:
    rows = [f"A.{number},Xã,commune,A" for number in range(1_200)]
    await take(connection, author, "code,name,level,parent", "A,A,province,", *rows)
    bodies = [one for one in await told(connection) if one["change"] == "superiors.imported"]
    assert [(one["facts"]["superior"], len(one["codes"])) for one in bodies] == [
        (None, 1), ("A", 500), ("A", 500), ("A", 200),
    ]  # fmt: skip


async def test_successions_of_an_import_are_told_in_pairs_that_no_event_tears_apart(
    connection: Connection, author: Author
) -> None:
    old = [f"A.{number},Xã cũ,commune,2025-07-01,A" for number in range(300)]
    more = ["X,Huyện,district,2025-07-01,A=main part;B=part", "Y,Huyện,district,2025-07-01,B=main part"]
    await take(
        connection, author, "code,name,level,valid_until,successors", "A,A,commune,,", "B,B,commune,,", *old, *more
    )
    bodies = [one for one in await told(connection) if one["change"] == "successions.imported"]
    assert [(one["facts"]["extent"], one["facts"]["on"], len(one["codes"])) for one in bodies] == [
        ("main-part", "2025-07-01", 4), ("part", "2025-07-01", 2), ("whole", "2025-07-01", 500),
        ("whole", "2025-07-01", 100),
    ]  # fmt: skip
    assert bodies[0]["codes"] == ["X", "A", "Y", "B"] and bodies[1]["codes"] == ["X", "B"]
    assert all(one["codes"][1::2] == ["A"] * (len(one["codes"]) // 2) for one in bodies[2:])


async def test_the_default_hub_serves_the_whole_file(connection: Connection, author: Author) -> None:
    await take(connection, author, "code,name,level,has_mailbox", "HUB,Trục tỉnh,hub,true")
    data = "code,name\nA,Xã A\nB,Xã B\n".encode()
    defaults = Defaults(level="commune", hub="HUB", derived=True)
    report = await import_csv(connection, data, what="a.csv", author=author, defaults=defaults)
    directory = await load_directory(connection)
    assert report.added == 2
    for code in ("A", "B"):
        found = directory.find(code)
        assert found is not None and found.derived and (owner := directory.owner_of(found.id)) and owner.code == "HUB"
