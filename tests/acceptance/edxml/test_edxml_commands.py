"""`lienthong-agency edxml` as a person and a script meet it: what it prints, what it writes, how it ends."""

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from schemas.edxml.limits import LIMITS
from schemas.manifest import DocumentManifest, StatusManifest, parse_manifest
from tests.kit import forked
from tests.unit.edxml.examples import BUSINESS, PDF, STUB_SIGNATURE, changed, document, status

COMMAND = Path(sys.executable).parent / "lienthong-agency"


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command with its output; without a terminal."""
    return forked.run("lienthong-agency", "edxml", *map(str, arguments), cwd=cwd)


def answer(ran: subprocess.CompletedProcess[str]) -> Any:
    """What a command printed as JSON."""
    return json.loads(ran.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with good files and bad ones."""
    files = {
        "good.edxml": document(signature=STUB_SIGNATURE),
        "recall.edxml": document(business=BUSINESS["recall"]),
        "status.edxml": status("02", text="Sai thẩm quyền"),
        "bad.edxml": changed(document(), "<edXML:Priority>1", "<edXML:Priority>9").replace(
            "cid:1</ContentId>", "cid:2</ContentId>"
        ),
        "broken.edxml": document()[:900],
        "entities.edxml": "<!DOCTYPE a [<!ENTITY b 'c'>]>" + document(),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_check_ends_with_0_only_if_all_files_are_good(folder: Path) -> None:
    assert run("check", "good.edxml", "recall.edxml", "status.edxml", cwd=folder).returncode == 0
    for name in ("bad.edxml", "broken.edxml", "entities.edxml"):
        assert run("check", "good.edxml", name, cwd=folder).returncode == 1


def test_check_tells_all_faults_in_both_languages(folder: Path) -> None:
    ran = run("check", "bad.edxml", cwd=folder)
    assert "bad.edxml: NOT GOOD / KHÔNG HỢP LỆ" in ran.stdout
    assert 'found "9", expected a whole number 0-4' in ran.stdout
    assert 'Tìm thấy: "9". Cần: số nguyên 0-4' in ran.stdout
    assert "cid:1" in ran.stdout and "cid:2" in ran.stdout
    assert ran.stderr == ""


def test_check_looks_at_every_file_though_one_cannot_be_read(folder: Path) -> None:
    ran = run("check", "bad.edxml", "nowhere.edxml", "good.edxml", "--json", cwd=folder)
    assert ran.returncode == 3 and "nowhere.edxml: No such file" in ran.stderr
    assert [(one["file"], one["good"], "error" in one) for one in json.loads(ran.stdout)] == [
        ("bad.edxml", False, False),
        ("nowhere.edxml", False, True),
        ("good.edxml", True, False),
    ]


def test_a_message_may_come_through_a_pipe_once(folder: Path) -> None:
    with (folder / "good.edxml").open("rb") as good:
        ran = subprocess.run(
            [COMMAND, "edxml", "check", "-", "-"], stdin=good, capture_output=True, text=True, check=False
        )
    assert ran.stdout.startswith("-: good / hợp lệ (document / văn bản)\n-: NOT GOOD / KHÔNG HỢP LỆ"), ran
    assert "no element at all" in ran.stdout and (ran.returncode, ran.stderr) == (1, "")


def test_check_for_programs_gives_every_place(folder: Path) -> None:
    first, second = answer(run("check", "good.edxml", "bad.edxml", "--json", cwd=folder))
    assert (first["good"], first["kind"], second["good"]) == (True, "document", False)
    fault = second["faults"][0]
    assert (fault["code"], fault["kind"], fault["severity"]) == ("LT-EDXML", "value", "error")
    assert fault["line"] > 1 and fault["column"] > 1
    assert fault["element"].endswith("OtherInfo/Priority")
    assert fault["vi"].startswith("Dòng ")


def test_show_gives_an_overview_in_both_languages(folder: Path) -> None:
    ran = run("show", "good.edxml", cwd=folder)
    assert ran.returncode == 0
    for expected in ("000.00.00.G05", "Bộ Thử nghiệm", "58/BTC-QLCS", "Về việc rà soát trụ sở & tài sản", "58-BTC.pdf"):
        assert expected in ran.stdout
    assert "Subject / trích yếu" in ran.stdout
    assert "no verifiable signature" in ran.stdout


def test_show_for_programs_gives_what_the_file_says(folder: Path) -> None:
    shown = answer(run("show", "good.edxml", "--json", cwd=folder))
    assert shown["says"]["MessageHeader"]["Code"] == {"CodeNumber": "58", "CodeNotation": "BTC-QLCS"}
    assert shown["attachments"][0]["sha256"] == sha256(PDF).hexdigest()
    assert shown["verdict"]["cryptography"]["answer"] == "unknown"
    assert answer(run("show", "status.edxml", "--json", cwd=folder))["says"]["MessageHeader"]["StatusCode"] == "02"


def test_show_of_a_bad_file_shows_what_can_be_understood(folder: Path) -> None:
    ran = run("show", "bad.edxml", cwd=folder)
    assert ran.returncode == 1
    assert "58/BTC-QLCS" in ran.stdout and "KHÔNG HỢP LỆ" in ran.stdout


def test_convert_there_and_back_gives_the_same_file(folder: Path) -> None:
    made = answer(run("convert", "good.edxml", "-o", "out", "--json", cwd=folder))
    manifest = parse_manifest((folder / made["manifest"]).read_bytes())
    assert isinstance(manifest, DocumentManifest)
    written = {sha256((folder / part).read_bytes()).hexdigest() for part in made["parts"]}
    assert written == {part.sha256 for part in manifest.parts}
    assert run("convert", "out", "-o", "back.edxml", cwd=folder).returncode == 0
    assert (folder / "back.edxml").read_bytes() == (folder / "good.edxml").read_bytes()


def test_a_native_manifest_becomes_an_edxml_file_and_the_same_manifest_again(folder: Path) -> None:
    part = {"name": "a.pdf", "media_type": "application/pdf", "size": len(PDF), "sha256": sha256(PDF).hexdigest()}
    fields = {"number": "1", "notation": "A", "issued_on": "2026-03-02", "type": "Công văn", "subject": "Thử"}
    manifest = {
        "spec": "lienthong/1", "kind": "document", "id": "0198f2a4-7c11-7d2e-9b1a-3f5e8c7d6a21", "from": "G05",
        "sent_at": "2026-03-02T08:00:00.123+07:00", "action": "new", "to": ["H12"], "document": fields,
        "parts": [part | {"role": "document"}], "beyond": {"edXML": True},
    }  # fmt: skip
    (folder / "native" / "parts").mkdir(parents=True)
    (folder / "native" / "parts" / "whatever").write_bytes(PDF)
    (folder / "native" / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False), encoding="utf-8")
    assert run("convert", "native/manifest.json", "-o", "native.edxml", cwd=folder).returncode == 0
    assert run("check", "native.edxml", cwd=folder).returncode == 0
    assert run("convert", "native.edxml", "-o", "again", cwd=folder).returncode == 0
    again = (folder / "again" / "manifest.json").read_bytes()
    assert again == (folder / "native" / "manifest.json").read_bytes()


