"""The agency's database keeps what it has promised, and one job's failure is its own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import adapters.store
from adapters.store import MIGRATIONS, Store, get_meta, open_database, set_meta
from schemas.problem import Problem


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=2) as threads:
        yield threads


async def test_jobs_that_wait_share_one_commit_and_a_failed_one_leaves_nothing(
    tmp_path: Path, executor: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Store.open(tmp_path / "a.sqlite3", executor)
    commits = []
    commit = adapters.store.commit
    monkeypatch.setattr(adapters.store, "commit", lambda connection: (commits.append(1), commit(connection)))

    def fail(connection: sqlite3.Connection) -> None:
        set_meta(connection, "bad", "1")
        raise ValueError("no")

    jobs = [store.run(lambda connection, n=n: set_meta(connection, f"k{n}", "v")) for n in range(50)]  # type: ignore[misc]
    results = await asyncio.gather(*jobs, store.run(fail), return_exceptions=True)
    assert isinstance(results[-1], ValueError) and results[:-1] == [None] * 50
    assert len(commits) < 10
    await store.close()
    reopened = open_database(tmp_path / "a.sqlite3")
    assert reopened.execute("SELECT count(*) FROM meta").fetchone() == (50,)
    assert get_meta(reopened, "bad") is None
    reopened.close()


def test_only_its_owner_may_read_the_database(tmp_path: Path) -> None:
    open_database(tmp_path / "a.sqlite3").close()
    assert (tmp_path / "a.sqlite3").stat().st_mode & 0o777 == 0o600


def test_every_commit_survives_a_loss_of_power(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "a.sqlite3")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    connection.close()


def test_a_database_of_a_newer_program_is_not_touched(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "a.sqlite3")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(Problem, match="newer program"):
        open_database(tmp_path / "a.sqlite3")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite3").write_bytes(b"this is a letter" * 100)
    with pytest.raises(Problem, match=r"a\.sqlite3"):
        open_database(tmp_path / "a.sqlite3")
