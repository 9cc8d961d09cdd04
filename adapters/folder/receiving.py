"""What came appears in inbox/: a folder a document, complete from the moment that it is there.

The folder is prepared out of sight; that it is complete is written down; then it is renamed; then the document counts
as handed over. After a crash it is either still out of sight (and is renamed) or was renamed (and is not written again,
also if a clerk has moved it away meanwhile).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from adapters import Agency
from adapters.agency_names import NO_NAMES, shown
from adapters.folder import files, known, names, records, texts
from adapters.folder.contents import FileContent
from adapters.folder.places import Places
from adapters.folder.texts import Told
from adapters.letter import IncomingLetter, TakeBack
from schemas.edxml.limits import LIMITS
from schemas.edxml.rendering import render_document
from schemas.edxml.writing import write_pieces
from schemas.errors import Refusal
from schemas.jws import parse_stored
from schemas.manifest import Role

MANIFEST: Final = "manifest.json"
INFO: Final = "info.json"
TEXT: Final = "van-ban.txt"
EDXML: Final = "van-ban.edxml"
NO_EDXML: Final = "khong-co-edxml.txt"
FILES: Final = "tep"
_WORTH: Final = 80
"""Characters of a name that are worth repeating in a folder's name."""


class Receiving:
    """Lays down documents and take-backs in inbox/."""

    def __init__(self, agency: Agency, places: Places, *, edxml: bool) -> None:
        self._agency = agency
        self._places = places
        # Also write documents as edXML that did not come so.
        self._edxml = edxml

    async def document(self, letter: IncomingLetter) -> Path:
        """The document's folder, there exactly once. Raises OSError."""
        key = f"{letter.ref.sender}/{letter.ref.id}/{letter.recipient}"
        return await self._lay_down(key, self._called(letter), partial(self._write_document, letter))

    async def take_back(self, asked: TakeBack) -> Path:
        """The request's folder, there exactly once. Raises OSError."""
        at = asked.at.astimezone(texts.VIET_NAM)
        called = names.safe(f"{at:%Y-%m-%d} lấy lại {asked.document.sender} {asked.document.id[-8:]}")
        key = f"{known.TAKE_BACK}{asked.asked_by.sender}/{asked.asked_by.id}/{asked.document.id}"
        known_as = await self._agency.names.of(asked.document.sender, *asked.recipients)
        return await self._lay_down(key, called, partial(_write_take_back, asked, known_as))

    async def _lay_down(self, key: str, called: str, write: Callable[[Path], Awaitable[None]]) -> Path:
        store = self._agency.store
        prepared = self._places.arriving / hashlib.sha256(key.encode()).hexdigest()[:32]
        earlier = await store.run(partial(records.laid_down, key=key))
        if earlier is None:
            await asyncio.to_thread(_emptied, prepared)
            await write(prepared)
            await asyncio.to_thread(_synced, prepared)
        elif not prepared.exists():
            return self._places.inbox / earlier[1]
        target = await asyncio.to_thread(self._free, called)
        await store.run(partial(records.about_to_appear, key=key, prepared=prepared.name, folder=target.name))
        await asyncio.to_thread(files.rename, prepared, target)
        await store.run(partial(records.appeared, key=key))
        return target

    def _free(self, called: str) -> Path:
        taken = {names.same(one.name) for one in self._places.inbox.iterdir()}
        return self._places.inbox / names.unused(called, taken)

    def _called(self, letter: IncomingLetter) -> str:
        day = letter.accepted_at.astimezone(texts.VIET_NAM).strftime("%Y-%m-%d")
        code = f"{letter.number}-{letter.notation}".strip("-")[:_WORTH]
        whom = "" if letter.recipient == self._agency.settings.code else f" cho {letter.recipient}"
        return names.safe(f"{day} {code} {letter.ref.sender} {letter.ref.id[-8:]}{whom}".replace("  ", " "))

    async def _write_document(self, letter: IncomingLetter, folder: Path) -> None:
        place = folder / FILES
        place.mkdir()
        written: list[tuple[str, Path]] = []
        taken: set[str] = set()
        original: Path | None = None
        for part in letter.parts:
            if part.role == Role.EDXML and original is None:
                target, original = folder / EDXML, folder / EDXML
            else:
                target = place / names.unused(names.safe(part.name), taken)
                taken.add(names.same(target.name))
            await self._agency.copy_part(part.sha256, target)
            written.append((part.sha256, target))
        payload = await self._payload(letter)
        files.write_new(folder / MANIFEST, [payload])
        if original is None and self._edxml:
            await asyncio.to_thread(self._render, letter, payload, dict(written), folder / EDXML)
        info = self._info(letter, [path.relative_to(folder) for _, path in written])
        await asyncio.to_thread(
            files.write_new, folder / INFO, [(json.dumps(info, ensure_ascii=False, indent=2) + "\n").encode()]
        )
        known_as = await self._agency.names.of(letter.ref.sender, letter.recipient)
        await asyncio.to_thread(files.write_new, folder / TEXT, [document_page(letter, info, known_as)])

    async def _payload(self, letter: IncomingLetter) -> bytes:
        def read(connection: sqlite3.Connection) -> bytes:
            (jws,) = connection.execute(
                "SELECT jws FROM document WHERE sender = ? AND id = ?", (letter.ref.sender, letter.ref.id)
            ).fetchone()
            return parse_stored(bytes(jws)).payload

        return await self._agency.store.run(read)

    @staticmethod
    def _render(letter: IncomingLetter, payload: bytes, written: Mapping[str, Path], target: Path) -> None:
        contents = {part.sha256: FileContent(written[part.sha256], part.size, part.sha256) for part in letter.parts}
        named = letter.manifest.to and not any(one.startswith("group:") for one in letter.manifest.to)
        try:
            if sum(part.size for part in letter.parts) > LIMITS.unpacked_total:
                raise Refusal(
                    code="LT-SIZE",
                    field="parts",
                    found="larger files",
                    expected=f"{LIMITS.unpacked_total} bytes in all",
                )
            rendered = render_document(payload, contents, recipients=() if named else [letter.recipient])
            if rendered.original is not None:
                files.write_new(target, rendered.original.pieces())
            elif rendered.message is not None:
                files.write_new(target, write_pieces(rendered.message))
        except Refusal as why:
            # Too large for edXML: the document itself is here all the same.
            target.unlink(missing_ok=True)
            page = texts.page(Told("not written as edXML", "Không ghi được edXML"), [], [
                line for told in texts.of_refusal(why) for line in (told.vi, told.en)
            ])  # fmt: skip
            files.write_new(target.with_name(NO_EDXML), [page])

    @staticmethod
    def _info(letter: IncomingLetter, written: list[Path]) -> dict[str, Any]:
        return {
            **letter.ref.as_dict(),
            "recipient": letter.recipient,
            "addressed_as": letter.addressed_as,
            "action": letter.action,
            "accepted_at": letter.accepted_at.isoformat(),
            "verdict": letter.verdict,
            "changed_by": [one.as_dict() for one in letter.changed_by],
            "concerns": [one.as_dict() for one in letter.concerns],
            "parts": [
                {"name": part.name, "file": str(path), "role": part.role, "size": part.size, "sha256": part.sha256}
                for part, path in zip(letter.parts, written, strict=True)
            ],
        }


