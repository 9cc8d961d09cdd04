"""Merging agencies: one step, one transaction; every old code leads on; what cannot be changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from broker.directory import changes, national
from broker.directory.changes import Author, NewAgency
from broker.directory.live import load_directory, today_in_vietnam
from broker.directory.merging import merge
from broker.services import Endpoints
from broker.store.pool import Connection
from broker.upkeep.successions import closings
from schemas.problem import Problem

TODAY = today_in_vietnam()


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may run past midnight."""
    monkeypatch.setitem(globals(), "TODAY", today_in_vietnam())


REFORM = TODAY + timedelta(days=30)


async def add(connection: Connection, author: Author, code: str, **more: object) -> None:
    values = {"name": f"Cơ quan {code}", "level": "province"} | more
    await changes.add_agency(connection, NewAgency(code=code, **values), author=author)  # type: ignore[arg-type]


@pytest.fixture
async def provinces(connection: Connection, author: Author) -> Connection:
    """Two provinces that are hubs of a commune each, and the one into which they go."""
    for code in ("H34", "H35", "H53"):
        await add(connection, author, code, has_mailbox=True)
    await add(connection, author, "H34.1", level="commune", hub="H34", parent="H34")
    await add(connection, author, "H35.1", level="commune", parent="H35")
    await changes.add_mandate(connection, "H35", "H35.1", may_receive=True, may_sign=False, author=author)
    await changes.add_alias(connection, "H34", "tinh.cu", kind="local", author=author)
    return connection


async def test_from_the_day_on_codes_and_aliases_lead_to_the_new_one_and_not_before(
    provinces: Connection, author: Author
) -> None:
    merger = await merge(provinces, ["tinh.cu", "H35"], into="H53", on=REFORM, author=author)
    assert [one.code for one in merger.agencies] == ["H34", "H35"]
    directory = await load_directory(provinces)
    assert directory.find("H34") is not None and directory.find("tinh.cu") == directory.find("H34")
    after = directory.updated(today=REFORM)
    for text in ("H34", "H35", "tinh.cu", "TINH.CU"):
        assert after.find(text) is None
        gone = after.closed(text)
        assert gone is not None and [heir.code for heir in after.successors(gone.id)] == ["H53"]
    assert {after.by_id(old).code: heir.agency.code for old, heir in closings(after).heirs.items()} == {
        "H34": "H53",
        "H35": "H53",
    }


async def test_the_new_one_serves_whom_the_old_ones_served_with_the_same_rights(
    provinces: Connection, author: Author
) -> None:
    merger = await merge(provinces, ["H34", "H35"], into="H53", on=REFORM, author=author)
    assert sorted(merger.handed_over) == ["H34.1", "H35.1"] and merger.left_without_hub == 0
    before = await load_directory(provinces)
    after = before.updated(today=REFORM)
    new = before.agency("H53")
    assert new is not None
    for code, hub, signs in (("H34.1", "H34", True), ("H35.1", "H35", False)):
        served = before.agency(code)
        assert served is not None
        was, now = before.owner_of(served.id), after.owner_of(served.id)
        assert was is not None and was.code == hub
        assert now is not None and now.code == "H53"
        assert after.may_sign_for(new.id, served.id) is signs
        assert not before.may_sign_for(new.id, served.id)


async def test_without_a_mailbox_the_new_one_serves_nobody_and_the_number_is_told(
    provinces: Connection, author: Author
) -> None:
    await add(provinces, author, "H54")
    merger = await merge(provinces, ["H34", "H35"], into="H54", on=TODAY, author=author)
    assert (merger.reached_through, merger.handed_over, merger.left_without_hub) == (None, (), 2)


async def test_every_merged_agency_leaves_its_event_and_the_reason(provinces: Connection, author: Author) -> None:
    await merge(provinces, ["H34", "H35"], into="H53", on=TODAY, author=author)
    rows = await provinces.fetch(
        "SELECT body FROM event WHERE kind = 'directory_changed' ORDER BY event_id DESC LIMIT 4"
    )
    told = [json.loads(row["body"]) for row in reversed(rows)]
    assert [(one["change"], one["codes"]) for one in told] == [
        ("agency.closed", ["H34", "H53"]),
        ("agency.closed", ["H35", "H53"]),
        ("mandate.given", ["H34.1", "H53"]),
        ("mandate.given", ["H35.1", "H53"]),
    ]
    assert len({one["revision"] for one in told}) == 1
    assert await provinces.fetchval("SELECT count(*) FROM admin_action WHERE action = 'agency.closed'") == 2


