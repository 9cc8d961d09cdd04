"""A period, or a subtree's share of it, as a folder that can be checked anywhere; killed at any moment, it goes on."""

from __future__ import annotations

import asyncio
import csv
import json
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from broker.evidence.bundle import archive
from broker.evidence.bundle.archive import Archiving, Exported, Wanted
from broker.evidence.bundle.archive_check import CheckedArchive, check_archive
from broker.evidence.standalone import check_bundle as standalone
from schemas.problem import Problem
from schemas.times import rfc3339
from tests.kit.evidence import keys_of, log_now, roots_of
from tests.kit.exchange import End, Exchange, Letter
from tests.kit.statuses import eventually, forwarded, item, report, sent

PERIOD = Wanted(since=datetime.now(UTC) - timedelta(hours=1), until=datetime.now(UTC) + timedelta(hours=1))


async def exported(exchange: Exchange, folder: Path, wanted: Wanted = PERIOD) -> Exported:
    async with exchange.pool.acquire() as connection:
        archiving = await Archiving.opened(connection, folder, wanted, exchange.identity)
        return await archiving.run(connection, lambda _: None)


def checked(exchange: Exchange, folder: Path) -> CheckedArchive:
    return check_archive(folder, keys=keys_of(exchange), roots=roots_of(exchange))


def by_the_other(exchange: Exchange, folder: Path) -> int:
    keys = [standalone.read_key(key.encode()) for key in keys_of(exchange)]
    return standalone.check_archive(folder, keys, roots_of(exchange))


async def letters(exchange: Exchange, sender: End, *to: End, count: int) -> list[Letter]:
    return [await sent(exchange, sender, *to) for _ in range(count)]


async def settled(exchange: Exchange) -> None:
    await eventually(exchange, "SELECT count(*) = 0 FROM outgoing WHERE published_at IS NULL")
    await log_now(exchange)


async def test_a_period_is_a_folder_in_which_any_change_is_found(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "DOCUMENTS_A_PART", 2)
    ministry, province = await exchange.add("BO"), await exchange.add("TINH", "province")
    made = await letters(exchange, ministry, province, count=3)
    arrived = await report(exchange, province, *(item(letter, "01") for letter in made))
    await forwarded(exchange, ministry, arrived)
    await settled(exchange)
    folder = tmp_path / "archive"

    done = await exported(exchange, folder)

    assert (done.documents, done.parts) == (3, 2)
    empty = Wanted(since=PERIOD.since, until=PERIOD.since + timedelta(minutes=1))
    assert (await exported(exchange, tmp_path / "empty", empty)).parts == 0
    assert checked(exchange, tmp_path / "empty").faults == ()
    assert by_the_other(exchange, tmp_path / "empty") == 0
    found = checked(exchange, folder)
    assert found.faults == ()
    assert found.documents == 3
    assert by_the_other(exchange, folder) == 0
    rows = list(csv.DictReader((folder / "index.csv").read_text().splitlines()))
    assert [row["id"] for row in rows] == [str(letter.id) for letter in made]

    for name in ("index.csv", "contents.bundle", "parts/000001.bundle", "parts/000002.bundle"):
        file = folder / name
        whole = file.read_bytes()
        file.write_bytes(whole.replace(b"2026", b"2025", 1))
        wrong = checked(exchange, folder)
        assert not wrong.good and wrong.faults[0][0] == name
        assert by_the_other(exchange, folder) == 1
        file.unlink()
        assert not checked(exchange, folder).good
        assert by_the_other(exchange, folder) == 1
        file.write_bytes(whole)
    (folder / "parts" / "000003.bundle").write_bytes((folder / "parts" / "000001.bundle").read_bytes())
    assert checked(exchange, folder).faults[0][0] == "parts/000003.bundle"
    assert by_the_other(exchange, folder) == 1


async def test_a_subtrees_archive_tells_nothing_of_documents_that_do_not_touch_it(
    exchange: Exchange, tmp_path: Path
) -> None:
    ministry = await exchange.add("BO")
    province = await exchange.add("TINH", "province")
    inside = await exchange.add("XA", "commune", parent=province)
    outside = await exchange.add("KHAC", "province")
    (mine,) = await letters(exchange, ministry, inside, outside, count=1)
    (other,) = await letters(exchange, ministry, outside, count=1)
    (own,) = await letters(exchange, inside, outside, count=1)
    both = await report(exchange, outside, item(mine, "01"), item(other, "01"))
    await forwarded(exchange, ministry, both)
    await forwarded(exchange, ministry, await report(exchange, inside, item(mine, "01")))
    await forwarded(exchange, inside, await report(exchange, outside, item(own, "01")))
    await settled(exchange)
    folder = tmp_path / "archive"

    done = await exported(exchange, folder, Wanted(since=PERIOD.since, until=PERIOD.until, subtree=province.code))

    assert done.documents == 2
    assert checked(exchange, folder).faults == ()
    assert by_the_other(exchange, folder) == 0
    everything = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    decoded = everything + b"".join(_payloads(everything))
    assert str(mine.id).encode() in decoded and str(own.id).encode() in decoded
    assert str(other.id).encode() not in decoded
    assert other.digest.encode() not in decoded
    assert both.digest.encode() not in decoded, "it speaks of deliveries outside of the subtree alone"


class Killed(Exception):
    """Ends an export after a part."""


