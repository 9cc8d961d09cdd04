"""`lienthong-agency edxml`: check, show and convert files of the national message format. No connection is needed.

Exit codes: 0 the file is good, 1 it is not, 3 the input cannot be used at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Final

import typer

from adapters.cli import edxml_files as files
from adapters.cli.edxml_text import overview, overview_text, report, report_text
from adapters.cli.failing import failure_of
from adapters.cli.output import JsonOption, emit, say
from schemas.edxml.documents import document_manifest
from schemas.edxml.kept import FIELD, ORIGINAL
from schemas.edxml.reading import Reading, read
from schemas.edxml.records import Document
from schemas.edxml.rendering import Rendered, render_document, render_statuses
from schemas.edxml.statuses import status_draft, status_manifest
from schemas.edxml.tying import Known, known_of
from schemas.edxml.values import VIET_NAM
from schemas.edxml.writing import write_pieces
from schemas.errors import Refusal
from schemas.manifest import DocumentManifest, parse_manifest
from schemas.problem import GOOD, NOT_GOOD, Problem
from schemas.times import parse_rfc3339

app = typer.Typer(no_args_is_help=True, help="Files of the national message format (QCVN 102:2016).")

_TELL_AFTER: Final = 1.0
"""Seconds after which a long job says how far it is."""

_MIB: Final = 1024 * 1024
_UNTIED: Final = ("LT-CONCERNS-UNKNOWN", "LT-CONCERNS-AMBIGUOUS")


@app.command("check", epilog="Example: lienthong-agency edxml check outbox/*.edxml --json")
def check_command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", readable=False, help="edXML files, also `.edxml.zip`; `-` is standard input."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Tell everything that is wrong with the files; exit code 0 only if all of them are good."""
    values, texts = [], []
    ends_with = GOOD
    with _progress("checking / đang kiểm tra") as advance:
        for path in paths:
            try:
                reading = _read(path)
            except (OSError, Problem) as why:
                # The others are looked at all the same.
                failure = failure_of(why)
                say(failure.text)
                values.append({"file": str(path), "good": False, "error": failure.parts})
                ends_with = failure.exit_code
                continue
            values.append(report(str(path), reading))
            texts.append(report_text(str(path), reading))
            ends_with = ends_with or (GOOD if reading.good else NOT_GOOD)
            advance(len(reading.data))
    if as_json or texts:
        emit(values, as_json=as_json, text=lambda _: "\n".join(texts))
    raise typer.Exit(ends_with)


@app.command("show", epilog="Example: lienthong-agency edxml show 58.edxml")
def show_command(
    path: Annotated[Path, typer.Argument(metavar="FILE", readable=False, help="An edXML file; `-` is standard input.")],
    as_json: JsonOption = False,
) -> None:
    """Show what a file says, its attachments, what is to be thought of its signature, and its faults."""
    with _progress("reading / đang đọc") as advance:
        reading = _read(path)
        advance(len(reading.data))
    emit(overview(str(path), reading), as_json=as_json, text=lambda _: overview_text(str(path), reading))
    if not reading.good:
        raise typer.Exit(NOT_GOOD)


