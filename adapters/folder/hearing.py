"""What is heard of one's own documents: the state beside what was sent, refusals, notices. Written anew, so that doing
it twice does no harm: everything comes out of the agency's database.

The state of what was sent from the folder lies beside it in sent/ (`trang-thai.txt`, `state.json`); of what other
programs of the agency sent, in inbox/statuses/. What the exchange rejected moves from sent/ to refused/.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from adapters import Agency, outbox
from adapters.agency_names import NO_NAMES, shown
from adapters.folder import files, names, records, texts
from adapters.folder.claiming import STATE, STATE_TEXT
from adapters.folder.places import Places
from adapters.folder.records import Dropped
from adapters.folder.sending import write_reason
from adapters.folder.texts import Told
from adapters.letter import Notice, Ref, Status
from schemas.canonical import canonical_json, sha256_hex
from schemas.edxml.rendering import render_statuses
from schemas.edxml.tying import Known, known_of
from schemas.edxml.writing import write_pieces
from schemas.jws import parse_message, parse_stored
from schemas.times import parse_rfc3339


class Hearing:
    """Writes down what comes back."""

    def __init__(self, agency: Agency, places: Places, filing: asyncio.Lock, *, edxml: bool) -> None:
        self._agency = agency
        self._places = places
        self._filing = filing
        self._edxml = edxml

    async def status(self, status: Status) -> None:
        """A recipient said something about a document of ours. Raises OSError."""
        await self._agency.names.of(status.agency)  # before anything is held; the page takes what is known
        await self.refresh(status.document)
        if self._edxml:
            await self._as_edxml(status)

    async def notice(self, notice: Notice) -> None:
        """The exchange said something about a message of ours. Raises OSError."""
        dropped = await self._agency.store.run(partial(_dropped_for, concerns=notice.concerns))
        if dropped is not None and notice.event in ("rejected", "status-refused"):
            async with self._filing:
                await self._reject(dropped, notice)
            return
        if notice.event == "accepted":
            if dropped is not None:
                await self.refresh(dropped.ref)
            return
        await asyncio.to_thread(self._write_notice, notice)

    async def refresh(self, document: Ref) -> None:
        """Write the state of a document of ours beside it. Raises OSError."""
        async with self._filing:
            state = await self._agency.store.run(partial(_state, document=document))
            if state is not None:
                await asyncio.to_thread(self._write_state, state, self._agency.names.known)

    def _write_state(self, state: Mapping[str, Any], known_as: Mapping[str, str]) -> None:
        value = (json.dumps(state, ensure_ascii=False, indent=2) + "\n").encode()
        page = state_page(state, known_as)
        if state["folder"] is None:
            files.write(self._places.statuses / f"{state['id']}.json", value)
            files.write(self._places.statuses / f"{state['id']}.txt", page)
            return
        folder = self._place(state["folder"])
        if folder is not None:  # else a clerk has put it elsewhere
            files.write(folder / STATE, value)
            files.write(folder / STATE_TEXT, page)

    def _place(self, folder: str) -> Path | None:
        return next((one for one in (self._places.sent / folder, self._places.refused / folder) if one.is_dir()), None)

    async def _reject(self, dropped: Dropped, notice: Notice) -> None:
        await asyncio.to_thread(self._move_to_refused, dropped, notice)
        await self._agency.store.run(partial(records.mark_rejected, no=dropped.no))

    def _move_to_refused(self, dropped: Dropped, notice: Notice) -> None:
        source, target = self._places.sent / dropped.folder, self._places.refused / dropped.folder
        if not source.is_dir() and target.is_dir():
            return  # moved before a crash
        told = texts.of_answer(notice.error or "", notice.detail)
        folder = source if source.is_dir() else target
        folder.mkdir(parents=True, exist_ok=True)  # a clerk has put it elsewhere: the reason alone
        called = sorted(one.name for one in folder.iterdir() if one.name not in (STATE, STATE_TEXT))
        write_reason(folder, called, told, code=notice.error, at=_moment(notice.at), dropped=None)
        if folder == source:
            target.parent.mkdir(parents=True, exist_ok=True)
            files.sync(target.parent.parent)
            files.rename(source, target)

    def _write_notice(self, notice: Notice) -> None:
        name = names.safe(f"{_moment(notice.at):%Y-%m-%d} {notice.event} {sha256_hex(canonical_json(notice.item))[:8]}")
        told = texts.of_answer(notice.error, notice.detail) if notice.error else []
        about = notice.concerns.get("id") or notice.concerns.get("message_id") or ""
        rows = [
            (Told("event", "Sự kiện"), notice.event),
            (Told("concerns", "Về"), about),
            (Told("at", "Lúc"), texts.shown(_moment(notice.at))),
            (Told("code", "Mã lỗi"), notice.error or ""),
        ]
        page = texts.page(
            Told("notice of the exchange", "Thông báo của trục liên thông"),
            rows,
            [*(one.vi for one in told), "", *(one.en for one in told)],
        )
        value = (json.dumps(notice.item, ensure_ascii=False, indent=2) + "\n").encode()
        files.write(self._places.notices / f"{name}.json", value)
        files.write(self._places.notices / f"{name}.txt", page)

    async def _as_edxml(self, status: Status) -> None:
        found = await self._agency.store.run(partial(_status_message, status=status))
        if found is None:
            return
        payload, position, about = found
        rendered = await asyncio.to_thread(render_statuses, payload, about)
        if position >= len(rendered) or (message := rendered[position].message) is None:
            return
        at = status.at.astimezone(texts.VIET_NAM).strftime("%Y-%m-%d %H%M%S")
        name = names.safe(f"{at} {status.code} {status.agency} {status.document.id[-8:]}.edxml")
        await asyncio.to_thread(files.write, self._places.statuses / name, b"".join(write_pieces(message)))


def _moment(text: str) -> datetime:
    return parse_rfc3339(text) if text else datetime.now(UTC)


def _dropped_for(connection: sqlite3.Connection, concerns: Mapping[str, Any]) -> Dropped | None:
    no = outbox.find(connection, concerns)
    return None if no is None else records.by_outbox_no(connection, no)


def _status_message(connection: sqlite3.Connection, status: Status) -> tuple[bytes, int, list[Known]] | None:
    row = connection.execute(
        "SELECT m.jws, s.item FROM status s JOIN status_message m ON m.no = s.message_no"
        " WHERE s.sender = ? AND s.id = ? AND s.digest = ? AND s.agency = ? AND s.code = ?"
        " ORDER BY s.no DESC LIMIT 1",
        (*status.document, status.agency, status.code),
    ).fetchone()
    if row is None:
        return None
    body = connection.execute(
        "SELECT body FROM outbox WHERE speaker = ? AND id = ? AND digest = ?", status.document
    ).fetchone()
    about = [] if body is None else [known_of(parse_message(bytes(body[0]), slip_allowed=False).signed.payload)]
    return parse_stored(bytes(row[0])).payload, int(row[1]), about


def _state(connection: sqlite3.Connection, document: Ref) -> dict[str, Any] | None:
    no = outbox.find(connection, document.as_dict())
    if no is None:
        return None
    entry = outbox.entry(connection, no)
    dropped = records.by_outbox_no(connection, no)
    about = json.loads(parse_message(outbox.body(connection, no), slip_allowed=False).signed.payload)
    answer = entry.answer or {}
    return {
        **document.as_dict(),
        "folder": dropped.folder if dropped else None,
        "kind": entry.kind,
        "number": about.get("document", {}).get("number", ""),
        "notation": about.get("document", {}).get("notation", ""),
        "subject": about.get("document", {}).get("subject", ""),
        "state": entry.state,
        "accepted_at": answer.get("first_accepted_at") if entry.state == "accepted" else None,
        "recipients": answer.get("recipients") if entry.state == "accepted" else None,
        "unresolved": answer.get("unresolved") or [],
        "warnings": answer.get("warnings") or [],
        "statuses": records.statuses_of(connection, document),
    }


def state_page(state: Mapping[str, Any], known_as: Mapping[str, str] = NO_NAMES) -> bytes:
    """`trang-thai.txt`: what became of what was sent. `state.json` beside it has the codes alone."""
    # Of an answer nothing is heard any more unless it is refused.
    answer_on_its_way = state["kind"] == "status" and state["state"] == "due"
    told = texts.STATE["signed" if answer_on_its_way else state["state"]]
    accepted = state["accepted_at"]
    rows = [
        (Told("id", "Mã văn bản"), state["id"]),
        (Told("number/notation", "Số ký hiệu"), f"{state['number']}/{state['notation']}".strip("/")),
        (Told("subject", "Trích yếu"), state["subject"]),
        (Told("state", "Trạng thái"), f"{told.vi} / {told.en}"),
        (Told("accepted at", "Tiếp nhận lúc"), texts.shown(parse_rfc3339(accepted)) if accepted else ""),
        (Told("recipients", "Số nơi nhận"), str((state["recipients"] or {}).get("count", ""))),
    ]
    lines = []
    for one in state["statuses"]:
        word = texts.STATUS.get(one["code"], Told(one["code"], one["code"]))
        reason = f": {one['reason']}" if one["reason"] else ""
        at = texts.shown(parse_rfc3339(one["at"]))
        lines.append(f"  {shown(one['agency'], known_as)}  {one['code']} {word.vi} / {word.en}  {at}{reason}")
    title = Told("what was sent", "Đã gửi")
    return texts.page(title, rows, ["Phản hồi / statuses:", *lines] if lines else [])
