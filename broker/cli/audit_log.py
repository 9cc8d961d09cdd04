"""`lienthong audit verify` and `audit checkpoint`: the log, its newest signature, and everything that it covers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.table import Table

from broker.cli.findings import findings_table
from broker.cli.output import JsonOption, emit, progress, run
from broker.evidence.findings import Finding
from broker.evidence.keys import read_vkeys, renamed, vkey_file
from broker.evidence.lag import log_status, oldest_writer
from broker.evidence.merkle import EvidenceFault
from broker.evidence.notes import VerifierKey, parse_verifier_key
from broker.evidence.timestamps import read_roots
from broker.evidence.tree_rows import SQL
from broker.evidence.verify import Scope, verify
from broker.evidence.witness import witnesses
from broker.settings import Settings, load_settings
from broker.store.pool import connect
from schemas.command_line import LanguageOption, terminal_language
from schemas.edxml.values import VIET_NAM
from schemas.languages import Language, Words
from schemas.problem import NOT_GOOD, Problem

SHOWN = 1000
"""Findings that are listed, at most; all are counted."""

GOOD: Final = Words("Everything is as it was logged and signed", "Mọi thứ đúng như đã ghi và đã ký")
VERIFYING: Final = Words("verifying", "đang đối chiếu")

UNSIGNED: Final = Words(
    "Nothing has been signed yet: no keeper has run, or it has no key (`lienthong pki init`).",
    "Chưa ký gì: chưa có tiến trình giám sát nào chạy, hoặc chưa có khóa (`lienthong pki init`).",
)
SHOWN_OF_A_CHECKPOINT: Final = {
    "origin": Words("origin", "nhật ký"),
    "size": Words("size", "số mục"),
    "checkpoint_size": Words("checkpoint size", "số mục đã ký"),
    "checkpoint_at": Words("checkpoint at", "ký lúc"),
    "lag_seconds": Words("lag seconds", "chậm (giây)"),
    "promised_seconds": Words("promised seconds", "đã hứa (giây)"),
    "unsequenced": Words("unsequenced", "sự kiện chưa vào nhật ký"),
}


def verify_command(
    full: Annotated[bool, typer.Option("--full", help="Verify every message's signature, too.")] = False,
    since_position: Annotated[
        int, typer.Option("--since-position", min=0, help="Only the open log from this position on, and rows since.")
    ] = 0,
    log_only: Annotated[bool, typer.Option("--log-only", help="The log alone, not the exchange's rows.")] = False,
    key: Annotated[
        list[str] | None, typer.Option("--key", help="A verifier key of the log, or a file with some.")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", metavar="FILE", help="A checkpoint that you hold: the log must still contain it."),
    ] = None,
    without_files: Annotated[
        bool, typer.Option("--without-files", help="Leave out the log's static files (they are on another machine).")
    ] = False,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold the database against what was logged and signed. Ends with code 1 if anything was changed."""
    settings, language = load_settings(), lang or terminal_language()
    scope = Scope(
        since_position=since_position,
        full=full,
        records=not log_only,
        held=tuple(file.read_bytes() for file in checkpoint or ()),
        witnesses=tuple(witnesses(settings.log_witnesses).values()),
        timestamp_roots=tuple(read_roots(settings.log_timestamp_roots_file)),
    )
    findings, counted, looked_at = run(_verify(settings, scope, _keys(settings, key), without_files, language))
    value = {"good": not counted, "looked_at": looked_at, "count": counted, "findings": findings}
    emit(
        value,
        as_json=as_json,
        render=lambda _: findings_table(findings, counted, looked_at, good=GOOD, language=language),
    )
    if counted:
        raise typer.Exit(NOT_GOOD)