@app.command("convert", epilog="Examples: edxml convert 58.edxml -o 58/, and back: edxml convert 58/ -o 59.edxml")
def convert_command(
    path: Annotated[
        Path,
        typer.Argument(metavar="FILE", readable=False, help="An edXML file; or a folder or manifest to turn back."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for manifest and parts; or the edXML file.")],
    documents: Annotated[
        list[Path] | None,
        typer.Option("--document", help="Manifest of a document that a status or change is about; repeatable."),
    ] = None,
    recipients: Annotated[
        list[str] | None, typer.Option("--recipient", help="Name these in edXML instead of `to`; repeatable.")
    ] = None,
    sent_at: Annotated[
        str | None, typer.Option("--sent-at", help="RFC 3339 or `now`; by default the time in the file.")
    ] = None,
    deliver_by: Annotated[
        str | None, typer.Option("--deliver-by", help="RFC 3339: the hour of a priority 4, which edXML does not have.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Turn an edXML file into a manifest with its parts, or these into edXML. Nothing is signed or sent."""
    known = [known_of(files.read_payload(document)) for document in documents or ()]
    if path.is_dir() or path.suffix.lower() == ".json":
        value, text = _to_edxml(path, out, known, recipients or (), force=force)
    else:
        moment = datetime.now(UTC) if sent_at == "now" else _moment(sent_at, "--sent-at")
        appointed = _moment(deliver_by, "--deliver-by")
        value, text = _to_manifest(path, out, known, moment, appointed, force=force)
    emit(value, as_json=as_json, text=lambda _: text)
    if not value["good"]:
        raise typer.Exit(NOT_GOOD)


def _to_manifest(
    path: Path,
    out: Path,
    known: Sequence[Known],
    sent_at: datetime | None,
    deliver_by: datetime | None,
    *,
    force: bool,
) -> tuple[dict[str, Any], str]:
    with _progress("converting / đang chuyển đổi") as advance:
        reading = _read(path)
        if not reading.good:
            return report(str(path), reading), report_text(str(path), reading)
        if isinstance(reading.message, Document):
            name = None if str(path) == files.STDIN else path.name
            converted = document_manifest(reading, sent_at=sent_at, deliver_by=deliver_by, known=known, name=name)
            assert isinstance(converted.manifest, DocumentManifest)
            folder = files.new_folder(out, force=force)
            written = files.write_parts(folder, converted.manifest, converted.contents, advance)
            value = _written(folder / files.MANIFEST, converted.payload, written, advance)
            value["remarks"] = [remark._asdict() for remark in converted.remarks]
            return value, _converted_text(value)
        trouble: Refusal | None = None
        try:
            payload, name = status_manifest(reading, known=known, sent_at=sent_at).payload, files.MANIFEST
        except Refusal as refusal:
            if refusal.code not in _UNTIED:
                raise
            payload, name, trouble = files.pretty(status_draft(reading, sent_at=sent_at)), files.DRAFT, refusal
        folder = files.new_folder(out, force=force)
        original = folder / files.PARTS / f"01-{path.name}"
        files.write(original, [reading.data], advance)
        value = _written(folder / name, payload, [original], advance)
    if trouble is not None:
        value |= {"good": False, "untied": {"code": trouble.code} | trouble.detail()}
    return value, _converted_text(value)


def _written(target: Path, payload: bytes, parts: Sequence[Path], advance: files.Advance) -> dict[str, Any]:
    files.write(target, [payload], advance)
    return {"good": True, "manifest": str(target), "parts": [str(part) for part in parts], "remarks": []}


def _to_edxml(
    path: Path, out: Path, known: Sequence[Known], recipients: Sequence[str], *, force: bool
) -> tuple[dict[str, Any], str]:
    payload = files.read_payload(path)
    with _progress("converting / đang chuyển đổi") as advance:
        contents = files.parts_beside(path, advance)
        extension = json.loads(payload).get(FIELD)
        original = contents.get(str(extension.get(ORIGINAL))) if isinstance(extension, dict) else None
        if original is not None:
            rendered: tuple[Rendered, ...] = (Rendered(original=original),)
        elif isinstance(parse_manifest(payload), DocumentManifest):
            rendered = (render_document(payload, contents, recipients=recipients),)
        else:
            rendered = render_statuses(payload, known)
        targets = _targets(out, len(rendered), force=force)
        for target, one in zip(targets, rendered, strict=True):
            if one.original is not None:
                files.write(target, one.original.pieces(), advance)
            elif one.message is not None:
                files.write(target, write_pieces(one.message), advance)
        # Read back, so that nobody sends what receivers would refuse.
        checked = [(str(target), read(target.read_bytes())) for target in targets]
    value = {
        "good": all(reading.good for _, reading in checked),
        "files": [report(name, reading) for name, reading in checked],
    }
    return value, "\n".join(report_text(name, reading) for name, reading in checked)


def _targets(out: Path, count: int, *, force: bool) -> list[Path]:
    """Where to write: the file itself, or numbered files in a folder if there are several or `out` is a folder."""
    if count == 1 and not out.is_dir():
        targets = [out]
    else:
        out.mkdir(parents=True, exist_ok=True)
        targets = [out / f"{position:03}.edxml" for position in range(1, count + 1)]
    taken = [str(target) for target in targets if target.exists()]
    if taken and not force:
        raise Problem(f"{taken[0]} exists", "a new file", "Name another with -o, or add --force")
    return targets


def _converted_text(value: dict[str, Any]) -> str:
    lines = [f"Written / đã ghi: {value['manifest']}", *(f"Part / tệp: {part}" for part in value["parts"])]
    for remark in value["remarks"]:
        lines += [f"remark: {remark['en']}", f"lưu ý: {remark['vi']}"]
    if "untied" in value:
        untied = value["untied"]
        candidates = f" ({', '.join(untied['candidates'])})" if "candidates" in untied else ""
        lines += [
            f"A draft, not a manifest: {untied['en']}{candidates} Give the document's manifest with --document.",
            f"Bản nháp, chưa phải bản kê: {untied['vi']}{candidates} Chỉ ra văn bản bằng --document.",
        ]
    return "\n".join(lines)


def _read(path: Path) -> Reading:
    return read(files.read_message(path), today=datetime.now(VIET_NAM).date())


def _moment(text: str | None, field: str) -> datetime | None:
    return parse_rfc3339(text, field=field) if text else None


@contextmanager
def _progress(what: str) -> Iterator[files.Advance]:
    """Say on standard error how many megabytes are done, once a second, if it takes that long."""
    done, told = 0, monotonic()

    def advance(size: int) -> None:
        nonlocal done, told
        done += size
        if monotonic() - told >= _TELL_AFTER:
            told = monotonic()
            say(f"{what}: {done / _MIB:.0f} MB")

    yield advance
