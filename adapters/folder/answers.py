"""Statuses that clerks report by file: an edXML status, a sheet with `trạng thái`, or a file whose ending is the code.

Makes signed messages and nothing else; what is about no document at hand, or about several, is a Refusal.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from adapters import Agency
from adapters.compose import SPEC, Outgoing, status_item
from adapters.folder import files, known
from adapters.folder.drops import ending
from adapters.folder.known import TAKE_BACK
from adapters.folder.records import NotSent, in_folder
from adapters.folder.sheet import About, Sheet
from adapters.folder.texts import Told
from adapters.letter import IncomingLetter, NaturalRef, Ref
from schemas.edxml.naming import agency as agency_of
from schemas.edxml.reading import Reading
from schemas.edxml.records import Status
from schemas.edxml.statuses import status_manifest
from schemas.errors import Refusal
from schemas.manifest import StatusCode
from schemas.times import new_id, rfc3339

REASON_LIMIT: Final = 8 * 1024
"""Bytes of a reason in a file."""


def _not_here(shown: str) -> Told:
    return Told(
        f"No document {shown} came. Write its folder's name in inbox/, its id, or number, notation, date and agency.",
        f"Không có văn bản đến nào là {shown}. Hãy ghi đúng tên thư mục của văn bản trong inbox/, mã văn bản,"
        " hoặc số ký hiệu, ngày ban hành và cơ quan.",
    )


def _no_change(shown: str) -> Told:
    return Told(
        f"{shown} asks for no change of a document that came: 15 and 16 answer a recall, update or replacement.",
        f"{shown} không phải yêu cầu thu hồi, cập nhật hay thay thế văn bản đã đến; 15 và 16 chỉ dùng để trả lời các"
        " yêu cầu đó.",
    )


class Answering:
    """Makes status messages for one agency."""

    def __init__(self, agency: Agency) -> None:
        self._agency = agency

    async def of_file(self, name: str, path: Path) -> Outgoing:
        """`NAME.03`: the name is a folder of inbox/ or an id; the text inside is the reason."""
        code = ending(name)[1:]
        try:
            reason = (await asyncio.to_thread(files.read, path, limit=REASON_LIMIT)).decode("utf-8-sig").strip()
        except ValueError as why:
            raise Refusal(
                code="LT-SCHEMA", field="reason", found=str(why), expected=f"at most {REASON_LIMIT} bytes of UTF-8"
            ) from why
        about = About(id=name[: -len(code) - 1].strip())
        return await self._reported(about, code, reason=reason or None, staff={}, recipient=None)

    async def of_sheet(self, sheet: Sheet) -> Outgoing:
        """A sheet with `trạng thái`."""
        assert sheet.status is not None, "a sheet without a status is no answer"
        return await self._reported(
            sheet.concerns[0], sheet.status, reason=sheet.reason, staff=sheet.staff, recipient=sheet.recipient
        )

    async def of_edxml(self, reading: Reading) -> Outgoing:
        """An edXML status of an agency of this office: tied to the document that it means, signed as it stands."""
        message = reading.accepted()
        assert isinstance(message, Status), "a document is no answer"
        header, code = message.header, self._agency.settings.code
        of = header.from_ if header.status_code == StatusCode.TAKE_BACK else header.response_for
        sender = agency_of(of.organ_id or "") if of is not None else None
        look = known.that_went if header.status_code == StatusCode.TAKE_BACK else known.that_came
        at_hand = await self._agency.store.run(lambda connection: look(connection, sender or ""))
        made = await asyncio.to_thread(status_manifest, reading, known=at_hand, sent_at=datetime.now(UTC), speaker=code)
        return await self._agency.sign_manifest(made.payload, {})

    async def take_back(self, sheet: Sheet, documents: Sequence[Ref | NaturalRef]) -> Outgoing:
        """A sheet with `việc: lấy lại`: asks recipients to give a document of ours back (13)."""
        items = []
        for one in documents:
            if not isinstance(one, Ref):
                raise Refusal(code="LT-CONCERNS-UNKNOWN", field="văn bản", found=f"{one.number}/{one.notation}",
                              expected="the id of a document that was sent from here")  # fmt: skip
            items.append(self._item(one, "13", one.sender, to=sheet.to, reason=sheet.reason))
        return await self._signed(items, test=sheet.test)

    async def _reported(
        self, about: About, code: str, *, reason: str | None, staff: Mapping[str, str], recipient: str | None
    ) -> Outgoing:
        if code in ("15", "16"):
            key = await self._agency.store.run(lambda connection: in_folder(connection, about.id or ""))
            if key is not None and key.startswith(TAKE_BACK):
                return await self._to_take_back(key.removeprefix(TAKE_BACK), code, reason, staff)
        letters = await self._letters(about, recipient)
        items = []
        for letter in letters:
            if code not in ("15", "16"):
                items.append(self._item(letter.ref, code, letter.recipient, reason=reason, staff=staff))
                continue
            for document in letter.concerns:
                items.append(
                    self._item(
                        document, code, letter.recipient, reason=reason, staff=staff, answers=letter.ref.as_dict()
                    )
                )
        if not items:
            shown = about.id or f"{about.number}/{about.notation}"
            raise NotSent([(_no_change if letters else _not_here)(shown)], code="LT-CONCERNS-UNKNOWN")
        return await self._signed(items, test=letters[0].manifest.test)

    async def _letters(self, about: About, recipient: str | None) -> list[IncomingLetter]:
        rows = await self._agency.store.run(lambda connection: known.inbox_rows(connection, about))
        letters = await self._agency.letters_of_rows(rows)
        found = [one for one in letters if recipient in (None, one.recipient)]
        distinct = {one.ref for one in found}
        if len(distinct) > 1:
            raise Refusal(
                code="LT-CONCERNS-AMBIGUOUS", field="document", found=f"{about.number}/{about.notation}",
                expected="one document", candidates=tuple(one.id for one in distinct),
            )  # fmt: skip
        return found

    async def _to_take_back(self, key: str, code: str, reason: str | None, staff: Mapping[str, str]) -> Outgoing:
        asker, message, about = key.split("/")
        (body,) = await self._agency.store.run(
            lambda connection: connection.execute(
                "SELECT s.body FROM status s JOIN status_message m ON m.no = s.message_no"
                " WHERE m.sender = ? AND m.id = ? AND s.id = ? AND s.audience = 'recipient' ORDER BY s.no LIMIT 1",
                (asker, message, about),
            ).fetchone()
        )
        item = json.loads(body)
        document = Ref(item["concerns"]["from"], item["concerns"]["id"], item["concerns"]["digest"])
        answers = {"from": asker, "id": message}
        asked = [one for one in item.get("to") or () if one in self._agency.settings.codes]
        return await self._signed(
            [self._item(document, code, one, reason=reason, staff=staff, answers=answers) for one in asked], test=False
        )

    def _item(
        self,
        document: Ref,
        code: str,
        speaks: str,
        *,
        to: Sequence[str] = (),
        reason: str | None = None,
        staff: Mapping[str, str] | None = None,
        answers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        return status_item(
            document,
            StatusCode(code),
            at=datetime.now(UTC),
            for_=None if speaks == self._agency.settings.code else speaks,
            to=to,
            answers=answers,
            reason=reason,
            staff=staff,
        )

    async def _signed(self, items: Sequence[Mapping[str, Any]], *, test: bool) -> Outgoing:
        now = datetime.now(UTC)
        manifest: dict[str, Any] = {
            "spec": SPEC,
            "kind": "status",
            "id": str(new_id(now)),
            "from": self._agency.settings.code,
            "sent_at": rfc3339(now),
            "items": list(items),
        }
        if test:
            manifest["test"] = True
        return await self._agency.sign_manifest(json.dumps(manifest, ensure_ascii=False).encode(), {})