def document_page(letter: IncomingLetter, info: Mapping[str, Any], known_as: Mapping[str, str] = NO_NAMES) -> bytes:
    """`van-ban.txt`: what a clerk wants to see first. The names of agencies in it are for reading and prove nothing."""
    fields = letter.manifest.document
    action = texts.ACTION[letter.action]
    good = all(one["answer"] == "good" for one in letter.verdict.values())
    rows = [
        (Told("action", "Nghiệp vụ"), f"{action.vi} / {action.en}"),
        (Told("id", "Mã văn bản"), letter.ref.id),
        (Told("from", "Cơ quan gửi"), shown(letter.ref.sender, known_as)),
        (Told("for", "Nơi nhận"), shown(letter.recipient, known_as)),
        (Told("number/notation", "Số ký hiệu"), f"{letter.number}/{letter.notation}".strip("/")),
        (Told("issued on", "Ngày ban hành"), fields.issued_on.strftime("%d/%m/%Y") if fields.issued_on else ""),
        (Told("type", "Loại"), fields.type or ""),
        (Told("subject", "Trích yếu"), letter.subject),
        (Told("priority", "Độ khẩn"), texts.PRIORITY[letter.priority]),
        (Told("due on", "Hạn xử lý"), fields.due_on.strftime("%d/%m/%Y") if fields.due_on else ""),
        (Told("deliver by", "Giờ hẹn"), texts.shown(fields.deliver_by)),
        (Told("signed by", "Người ký"), (fields.signer.name or "") if fields.signer else ""),
        (Told("reason", "Lý do"), letter.reason or ""),
        (Told("concerns", "Về văn bản"), ", ".join(one.id for one in letter.concerns)),
        (Told("accepted by the exchange", "Trục tiếp nhận lúc"), texts.shown(letter.accepted_at)),
        (Told("signature", "Chữ ký số"), "hợp lệ / good" if good else "xem info.json / see info.json"),
        (Told("rehearsal", "Diễn tập"), "có / yes" if letter.manifest.test else ""),
    ]
    listed = [f"  {part['file']} ({part['size']} byte)" for part in info["parts"]]
    return texts.page(Told("document that came", "Văn bản đến"), rows, ["Tệp / files:", *listed] if listed else [])


async def _write_take_back(asked: TakeBack, known_as: Mapping[str, str], folder: Path) -> None:
    rows = [
        (Told("from", "Cơ quan yêu cầu"), shown(asked.document.sender, known_as)),
        (Told("document", "Mã văn bản"), asked.document.id),
        (Told("asked of", "Yêu cầu với"), ", ".join(shown(one, known_as) for one in asked.recipients)),
        (Told("at", "Lúc"), texts.shown(asked.at)),
        (Told("reason", "Lý do"), asked.reason or ""),
    ]
    info = {
        "take_back": asked.document.as_dict(),
        "asked_by": asked.asked_by.as_dict(),
        "recipients": list(asked.recipients),
        "at": asked.at.isoformat(),
        "reason": asked.reason,
    }
    page = texts.page(Told("asked to give a document back", "Yêu cầu lấy lại văn bản"), rows)
    await asyncio.to_thread(files.write_new, folder / TEXT, [page])
    await asyncio.to_thread(
        files.write_new, folder / INFO, [(json.dumps(info, ensure_ascii=False, indent=2) + "\n").encode()]
    )


def _emptied(folder: Path) -> None:
    files.remove(folder)
    folder.mkdir()


def _synced(folder: Path) -> None:
    for inside in (*folder.iterdir(), folder, folder.parent):
        if inside.is_dir():
            files.sync(inside)
