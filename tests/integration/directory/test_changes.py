"""Changes of the directory on a real PostgreSQL."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest

from broker.directory import changes
from broker.directory.changes import Author, NewAgency
from broker.directory.live import load_directory, today_in_vietnam
from broker.store.pool import Connection
from schemas.canonical import canonical_json, leaf_hash
from schemas.problem import Problem

TODAY = today_in_vietnam()


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run past midnight."""
    monkeypatch.setitem(globals(), "TODAY", today_in_vietnam())


async def add(connection: Connection, author: Author, code: str, **more: object) -> None:
    values = {"name": f"Cơ quan {code}", "level": "commune"} | more
    await changes.add_agency(connection, NewAgency(code=code, **values), author=author)  # type: ignore[arg-type]


async def test_an_added_agency_is_there_with_its_superior_and_hub(connection: Connection, author: Author) -> None:
    await add(connection, author, "H53", level="province", has_mailbox=True)
    await add(connection, author, "h53.1 ", name="  UBND  xã   Một ", parent="H53", hub="H53")
    directory = await load_directory(connection)
    found = directory.find("H53.1")
    assert found is not None and (found.name, found.tier) == ("UBND xã Một", 3)
    owner = directory.owner_of(found.id)
    assert owner is not None and owner.code == "H53" and found.parent_id == owner.id
    assert directory.may_sign_for(owner.id, found.id)


async def test_every_change_leaves_an_event_and_a_record_of_who_and_why(connection: Connection, author: Author) -> None:
    await add(connection, author, "H53", level="province", has_mailbox=True)
    await add(connection, author, "H53.1")
    await changes.add_mandate(connection, "H53", "H53.1", may_receive=True, may_sign=False, author=author)
    await changes.add_alias(connection, "H53.1", "x.1", kind="local", author=author)
    await changes.define_group(connection, "group:một", title="Nhóm một", members=["H53"], author=author)
    await changes.suspend(connection, "x.1", author=author)
    await changes.resume(connection, "H53.1", author=author)
    await changes.close(connection, "H53.1", on=TODAY, successors=[("H53", "whole")], author=author)
    expected = ["agency.added", "agency.added", "mandate.given", "alias.added", "group.defined", "agency.suspended",
                "agency.resumed", "agency.closed"]  # fmt: skip
    actions = await connection.fetch("SELECT actor, action, reason FROM admin_action ORDER BY action_id")
    assert [tuple(row) for row in actions] == [("tester", action, "a test") for action in expected]
    events = await connection.fetch("SELECT body, leaf, kind, epoch FROM event ORDER BY event_id")
    bodies = [json.loads(row["body"]) for row in events]
    changed = [body for body in bodies if body["event"] == "directory_changed"]
    assert [body["change"] for body in changed] == expected
    assert [body["revision"] for body in changed] == sorted({body["revision"] for body in bodies})
    assert [body["revision"] for body in bodies] == sorted(body["revision"] for body in bodies), "told as it is then"
    for row, body in zip(events, bodies, strict=True):
        assert row["body"] == canonical_json(body) and row["leaf"] == leaf_hash(row["body"])
        assert row["kind"] == body["event"] in ("directory_changed", "directory_described")
        assert "Cơ quan" not in row["body"].decode() and "Nhóm" not in row["body"].decode(), "names stay out of the log"


async def test_a_refused_change_leaves_nothing(connection: Connection, author: Author) -> None:
    await add(connection, author, "H53")
    for attempt in (
        lambda: add(connection, author, "H53", name="Khác"),
        lambda: add(connection, author, "H54", parent="H99"),
        lambda: add(connection, author, "H54", hub="H53"),
        lambda: changes.resume(connection, "H53", author=author),
        lambda: changes.close(connection, "H53", on=date(2000, 1, 1), author=author),
        lambda: changes.close(connection, "H53", on=TODAY, successors=[("H53", "whole")], author=author),
        lambda: changes.end_alias(connection, "H53", "x", author=author),
        lambda: changes.end_mandate(connection, "H53", "H53", author=author),
        lambda: changes.add_mandate(connection, "H53", "H53", may_receive=False, may_sign=False, author=author),
        lambda: changes.define_group(connection, "provinces", title="", members=["H53"], author=author),
        lambda: changes.remove_group(connection, "unknown", author=author),
    ):
        with pytest.raises(Problem):
            await attempt()
    assert await connection.fetchval("SELECT count(*) FROM event") == 2, "that it was added, and how it is described"
    assert [agency.code for agency in (await load_directory(connection)).agencies()] == ["H53"]


