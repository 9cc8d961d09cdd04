"""What goes wrong on real disks: full, without rights, gone for a while, changed under one's hands, watched twice."""

from __future__ import annotations

import asyncio
import errno
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.folder import claiming, files, receiving
from adapters.folder.places import opened
from adapters.folder.watch import Habits
from schemas.edxml.reading import read
from schemas.edxml.records import Document
from schemas.problem import Problem
from tests.integration.folder.offline import AT_ONCE, outbox, places, prepared, work

PDF = b"%PDF-1.7\nnothing much\n%%EOF\n"
SHEET = "trích yếu: Công văn\ngửi: G22\n"
LAZY = Habits(settle=0.0, every=0.02, missing_after=30.0)


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "inbox")


@pytest.fixture(autouse=True)
def _again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.folder.watch.FIRST_AGAIN_SECONDS", 0.02)


def dropped(root: Path, name: str = "12") -> Path:
    made = places(root)
    (made.outbox / f"{name}.pdf").write_bytes(PDF)
    (made.outbox / f"{name}.yaml").write_text(SHEET)
    return made.outbox


def test_a_full_disk_is_told_once_and_what_came_appears_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, times = prepared(tmp_path, parts={"12.pdf": PDF}), iter(range(100))
    really = files.write_new

    def write_new(target: Path, pieces: Any) -> None:
        if target.name == "info.json" and next(times) < 3:
            full()
        really(target, pieces)

    monkeypatch.setattr(files, "write_new", write_new)
    told = work(settings, tmp_path / "root")
    assert [one.what for one in told] == ["trouble", "well", "came"]
    assert "đĩa đầy" in told[0].told[0].vi and "the disk is full" in told[0].told[0].en
    assert (
        len([one for one in places(tmp_path / "root").inbox.iterdir() if one.name not in ("statuses", "notices")]) == 1
    )


@pytest.mark.parametrize("step", ["put_away", "take"])
def test_a_disk_that_fails_while_something_is_sent_costs_time_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    settings, times, really = prepared(tmp_path), iter(range(100)), getattr(claiming, step)
    dropped(tmp_path / "root")

    def failing(*arguments: Any) -> Any:
        return full() if next(times) < 2 else really(*arguments)

    monkeypatch.setattr(claiming, step, failing)
    told = work(settings, tmp_path / "root")
    assert [one.what for one in told if one.what != "well"] == ["trouble", "sent"]
    assert len(outbox(settings)) == 1 and not list(places(tmp_path / "root").outbox.iterdir())


def test_a_folder_that_cannot_be_written_is_told_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(target: Path, pieces: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(target.parent))

    monkeypatch.setattr(files, "write_new", refused)
    with pytest.raises(Problem) as why, opened(tmp_path / "root", tmp_path / "data"):
        pass
    assert "outbox: this program may not read or write there" in why.value.found and "không có quyền" in why.value.found


