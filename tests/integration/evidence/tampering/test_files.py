"""The log's files, and a log that was cut with everything in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from broker.evidence.verify import Scope
from tests.integration.evidence.story import Story
from tests.integration.evidence.tampering.kit import Tampering, each, found_and_named, open_log, opened, verified


def flip(path: str, at: int = 0) -> Callable[[Path], None]:
    """Change one bit of a file."""

    def change(folder: Path) -> None:
        data = bytearray((folder / path).read_bytes())
        data[at] ^= 1
        (folder / path).write_bytes(bytes(data))

    return change


def cut(path: str, by: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / path).write_bytes((folder / path).read_bytes()[:-by])

    return change


def swap(path: str) -> Callable[[Path], None]:
    """Exchange two hashes of a tile."""

    def change(folder: Path) -> None:
        data = (folder / path).read_bytes()
        (folder / path).write_bytes(data[32:64] + data[:32] + data[64:])

    return change


def remove(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).unlink()


def partial(folder: Path, level: str) -> Path:
    return sorted((folder / "tile" / level).glob("*.p/*"))[-1]


def last_partial(level: str, change: Callable[[str], Callable[[Path], None]]) -> Callable[[Path], None]:
    return lambda folder: change(partial(folder, level).relative_to(folder).as_posix())(folder)


TAMPERINGS = [
    Tampering(name="a full tile", files=flip("tile/0/000", 32 * 7), where="tile", what="leaf", key="position 7"),
    Tampering(name="a full tile cut", files=cut("tile/0/000", 1), where="tile", what="file", key="tile/0/000"),
    Tampering(name="a full tile removed", files=remove("tile/0/000"), where="tile", what="file", key="tile/0/000"),
    Tampering(name="a tile's hashes exchanged", files=swap("tile/0/000"), where="tile", what="leaf", key="position 0"),
    Tampering(
        name="the tile that is not full", files=last_partial("0", flip), where="tile", what="leaf", key="position 256"
    ),
    Tampering(name="the tile that is not full removed", files=last_partial("0", remove), where="tile", what="file"),
    Tampering(name="a tile above", files=last_partial("1", flip), where="tile", what="hash", key="tile/1/000"),
    Tampering(name="a tile above removed", files=last_partial("1", remove), where="tile", what="file", key="tile/1"),
    Tampering(name="an entry in a bundle", files=flip("tile/entries/000", 40), where="entries", what="leaf"),
    Tampering(name="a bundle's length", files=flip("tile/entries/000", 0), where="entries", what="file"),
    Tampering(name="a bundle removed", files=remove("tile/entries/000"), where="entries", what="file"),
    Tampering(
        name="the last bundle", files=last_partial("entries", lambda path: cut(path, 1)), where="entries", what="file"
    ),
    Tampering(
        name="the published checkpoint's signature", files=flip("checkpoint", -20), where="checkpoint file", what=""
    ),
    Tampering(name="the published checkpoint's text", files=flip("checkpoint", 18), where="checkpoint file", what=""),
    Tampering(
        name="the published checkpoint removed", files=remove("checkpoint"), where="checkpoint file", what="file"
    ),
]


@each(TAMPERINGS)
async def test_tampering_is_found_and_named(story: Story, tampering: Tampering, tmp_path: Path) -> None:
    await found_and_named(story, tampering, tmp_path)


async def test_a_log_that_was_cut_with_everything_in_it_is_found_by_who_holds_a_checkpoint(
    story: Story, tmp_path: Path
) -> None:
    """Entries, events, checkpoints and files go back together: nothing inside contradicts anything any more."""
    log_dir = tmp_path / "log"
    shutil.copytree(story.home / "log", log_dir)
    held = (open_log(log_dir) / "checkpoint").read_bytes()
    async with opened(story) as connection:
        transaction = connection.transaction()
        await transaction.start()
        before = await connection.fetchrow(
            "SELECT size, root, note FROM checkpoint ORDER BY size DESC OFFSET 1 LIMIT 1"
        )
        assert before is not None
        size = before["size"]
        await connection.execute(
            "DELETE FROM event e USING log_entry l WHERE (e.at, e.event_id) = (l.event_at, l.event_id)"
            f" AND l.position >= {size};"
            f"DELETE FROM log_entry WHERE position >= {size}; DELETE FROM checkpoint WHERE size > {size};"
            f"DELETE FROM log_node WHERE (number + 1) * 256 > {size}"
        )
        await connection.execute("UPDATE log_head SET size = $1, root = $2", size, before["root"])
        shutil.rmtree(log_dir)
        unseen = await verified(connection, story, log_dir, Scope(records=False))
        assert [finding.sentence() for finding in unseen] == []
        found = await verified(connection, story, log_dir, Scope(records=False, held=(held,)))
        kept = await verified(connection, story, log_dir, Scope(records=False, held=(before["note"],)))
        await transaction.rollback()
    assert [(finding.where, finding.what) for finding in found] == [("held checkpoint", "size")]
    assert kept == []