async def test_a_dry_run_counts_and_writes_nothing(provinces: Connection, author: Author) -> None:
    before = await provinces.fetchval("SELECT count(*) FROM event")
    merger = await merge(provinces, ["H34"], into="H53", on=TODAY, author=author, dry_run=True)
    (one,) = merger.agencies
    assert (one.served, one.below, one.open_deliveries, one.certificates) == (1, 1, 0, 0) and not merger.done
    assert await provinces.fetchval("SELECT count(*) FROM event") == before
    assert await provinces.fetchval("SELECT count(*) FROM succession") == 0
    assert await provinces.fetchval("SELECT count(*) FROM agency WHERE valid_until IS NOT NULL") == 0


@pytest.mark.parametrize(
    ("olds", "into", "said"),
    [
        (["H34", "H53"], "H53", "itself"),
        (["H34", "NOBODY"], "H53", "no agency"),
        (["H34"], "NOBODY", "no agency"),
    ],
)
async def test_what_cannot_be_merged_is_refused_with_nothing_changed(
    provinces: Connection, author: Author, olds: list[str], into: str, said: str
) -> None:
    with pytest.raises(Problem, match=said):
        await merge(provinces, olds, into=into, on=REFORM, author=author)
    assert await provinces.fetchval("SELECT count(*) FROM succession") == 0
    assert await provinces.fetchval("SELECT count(*) FROM agency WHERE valid_until IS NOT NULL") == 0


async def test_circles_other_successors_and_days_that_do_not_fit_are_refused(
    provinces: Connection, author: Author
) -> None:
    later = REFORM + timedelta(days=30)
    await merge(provinces, ["H53"], into="H34", on=later, author=author)
    await merge(provinces, ["H34"], into="H35", on=later, author=author)
    with pytest.raises(Problem, match="circle"):
        await merge(provinces, ["H35"], into="H53", on=REFORM, author=author)
    with pytest.raises(Problem, match="other successors recorded: H34"):
        await merge(provinces, ["H53"], into="H35", on=REFORM, author=author)
    await add(provinces, author, "H60", valid_from=REFORM)
    with pytest.raises(Problem, match=f"until {later}"):
        await merge(provinces, ["H60"], into="H53", on=later, author=author)
    with pytest.raises(Problem, match="last day"):
        await merge(provinces, ["H60"], into="H35", on=REFORM, author=author)


async def test_the_command_shows_first_and_then_does(
    provinces: Connection, migrated_database: str, servers: Endpoints, tmp_path: Path
) -> None:
    environment = os.environ | {
        "LIENTHONG_AMQP_URL": servers.amqp_url,
        "LIENTHONG_MANAGEMENT_URL": servers.management_url,
        "LIENTHONG_DATABASE_URL": migrated_database,
    }

    def agency(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "lienthong"), "agency", *arguments]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    shown = agency("merge", "H34", "--into", "H53", "--on", REFORM.isoformat(), "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "Would be merged into H53" in shown.stdout and "mailbox of H53" in shown.stdout
    done = agency("merge", "H34", "--into", "H53", "--reason", "sáp nhập", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["into"] == "H53"
    again = agency("merge", "H34", "--into", "H53")
    assert again.returncode == 3 and "ame its successor: H53" in again.stderr


@pytest.mark.long
async def test_the_nations_reform_of_2025_is_followed(connection: Connection, author: Author) -> None:
    await national.load(connection, author=author)
    directory = await load_directory(connection)
    found = closings(directory)
    gone = {agency.code for agency in directory.agencies() if agency.state == "closed"}
    assert len(gone) == 29
    assert {directory.by_id(old).code for old in found.heirs} == gone and not found.stranded
    assert {heir.agency.level for heir in found.heirs.values()} == {"province"}