def test_a_folder_below_one_that_does_not_exist_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="mistyped is not there"), opened(tmp_path / "mistyped" / "root", tmp_path / "d"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file")
    with pytest.raises(Problem, match="outbox"), opened(tmp_path, tmp_path / "data"):
        pass


def test_one_folder_and_one_agency_are_watched_by_one_process(tmp_path: Path) -> None:
    with ExitStack() as stack:
        stack.enter_context(opened(tmp_path / "a", tmp_path / "data"))
        for root, data in ((tmp_path / "a", tmp_path / "other"), (tmp_path / "b", tmp_path / "data")):
            with pytest.raises(Problem, match=f"process {os.getpid()}"), opened(root, data):
                pass
    with opened(tmp_path / "a", tmp_path / "data"):
        pass


def test_a_file_that_changes_while_it_is_taken_stays_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, really = prepared(tmp_path), claiming.take
    box, changes = dropped(tmp_path / "root"), iter(range(100))

    def changed(*arguments: Any) -> Any:
        if next(changes) == 0:
            (box / "12.pdf").write_bytes(PDF + b"more\n%%EOF\n")
        return really(*arguments)

    monkeypatch.setattr(claiming, "take", changed)
    told = work(settings, tmp_path / "root")
    assert [one.what for one in told] == ["sent"] and told[0].place is not None
    assert (told[0].place / "12.pdf").read_bytes() == PDF + b"more\n%%EOF\n"
    assert not list(places(tmp_path / "root").claimed.iterdir())


def test_files_of_a_broken_claim_that_have_changed_are_refused_whole(tmp_path: Path) -> None:
    settings = prepared(tmp_path)
    box, root = dropped(tmp_path / "root"), tmp_path / "root"
    looked = {name: files.Identity.of(box / name) for name in ("12.yaml", "12.pdf")}
    from adapters.folder.drops import Drop

    claim = claiming.take(places(root), Drop(kind="sheet", names=("12.yaml", "12.pdf")), looked)
    assert claim is not None
    # As if the power had failed between the two renames, and the clerk had saved the PDF anew.
    (claim.folder / "12.pdf").unlink()
    (box / "12.pdf").write_bytes(PDF + b"another")
    told = work(settings, root, habits=AT_ONCE)
    (refused,) = (one for one in told if one.what == "refused")
    assert refused.place is not None and "12.pdf" in refused.told[0].en
    assert (refused.place / "12.yaml").read_text() == SHEET and (box / "12.pdf").exists()
    assert not outbox(settings)


def test_a_link_to_a_secret_is_refused_and_never_read(tmp_path: Path) -> None:
    settings, secret = prepared(tmp_path), tmp_path / "secret.pdf"
    secret.write_bytes(b"%PDF secret %%EOF")
    box = places(tmp_path / "root").outbox
    (box / "12.pdf").symlink_to(secret)
    (box / "12.yaml").write_text(SHEET)
    told = work(settings, tmp_path / "root", habits=Habits(settle=0.0, every=0.02, missing_after=0.0))
    refused = [one for one in told if one.what == "refused"]
    assert [one.names for one in refused] == [("12.pdf",)] and "link" in refused[0].told[0].en
    assert refused[0].place is not None and (refused[0].place / "12.pdf").is_symlink() and secret.exists()
    assert not outbox(settings)


def test_an_empty_file_is_not_sent_and_is_named(tmp_path: Path) -> None:
    settings = prepared(tmp_path)
    (dropped(tmp_path / "root") / "12.pdf").write_bytes(b"")
    (one,) = work(settings, tmp_path / "root")
    assert one.what == "refused" and not outbox(settings)
    assert [told.vi for told in one.told] == ["Tệp 12.pdf trống (0 byte); hãy sao chép lại tệp."]


def test_an_answer_to_what_did_not_come_says_in_vietnamese_what_to_write(tmp_path: Path) -> None:
    settings = prepared(tmp_path)
    (places(tmp_path / "root").outbox / "không có.03").touch()
    (one,) = work(settings, tmp_path / "root")
    assert one.what == "refused"
    assert [told.vi for told in one.told] == [
        "Không có văn bản đến nào là không có. Hãy ghi đúng tên thư mục của văn bản trong inbox/, mã văn bản,"
        " hoặc số ký hiệu, ngày ban hành và cơ quan."
    ]


def test_a_file_without_rights_is_refused_in_words_and_what_lies_beside_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, really = prepared(tmp_path), os.access
    box = dropped(tmp_path / "root")
    (box / "13.edxml").write_bytes(b"<secret/>")
    monkeypatch.setattr(os, "access", lambda path, mode: really(path, mode) and Path(path).name != "13.edxml")
    told = {one.what: one for one in work(settings, tmp_path / "root")}
    assert set(told) == {"refused", "sent"} and len(outbox(settings)) == 1
    assert "hãy cấp quyền đọc" in told["refused"].told[0].vi
    assert told["refused"].place is not None and (told["refused"].place / "13.edxml").is_file()


def test_a_disk_that_fails_after_the_files_were_taken_gives_them_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, times, really = prepared(tmp_path), iter(range(100)), files.settle
    box, seen = dropped(tmp_path / "root"), []

    def settle(path: Path) -> None:
        if next(times) < 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        seen.append(path.name)
        really(path)

    monkeypatch.setattr(files, "settle", settle)
    told = work(settings, tmp_path / "root")
    assert [one.what for one in told if one.what != "well"] == ["trouble", "sent"]
    assert sorted(seen) == ["12.pdf", "12.yaml"] and not list(box.iterdir()) and len(outbox(settings)) == 1


def test_a_name_that_acts_on_a_terminal_is_refused_and_never_printed(tmp_path: Path) -> None:
    settings = prepared(tmp_path)
    (places(tmp_path / "root").outbox / "a\x1b[31m\n.edxml").write_bytes(b"<a/>")
    (one,) = work(settings, tmp_path / "root")
    assert one.what == "refused" and one.place is not None
    assert "hãy đổi tên" in one.told[0].vi
    reason = (one.place / "ly-do.txt").read_text("utf-8-sig")
    assert "a·[31m·.edxml" in reason and "\x1b" not in reason


def test_names_of_parts_cannot_leave_the_documents_folder(tmp_path: Path) -> None:
    # The contract refuses separators; what it lets through must be harmless too.
    names = [
        "...",
        "~$a.pdf",
        "CON",
        "a.pdf ",
        "A.pdf",
        "a:b.pdf",
        "van-ban.txt",
        "-rf",
        "$(id).pdf",
        "đ" * 120 + ".pdf",
    ]
    names = [name for name in names if name.strip(". ")]
    settings = prepared(tmp_path, parts={name: f"%PDF {name}".encode() for name in names})
    (came,) = work(settings, tmp_path / "root")
    assert came.place is not None
    written = sorted(one.read_bytes() for one in (came.place / "tep").iterdir())
    assert written == sorted(f"%PDF {name}".encode() for name in names)
    assert (came.place / "van-ban.txt").read_bytes().startswith(b"\xef\xbb\xbf")
    assert {one.name for one in came.place.parent.iterdir()} == {came.place.name, "statuses", "notices"}


def test_a_document_that_a_clerk_moves_away_does_not_come_again(tmp_path: Path) -> None:
    settings = prepared(tmp_path, parts={"12.pdf": PDF})
    (came,) = work(settings, tmp_path / "root")
    assert came.place is not None
    came.place.rename(tmp_path / "done")
    # Even if the last step was not recorded: the row is handed over again, and the folder is not written again.
    from adapters.agency import DATABASE
    from adapters.store import open_database

    connection = open_database(settings.data_dir / DATABASE)
    connection.execute("UPDATE inbox SET state = 'taken'")
    connection.execute("UPDATE laid_down SET appeared = 0")
    connection.close()
    work(settings, tmp_path / "root")
    assert {one.name for one in places(tmp_path / "root").inbox.iterdir()} == {"statuses", "notices"}


def test_where_the_system_tells_of_nothing_looking_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapters.folder import watch

    def no_inotify(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(watch, "awatch", no_inotify)
    settings = prepared(tmp_path)
    told: list[Any] = []

    async def run() -> None:
        from adapters import Agency

        with opened(tmp_path / "root", settings.data_dir) as made:
            async with Agency.open(settings) as agency:
                task = asyncio.create_task(watch.Watch(agency, made, LAZY, told.append).run())
                await asyncio.sleep(0)
                dropped(tmp_path / "root")
                async with asyncio.timeout(20):
                    while not any(one.what == "sent" for one in told):
                        assert not task.done() or task.result() is None
                        await asyncio.sleep(0.02)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert told[0].what == "polling" and len(outbox(settings)) == 1


def test_many_drops_at_once_are_all_sent_once(tmp_path: Path) -> None:
    settings = prepared(tmp_path)
    for number in range(40):
        dropped(tmp_path / "root", name=f"công văn {number}")
    told = work(settings, tmp_path / "root")
    assert len(outbox(settings)) == 40 == len({one.id for one in told if one.what == "sent"})


WITH_EDXML = Habits(settle=0.0, every=0.02, missing_after=0.1, edxml=True)


def test_a_document_too_large_for_edxml_is_told_so_and_is_there_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "LIMITS", replace(receiving.LIMITS, unpacked_total=len(PDF) - 1))
    (came,) = work(prepared(tmp_path, parts={"12.pdf": PDF}), tmp_path / "root", habits=WITH_EDXML)
    assert came.place is not None and not (came.place / "van-ban.edxml").exists()
    assert "LT-SIZE" not in (came.place / "van-ban.txt").read_text("utf-8-sig")
    assert "edXML" in (came.place / "khong-co-edxml.txt").read_text("utf-8-sig")
    assert len(list((came.place / "tep").iterdir())) == 1


def test_a_character_that_xml_cannot_hold_keeps_no_edxml_from_an_office(tmp_path: Path) -> None:
    (came,) = work(prepared(tmp_path, parts={"12\ufffe.pdf": PDF}), tmp_path / "root", habits=WITH_EDXML)
    assert came.place is not None and not (came.place / "khong-co-edxml.txt").exists()
    message = read((came.place / "van-ban.edxml").read_bytes()).message
    assert isinstance(message, Document) and [one.name for one in message.attachments] == ["12\ufffd.pdf"]


def test_the_same_name_on_another_day_is_another_document(tmp_path: Path) -> None:
    settings = prepared(tmp_path)
    for day in (b"Monday", b"Tuesday"):
        dropped(tmp_path / "root")
        (tmp_path / "root" / "outbox" / "12.pdf").write_bytes(b"%PDF " + day + b" %%EOF")
        assert [one.what for one in work(settings, tmp_path / "root")] == ["sent"]
    ids = outbox(settings)
    sent = {one.name for month in places(tmp_path / "root").sent.iterdir() for one in month.iterdir()}
    assert len(ids) == 2 and sent == {f"12 {id}" for id in ids}