@pytest.mark.parametrize("inside", [False, True], ids=["a period", "a subtree"])
async def test_a_document_that_is_too_large_is_told_in_parts_of_its_recipients(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: bool
) -> None:
    ministry, hub = await exchange.add("BO"), await exchange.add("HUB", "hub")
    top, outsider = await exchange.add("TINH", "province"), await exchange.add("NGOAI", "province")
    offices = [await exchange.add(name, "commune", parent=top) for name in ("MOT", "HAI", "BA")]
    served = await exchange.add("XA", "commune", has_mailbox=False, hub=hub, parent=top)
    large = exchange.letter(ministry, [*offices, served])
    await exchange.send(large, ministry)
    await exchange.document_at(hub, large)
    (small,) = await letters(exchange, ministry, offices[0], count=1)
    said = [await report(exchange, office, item(large, "01"), item(large, "03", 2)) for office in offices]
    said.append(await report(exchange, hub, item(large, "01", for_=served.code)))
    said.append(await report(exchange, offices[0], item(large, "04", 3), item(small, "01")))
    for message in said:
        await forwarded(exchange, ministry, message)
    if not inside:
        refused = item(large, "01", for_=outsider.code)
        said.append(await report(exchange, hub, item(large, "03", 4, for_=served.code), refused))
        await forwarded(exchange, ministry, said[-1])
    await settled(exchange)
    monkeypatch.setattr(archive, "BYTES_A_PART", 1_500)
    folder, wanted = tmp_path / "archive", Wanted(since=PERIOD.since, until=PERIOD.until)
    if inside:
        wanted = Wanted(since=PERIOD.since, until=PERIOD.until, subtree=top.code)

    def killed(_: int) -> None:
        raise Killed

    for _ in range(2):
        with pytest.raises(Killed):
            async with exchange.pool.acquire() as connection:
                archiving = await Archiving.opened(connection, folder, wanted, exchange.identity)
                await archiving.run(connection, killed)
    done = await exported(exchange, folder, wanted)

    assert (done.documents, done.resumed_after) == (2, 2)
    assert done.parts > 3
    found = checked(exchange, folder)
    assert found.faults == ()
    assert (found.documents, found.withheld) == (2, 0)
    assert by_the_other(exchange, folder) == 0
    rows = list(csv.DictReader((folder / "index.csv").read_text().splitlines()))
    of_the_large = [row["part"] for row in rows if row["id"] == str(large.id)]
    assert len(of_the_large) == len(set(of_the_large)) == done.parts - 1
    everything = b"".join(file.read_bytes() for file in (folder / "parts").iterdir())
    payloads = b"".join(_payloads(everything))
    for message in said:
        assert payloads.count(str(message.id).encode()) >= 1
    told = [json.loads(line)["scope"]["archive"] for line in everything.splitlines() if b'"scope":{"archive"' in line]
    shares = [one["agencies"] for one in told if len(one.get("agencies", [])) < 4 and "agencies" in one]
    everybody = (*offices, served) if inside else (*offices, served, outsider)
    assert sorted(code for share in shares for code in share) == sorted(one.code for one in everybody)


def _payloads(bundles: bytes) -> list[bytes]:
    found = []
    for line in bundles.splitlines():
        if line.startswith(b'{"jws"'):
            jws = json.loads(line)["jws"]
            found.append(standalone.b64url(jws["payload"] if isinstance(jws, dict) else jws.split(".")[1]))
    return found


EXPORT = """
import asyncio, sys
from pathlib import Path
from broker.evidence.bundle import archive
from broker.evidence.bundle.archive import Archiving, Wanted
from broker.identity import BrokerIdentity
from broker.settings import Settings
from broker.store.pool import connect
from schemas.times import parse_rfc3339

archive.DOCUMENTS_A_PART = 1

async def main(settings, folder, since, until):
    identity = BrokerIdentity.load(settings)
    async with connect(settings.database_url) as connection:
        wanted = Wanted(since=parse_rfc3339(since), until=parse_rfc3339(until))
        archiving = await Archiving.opened(connection, Path(folder), wanted, identity)
        await archiving.run(connection, lambda _: print("part", flush=True))

asyncio.run(main(Settings.model_validate_json(sys.argv[1]), *sys.argv[2:]))
"""


async def test_an_export_that_was_killed_goes_on_where_it_was(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ministry, province = await exchange.add("BO"), await exchange.add("TINH", "province")
    await letters(exchange, ministry, province, count=5)
    await settled(exchange)
    folder = tmp_path / "archive"
    period = rfc3339(PERIOD.since), rfc3339(PERIOD.until)
    arguments = exchange.settings.model_dump_json(), str(folder), *period
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", EXPORT, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"part\n"
    process.send_signal(signal.SIGKILL)
    await process.wait()
    # What a kill in the middle of a write leaves behind.
    with (folder / archive.PROGRESS).open("ab") as file:
        file.write(b'{"name": "parts/0000')
    for name in ("parts/.000002.bundle.4711", ".contents.bundle.4711", ".index.csv", "..progress.4711"):
        (folder / name).write_bytes(b"{")
    assert not checked(exchange, folder).good

    with pytest.raises(Problem, match="another archive"):
        await exported(exchange, folder, Wanted(since=PERIOD.since, until=PERIOD.since))
    with monkeypatch.context() as killed_at_the_last_step:
        killed_at_the_last_step.setattr(Path, "unlink", _dies_on(archive.PROGRESS, Path.unlink))
        with pytest.raises(ConnectionAbortedError):
            await exported(exchange, folder)
    done = await exported(exchange, folder)

    assert done.resumed_after >= 1
    assert done.documents == 5
    assert checked(exchange, folder).faults == ()
    assert by_the_other(exchange, folder) == 0
    with pytest.raises(Problem, match="finished archive"):
        await exported(exchange, folder)


def _dies_on(name: str, unlink: Callable[..., None]) -> Callable[..., None]:
    def dying(path: Path, **options: bool) -> None:
        if path.name == name:
            raise ConnectionAbortedError
        unlink(path, **options)

    return dying