def test_a_status_becomes_a_manifest_if_its_document_is_given(folder: Path) -> None:
    assert run("convert", "good.edxml", "-o", "doc", cwd=folder).returncode == 0
    ran = run("convert", "status.edxml", "-o", "out", "--document", "doc", "--json", cwd=folder)
    assert ran.returncode == 0
    manifest = parse_manifest((folder / answer(ran)["manifest"]).read_bytes())
    assert isinstance(manifest, StatusManifest)
    assert manifest.items[0].concerns.digest == sha256((folder / "doc" / "manifest.json").read_bytes()).hexdigest()
    assert run("convert", "out", "-o", "back.edxml", cwd=folder).returncode == 0
    assert (folder / "back.edxml").read_bytes() == (folder / "status.edxml").read_bytes()


def test_a_status_without_its_document_is_a_draft_and_says_so(folder: Path) -> None:
    ran = run("convert", "status.edxml", "-o", "out", cwd=folder)
    assert ran.returncode == 1
    assert "--document" in ran.stdout and "bản nháp" in ran.stdout.lower()
    assert not (folder / "out" / "manifest.json").exists()
    draft = json.loads((folder / "out" / "draft.json").read_bytes())
    assert draft["items"][0]["concerns"]["number"] == "58"
    assert run("convert", "out", "-o", "back.edxml", cwd=folder).returncode == 0
    assert (folder / "back.edxml").read_bytes() == (folder / "status.edxml").read_bytes()