async def test_a_code_is_free_again_once_its_agency_is_closed(connection: Connection, author: Author) -> None:
    await add(connection, author, "H53.1", name="Phường Cũ")
    with pytest.raises(Problem, match=r"H53\.1 is the code of Phường Cũ"):
        await add(connection, author, "H53.1", name="Phường Mới")
    await changes.close(connection, "H53.1", on=TODAY, author=author)
    await add(connection, author, "H53.1", name="Phường Mới")
    directory = await load_directory(connection)
    found, gone = directory.find("H53.1"), directory.closed("H53.1")
    assert found is not None and found.name == "Phường Mới" and gone is not None and gone.name == "Phường Cũ"


async def test_an_end_entered_beforehand_frees_the_code_on_its_day(connection: Connection, author: Author) -> None:
    await add(connection, author, "H53.1", name="Phường Cũ")
    await changes.close(connection, "H53.1", on=TODAY + timedelta(days=1), author=author)
    assert (await load_directory(connection)).find("H53.1") is not None
    await connection.execute("UPDATE agency SET valid_until = $1", TODAY)  # a day goes by
    await add(connection, author, "H53.1", name="Phường Mới")
    found = (await load_directory(connection)).find("H53.1")
    assert found is not None and found.name == "Phường Mới"


async def test_closing_tells_how_many_lose_their_mailbox(connection: Connection, author: Author) -> None:
    await add(connection, author, "HUB", level="hub", has_mailbox=True)
    await add(connection, author, "A", hub="HUB")
    await add(connection, author, "B", hub="HUB", has_mailbox=True)
    closed = await changes.close(connection, "HUB", on=TODAY, author=author)
    assert closed.left_without_hub == 1


async def test_whoever_names_a_closed_agency_is_told_its_successor(connection: Connection, author: Author) -> None:
    for code in ("H39", "H53"):
        await add(connection, author, code, level="province")
    await changes.close(connection, "H39", on=TODAY, successors=[("H53", "whole")], author=author)
    with pytest.raises(Problem, match="H53") as caught:
        await changes.suspend(connection, "H39", author=author)
    assert "closed on" in caught.value.found


async def test_whoever_mistypes_a_code_is_told_what_was_perhaps_meant(connection: Connection, author: Author) -> None:
    await add(connection, author, "H53.25459")
    with pytest.raises(Problem, match=r"Did you mean H53\.25459\?"):
        await changes.suspend(connection, "H53.25495", author=author)


async def test_an_alias_ends_and_can_be_given_to_another(connection: Connection, author: Author) -> None:
    for code in ("A", "B"):
        await add(connection, author, code)
    await changes.add_alias(connection, "A", "x", kind="local", author=author)
    with pytest.raises(Problem, match="X already names A"):
        await changes.add_alias(connection, "B", "x", kind="local", author=author)
    await changes.end_alias(connection, "A", "x", author=author)
    await changes.add_alias(connection, "B", "x", kind="local", author=author)
    found = (await load_directory(connection)).find("x")
    assert found is not None and found.code == "B"


async def test_a_mandate_ends_at_once_and_can_be_given_again(connection: Connection, author: Author) -> None:
    await add(connection, author, "HUB", level="hub", has_mailbox=True)
    await add(connection, author, "A")
    for expected in (True, False, True):
        if expected:
            await changes.add_mandate(connection, "HUB", "A", may_receive=True, may_sign=True, author=author)
        else:
            await changes.end_mandate(connection, "HUB", "A", author=author)
        directory = await load_directory(connection)
        hub, served = directory.find("HUB"), directory.find("A")
        assert hub is not None and served is not None
        assert directory.may_receive_for(hub.id, served.id) is expected


async def test_a_group_changes_its_members_and_is_abolished(connection: Connection, author: Author) -> None:
    for code in ("A", "B"):
        await add(connection, author, code)
    for members in (["A"], ["B", "A", "B"]):
        await changes.define_group(connection, "Tổ", title="Tổ công tác", members=members, author=author)
        found = (await load_directory(connection)).members("group:tổ")
        assert found is not None and {agency.code for agency in found} == set(members)
    await changes.remove_group(connection, "group:tổ", author=author)
    assert (await load_directory(connection)).members("group:tổ") is None