def checkpoint_command(
    vkey: Annotated[bool, typer.Option("--vkey", help="Print the log's verifier keys, newest first.")] = False,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the newest checkpoint, and how far the log is behind."""
    settings = load_settings()
    if vkey:
        keys = read_vkeys(vkey_file(settings.log_key_file))
        emit([key.encode() for key in keys], as_json=as_json, render=lambda found: "\n".join(found))
        return
    language = lang or terminal_language()
    emit(run(_checkpoint(settings)), as_json=as_json, render=lambda value: _show_checkpoint(value, language))


async def _verify(
    settings: Settings, scope: Scope, vkeys: Sequence[VerifierKey], without_files: bool, language: Language
) -> tuple[list[Finding], int, dict[str, int]]:
    findings: list[Finding] = []
    counted = 0
    looked_at: dict[str, int] = {}
    with progress(VERIFYING.told(language), language=language) as move:

        def step(what: str, steps: int) -> None:
            looked_at[what] = looked_at.get(what, 0) + steps
            move(steps)

        async with connect(settings.database_url) as connection:
            log_dir = None if without_files else settings.log_dir
            async for finding in verify(connection, vkeys, log_dir, scope, progress=step):
                counted += 1
                if counted <= SHOWN:
                    findings.append(finding)
    return findings, counted, looked_at


async def _checkpoint(settings: Settings) -> dict[str, Any]:
    async with connect(settings.database_url) as connection:
        status = await log_status(connection)
        heads = await connection.fetch(SQL["heads"])
        holder = await oldest_writer(connection) if status.lag_seconds > settings.log_promise_seconds / 2 else None
        newest = heads[-1] if heads else None
        witnessed = (
            []
            if newest is None or newest["signed_size"] is None
            else await connection.fetch(SQL["cosignatures_of"], newest["origin_id"], newest["signed_size"])
        )
    note = newest["note"].decode() if newest is not None and newest["note"] is not None else None
    keys = read_vkeys(vkey_file(settings.log_key_file)) if vkey_file(settings.log_key_file).exists() else ()
    return {
        "origin": status.origin,
        "size": status.size,
        "checkpoint_size": status.checkpoint_size,
        "checkpoint_at": status.checkpoint_at,
        "lag_seconds": round(status.lag_seconds, 3),
        "promised_seconds": settings.log_promise_seconds,
        "unsequenced": status.unsequenced,
        "waiting_for": holder,
        "note": note,
        "cosignatures": [row["line"] for row in witnessed],
        "vkeys": [key.encode() for key in keys]
        + ([renamed(key, status.origin).encode() for key in keys] if status.origin else []),
        "files": str(settings.log_dir),
    }


def _show_checkpoint(value: dict[str, Any], language: Language) -> RenderableType:
    if value["note"] is None:
        return UNSIGNED.told(language)
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, words in SHOWN_OF_A_CHECKPOINT.items():
        shown = value[name]
        if isinstance(shown, datetime):
            shown = f"{shown.astimezone(VIET_NAM):%Y-%m-%d %H:%M:%S} (ICT)"
        table.add_row(words.told(language), str(shown))
    if value["waiting_for"] is not None:
        holder = value["waiting_for"]
        who, since = f"{holder.application} {holder.who}", f"{holder.since:%H:%M:%S}"
        told = Words(f"{who} in {holder.database}, since {since}", f"{who} trong {holder.database}, từ {since}")
        table.add_row(Words("waiting for", "đang chờ").told(language), told.told(language))
    return Group(table, "", value["note"] + "".join(f"{line}\n" for line in value["cosignatures"]))


def _keys(settings: Settings, given: list[str] | None) -> tuple[VerifierKey, ...]:
    """The keys that are trusted: those that were given, else those beside the log's key."""
    if not given:
        return read_vkeys(vkey_file(settings.log_key_file))
    keys: list[VerifierKey] = []
    for text in given:
        if Path(text).is_file():
            keys += read_vkeys(Path(text))
            continue
        try:
            keys.append(parse_verifier_key(text))
        except EvidenceFault as fault:
            raise Problem(fault.found, fault.expected, "Give a verifier key, or a file with one a line.") from None
    return tuple(keys)