def test_a_status_that_fits_several_documents_names_them(folder: Path) -> None:
    (folder / "twin.edxml").write_text(document() + "\n", encoding="utf-8")
    for name in ("good", "twin"):
        assert run("convert", f"{name}.edxml", "-o", name, cwd=folder).returncode == 0
    options = ("--document", "good", "--document", "twin")
    untied = answer(run("convert", "status.edxml", "-o", "out", *options, "--json", cwd=folder))["untied"]
    assert untied["code"] == "LT-CONCERNS-AMBIGUOUS"
    assert len(untied["candidates"]) == 2


def test_convert_of_a_bad_file_writes_nothing(folder: Path) -> None:
    ran = run("convert", "bad.edxml", "-o", "out", cwd=folder)
    assert ran.returncode == 1
    assert "KHÔNG HỢP LỆ" in ran.stdout
    assert not (folder / "out").exists()


def test_nothing_is_written_over_without_being_told_to(folder: Path) -> None:
    assert run("convert", "good.edxml", "-o", "out", cwd=folder).returncode == 0
    assert run("convert", "good.edxml", "-o", "out", cwd=folder).returncode == 3
    assert run("convert", "good.edxml", "-o", "out", "--force", cwd=folder).returncode == 0
    assert run("convert", "out", "-o", "good.edxml", cwd=folder).returncode == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "nothing.edxml"),
        ("check", "."),
        ("show", "large.edxml"),
        ("convert", "nothing.edxml", "-o", "out"),
        ("convert", "empty", "-o", "out.edxml"),
        ("convert", "text.json", "-o", "out.edxml"),
        ("convert", "list.json", "-o", "out.edxml"),
        ("convert", "object.json", "-o", "out.edxml"),
        ("convert", "good.edxml", "-o", "status.edxml"),
        ("convert", "good.edxml", "-o", "out", "--sent-at", "yesterday"),
        ("convert", "good.edxml", "-o", "out", "--document", "bad.edxml"),
        ("convert", "noreason.edxml", "-o", "out"),
    ],
)
def test_wrong_input_gets_a_sentence_and_no_traceback(folder: Path, arguments: tuple[str, ...]) -> None:
    (folder / "empty").mkdir()
    (folder / "text.json").write_text("{", encoding="utf-8")
    (folder / "list.json").write_text("[]", encoding="utf-8")
    (folder / "object.json").write_text('{"spec": "lienthong/1"}', encoding="utf-8")
    reason = "<edXML:BussinessDocReason>Ban hành nhầm</edXML:BussinessDocReason>"
    (folder / "noreason.edxml").write_text(document(business=BUSINESS["recall"].replace(reason, "")), encoding="utf-8")
    with (folder / "large.edxml").open("wb") as large:
        large.truncate(LIMITS.file + 1)
    ran = run(*arguments, cwd=folder)
    assert ran.returncode == 3, ran
    assert ran.stderr.strip() and "Traceback" not in ran.stderr and "fault of the program" not in ran.stderr
    assert not (folder / "out").exists()


def test_usage_mistakes_end_with_2(folder: Path) -> None:
    assert run("check", cwd=folder).returncode == 2
    assert run("convert", "good.edxml", cwd=folder).returncode == 2
