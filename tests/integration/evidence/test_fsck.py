"""fsck finds what is missing or does not fit, repairs only what derives from something else, and says what it did."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from broker.evidence.findings import Finding
from broker.evidence.fsck import check_files
from broker.evidence.keys import read_vkeys, vkey_file
from broker.evidence.tiles import Tile
from broker.evidence.verify import Scope, verify
from schemas.problem import Problem
from tests.integration.evidence.conftest import Log
from tests.integration.evidence.test_continuing import nothing_wrong


async def fsck(log: Log, *, repair: bool = False) -> list[Finding]:
    vkeys = read_vkeys(vkey_file(log.settings.log_key_file))
    async with log.pool.acquire() as connection:
        return [
            finding
            async for finding in check_files(
                connection, vkeys, log.settings.log_dir, repair=repair, progress=lambda what, steps: None
            )
        ]


@pytest.fixture
async def logged(log: Log) -> Log:
    for count in (3, 300):
        await log.insert(count)
        await log.round(count)
    assert await fsck(log) == []
    return log


async def test_every_damaged_file_is_named_and_made_anew(logged: Log) -> None:
    tiles = [Tile(0, 0), Tile(0, 1, 47), Tile(1, 0, 1), Tile("entries", 0), Tile("entries", 1, 47)]
    for tile in tiles:
        for how in ("changed", "removed", "cut"):
            path = logged.files().path(tile)
            data = path.read_bytes()
            path.unlink()
            if how != "removed":
                path.write_bytes(data[:-1] if how == "cut" else bytes([data[0] ^ 1]) + data[1:])
            (finding,) = await fsck(logged)
            assert tile.path in finding.key
            assert len(await fsck(logged, repair=True)) == 1
            assert path.read_bytes() == data
    assert await fsck(logged) == []
    await nothing_wrong(logged)


async def test_a_damaged_checkpoint_is_published_anew_and_the_keeper_goes_on(logged: Log) -> None:
    file = logged.settings.log_dir / "2026" / "checkpoint"
    file.write_bytes(file.read_bytes().replace(b"303", b"302"))
    await logged.insert(1)
    with pytest.raises(Problem, match="fsck --repair"):
        await logged.keeper.run(logged.lease)
    assert [finding.where for finding in await fsck(logged, repair=True)] == ["checkpoint file"]
    assert await fsck(logged) == []
    await logged.round(1)
    assert logged.published().size == 304


async def test_an_older_checkpoint_put_back_is_named_and_the_newest_published_anew(logged: Log) -> None:
    files = logged.files()
    newest = files.read_checkpoint()
    older: bytes = await logged.pool.fetchval("SELECT note FROM checkpoint ORDER BY size LIMIT 1")
    files.write_checkpoint(older)
    assert await fsck(logged) == [], "the keeper may be about to publish"
    await logged.pool.execute("UPDATE checkpoint SET at = at - interval '1 hour'")
    async with logged.pool.acquire() as connection:
        vkeys = read_vkeys(vkey_file(logged.settings.log_key_file))
        verified = [f async for f in verify(connection, vkeys, logged.settings.log_dir, Scope(records=False))]
    for found in (verified, await fsck(logged), await fsck(logged, repair=True)):
        assert [(finding.where, finding.what) for finding in found] == [("checkpoint file", "size")]
        assert "over 3 entries" in found[0].found and "at least 303" in found[0].expected
    assert files.read_checkpoint() == newest
    assert await fsck(logged) == []
    shutil.rmtree(files.folder)
    async with logged.pool.acquire() as connection:
        verified = [f async for f in verify(connection, vkeys, logged.settings.log_dir, Scope(records=False))]
    assert [(finding.where, finding.what) for finding in verified] == [("checkpoint file", "folder")]


async def test_what_is_no_file_or_too_large_for_one_ends_no_check(logged: Log, tmp_path: Path) -> None:
    path = logged.files().path(Tile(0, 0))
    data = path.read_bytes()

    def pipe() -> None:
        os.mkfifo(path)

    for put in (path.mkdir, pipe, lambda: path.symlink_to("/dev/zero"), lambda: path.symlink_to(tmp_path)):
        path.unlink()
        put()
        (finding,) = await fsck(logged)
        assert (finding.where, finding.key, finding.found.split(",")[0]) == ("tile", "2026/tile/0/000", "0 bytes")
        assert len(await fsck(logged, repair=True)) == 1
        assert path.read_bytes() == data
    await nothing_wrong(logged)


async def test_files_that_are_none_of_the_log_s_are_named(logged: Log) -> None:
    folder = logged.settings.log_dir / "2026" / "tile"
    (folder / "0" / "007").write_bytes(bytes(8192))
    (folder / "0" / "x").write_bytes(b"")
    assert sorted(Path(finding.key).name for finding in await fsck(logged, repair=True)) == ["007", "x"]
    assert await fsck(logged) == []


async def test_nothing_is_made_of_rows_that_are_not_what_was_signed(logged: Log) -> None:
    before = logged.files().read(Tile(0, 1, 47))
    await logged.pool.execute("UPDATE log_entry SET leaf = sha256('x') WHERE position = 280")
    assert [finding.where for finding in await fsck(logged)] == ["tile"]
    with pytest.raises(Problem, match="Nothing was repaired"):
        await fsck(logged, repair=True)
    assert logged.files().read(Tile(0, 1, 47)) == before


async def test_a_database_that_is_behind_its_files_is_noticed(logged: Log) -> None:
    await logged.pool.execute("DELETE FROM checkpoint WHERE size = 303")
    (finding,) = [finding for finding in await fsck(logged) if finding.where == "checkpoint file"]
    assert "db restored" in finding.expected
    with pytest.raises(Problem, match="Nothing was repaired"):
        await fsck(logged, repair=True)
