"""`kill -9` at any step neither loses nor doubles: what was dropped is sent once, what came appears once."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import signal
from pathlib import Path

import pytest

from adapters.settings import AgencySettings
from tests.integration.adapters.standin import PROVINCE
from tests.integration.folder.dying import watch_and_die
from tests.integration.folder.offline import outbox, places, prepared, settings_below, work
from tests.unit.edxml.examples import changed, document

PDF = b"%PDF-1.7\nnothing much\n%%EOF\n"
LARGE = b"%PDF-1.7\n" + bytes(300_000) + b"\n%%EOF\n"
SHEET = """\
số ký hiệu: 7/UBND-VX
trích yếu: Về việc rà soát
gửi: G22
tệp:
  - Báo cáo.pdf
  - phụ lục.bin
"""
PARTS = {"12.pdf": PDF, "phụ lục.pdf": b"more"}


EDXML = changed(document(), "000.00.00.G05", PROVINCE)


@pytest.fixture(scope="module")
def dropped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An office with two documents in outbox/, a lone file that waits, and a document that came. Copied, never used."""
    folder = tmp_path_factory.mktemp("office")
    prepared(folder, parts=PARTS)
    outbox = places(folder / "root").outbox
    (outbox / "7.yaml").write_text(SHEET)
    (outbox / "Báo cáo.pdf").write_bytes(LARGE)
    (outbox / "phụ lục.bin").write_bytes(b"appendix")
    (outbox / "58.edxml").write_text(EDXML)
    (outbox / "lone.pdf").write_bytes(PDF)
    return folder


CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.integration.folder.dying"])


def die(settings: AgencySettings, root: Path, at: int, steps: Path | None = None) -> int | None:
    process = CONTEXT.Process(target=watch_and_die, args=(settings, root, at, steps))
    process.start()
    process.join(60)
    return process.exitcode


def check_everything_is_there_once(settings: AgencySettings, root: Path) -> None:
    made = places(root)
    sent = sorted(one for month in made.sent.iterdir() for one in month.iterdir())
    ids = outbox(settings)
    assert len(ids) == len(set(ids)) == len(sent) == 2, (ids, sent)
    by_stem = {one.name.split(" ")[0]: one for one in sent}
    assert {one.name.split(" ")[1] for one in sent} == set(ids)
    assert (by_stem["7"] / "Báo cáo.pdf").read_bytes() == LARGE
    assert (by_stem["7"] / "phụ lục.bin").read_bytes() == b"appendix"
    assert (by_stem["7"] / "7.yaml").read_text() == SHEET
    assert (by_stem["58"] / "58.edxml").read_text() == EDXML
    assert [one.name for one in made.outbox.iterdir() if not one.name.endswith(".CHUA-GUI.txt")] == ["lone.pdf"]
    assert not list(made.claimed.iterdir()) and not list(made.arriving.iterdir()) and not list(made.refused.iterdir())
    (came,) = (one for one in made.inbox.iterdir() if one.name not in ("statuses", "notices"))
    assert (came / "tep" / "12.pdf").read_bytes() == PDF
    assert {one.name for one in came.iterdir()} == {"tep", "info.json", "manifest.json", "van-ban.txt"}
    assert json.loads((came / "info.json").read_bytes())["parts"][1]["file"] == "tep/phụ lục.pdf"


def the_rest(settings: AgencySettings, root: Path) -> None:
    """What the next start does; and the one after it, which finds nothing to do."""
    work(settings, root)
    check_everything_is_there_once(settings, root)


def steps_of(dropped: Path, folder: Path) -> int:
    settings = fresh(dropped, folder)
    assert die(settings, folder / "root", at=0, steps=folder / "steps") == 0
    check_everything_is_there_once(settings, folder / "root")
    return int((folder / "steps").read_text())


def fresh(dropped: Path, folder: Path) -> AgencySettings:
    shutil.copytree(dropped, folder, dirs_exist_ok=True)
    return settings_below(folder)


def test_killed_at_some_steps_everything_is_there_once(dropped: Path, tmp_path: Path) -> None:
    steps = steps_of(dropped, tmp_path / "whole")
    assert steps > 60
    for at in range(3, steps - 10, steps // 8):
        assert kill_at(dropped, tmp_path / str(at), at)


@pytest.mark.long
def test_killed_at_every_step_everything_is_there_once(dropped: Path, tmp_path: Path) -> None:
    steps = steps_of(dropped, tmp_path / "whole")
    killed = 0
    for at in range(1, steps):
        killed += kill_at(dropped, tmp_path / str(at), at)
        shutil.rmtree(tmp_path / str(at))
    assert killed > steps * 0.9


@pytest.mark.long
def test_killed_again_and_again_everything_is_there_once(dropped: Path, tmp_path: Path) -> None:
    settings = fresh(dropped, tmp_path / "office")
    for at in (5, 11, 17, 23, 29, 35, 41, 8, 14, 20):
        die(settings, tmp_path / "office" / "root", at=at)
    the_rest(settings, tmp_path / "office" / "root")


def kill_at(dropped: Path, folder: Path, at: int) -> bool:
    """Whether it was killed: commits are shared, so that the number of steps differs a little from run to run."""
    settings = fresh(dropped, folder)
    code = die(settings, folder / "root", at=at)
    assert code in (-signal.SIGKILL, 0), f"step {at}: exit {code}"
    try:
        the_rest(settings, folder / "root")
    except AssertionError as why:
        raise AssertionError(f"killed at step {at}: {why}") from why
    return code != 0
