"""From a claim to the agency's outbox: read, sign, put it there with its mark in one transaction, move it to sent/.

A claim whose mark is known is not sent again. What breaks a rule goes to refused/ with every reason; what only cannot
be done just now (disk, content store) stays claimed and is tried again.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from adapters import Agency, Letter, Part
from adapters.compose import ChangeOf, Outgoing
from adapters.folder import claiming, files, known, names, records, texts
from adapters.folder.answers import Answering
from adapters.folder.claiming import REASON, REASON_TEXT, Claim
from adapters.folder.contents import BadZip, edxml_bytes, unpacked
from adapters.folder.looking import read_sheet
from adapters.folder.places import Places
from adapters.folder.records import Dropped, NotSent
from adapters.folder.sheet import About, Sheet
from adapters.folder.texts import VIET_NAM, Told
from adapters.letter import NaturalRef, Ref
from schemas.canonical import canonical_json, sha256_hex
from schemas.edxml.documents import document_manifest
from schemas.edxml.naming import agency as agency_of
from schemas.edxml.reading import Reading, read
from schemas.edxml.records import BusinessType, Document
from schemas.errors import Refusal
from schemas.problem import UNREACHABLE, Problem


class NotNow(Exception):
    """The claim is kept and tried again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Went:
    """What became of a claim."""

    names: tuple[str, ...]
    place: Path
    ref: Ref | None
    told: tuple[Told, ...] = ()
    code: str | None = None


class Sending:
    """Sends claims, one after the other."""

    def __init__(self, agency: Agency, places: Places, filing: asyncio.Lock) -> None:
        self._agency = agency
        self._places = places
        # Held from the transaction until the files lie in sent/: what is heard meanwhile waits.
        self._filing = filing
        self._answering = Answering(agency)

    async def send(self, claim: Claim) -> Went:
        """Send it, or refuse it. Raises NotNow, OSError."""
        try:
            if await self._done(claim) is not None:  # before a crash
                return await self._file(claim)
            if claim.kind == "refused":
                raise NotSent(claim.told)
            mark = await asyncio.to_thread(_mark, claim)
            before = await self._agency.store.run(lambda connection: records.by_mark(connection, mark))
            if before is not None:
                raise _sent_before(before)
            message = await self._signed(claim)
        except NotSent as why:
            return await self._refuse(claim, why)
        async with self._filing:
            await self._put(claim, mark, message)
            return await self._file(claim)

    async def _done(self, claim: Claim) -> Dropped | None:
        return await self._agency.store.run(lambda connection: records.by_job(connection, claim.job))

    async def _put(self, claim: Claim, mark: str, message: Outgoing) -> None:
        now = time.time()
        folder = f"{claiming.month(datetime.now(UTC))}/{_called(claim)} {message.id}"

        def beside(connection: sqlite3.Connection, no: int) -> None:
            records.remember(
                connection,
                mark=mark,
                job=claim.job,
                folder=folder,
                kind=message.kind,
                outbox_no=no,
                ref=message.ref,
                now=now,
            )

        await self._agency.put(message, beside=beside)

    async def _signed(self, claim: Claim) -> Outgoing:
        try:
            return await self._message(claim)
        except Refusal as why:
            raise NotSent(texts.of_refusal(why), code=why.code) from why
        except Problem as why:
            if why.exit_code == UNREACHABLE:
                raise NotNow(str(why)) from why
            raise NotSent(texts.of_problem(why)) from why
        finally:
            await asyncio.to_thread(files.remove, claim.spool)

    # ── Messages ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _message(self, claim: Claim) -> Outgoing:
        if claim.kind == "edxml":
            return await self._of_edxml(claim)
        if claim.kind == "answer":
            return await self._answering.of_file(claim.names[0], claim.paths[0])
        sheet = await asyncio.to_thread(read_sheet, claim.paths[0])
        if not isinstance(sheet, Sheet):
            raise NotSent(sheet)
        if sheet.status is not None:
            return await self._answering.of_sheet(sheet)
        if sheet.action == "take_back":
            return await self._answering.take_back(sheet, await self._concerns(sheet))
        return await self._of_sheet(claim, sheet)

    async def _of_sheet(self, claim: Claim, sheet: Sheet) -> Outgoing:
        if empty := await asyncio.to_thread(_empty, claim):
            raise NotSent([_nothing_in(name) for name in empty])
        letter = Letter(
            subject=sheet.subject,
            to=sheet.to,
            parts=[
                Part.file(path, name=names.safe(name))
                for name, path in zip(claim.names[1:], claim.paths[1:], strict=True)
            ],
            number=sheet.number,
            notation=sheet.notation,
            issued_on=sheet.issued_on,
            type=sheet.type,
            priority=sheet.priority,
            deliver_by=sheet.deliver_by,
            partial=sheet.partial,
            replies_to=[await self._answered(one) for one in sheet.replies_to],
            further=sheet.further,
            test=sheet.test,
        )
        change = None
        if sheet.action != "new":
            change = ChangeOf(
                action=sheet.action,
                concerns=await self._concerns(sheet),
                reason=sheet.reason,
                metadata=sheet.action == "update" and not (sheet.added or sheet.removed),
                added=sheet.added,
                removed=sheet.removed,
            )
        return await self._agency.sign(letter, sender=sheet.sender, change=change)

    async def _concerns(self, sheet: Sheet) -> list[Ref | NaturalRef]:
        speaker = sheet.sender or self._agency.settings.code
        found = []
        for one in sheet.concerns:
            ref = await self._agency.store.run(partial(known.own, about=one, speaker=speaker))
            if ref is None:
                raise NotSent([_unknown(one, "sent from here", "đã gửi từ đây")], code="LT-CONCERNS-UNKNOWN")
            found.append(ref)
        return found

    async def _answered(self, about: About) -> Ref | NaturalRef:
        ref = await self._agency.store.run(lambda connection: known.came(connection, about))
        if ref is None:
            raise NotSent([_unknown(about, "that came", "đã đến")], code="LT-CONCERNS-UNKNOWN")
        return ref

    async def _of_edxml(self, claim: Claim) -> Outgoing:
        path = claim.paths[0]
        try:
            data = await asyncio.to_thread(edxml_bytes, path)
        except (BadZip, ValueError) as why:
            said = why.found if isinstance(why, BadZip) else Told(str(why), str(why))
            raise NotSent([Told(*said)], code="LT-EDXML") from why
        today = datetime.now(VIET_NAM).date()
        reading = await asyncio.to_thread(read, data, today=today)
        if not reading.good:
            raise NotSent(_faults(reading), code="LT-EDXML")
        assert reading.message is not None
        header, own = reading.message.header, self._agency.settings.codes
        sender = agency_of(header.from_.organ_id or "") if header.from_ else None
        if sender not in own:
            here = ", ".join(sorted(own))
            told = Told(
                f"From/OrganId is {sender or 'missing'}; this office sends for {here}."
                " Correct it where the file is made.",
                f"From/OrganId {f'là {sender}' if sender else 'còn thiếu'}; đơn vị này gửi thay cho {here}."
                " Hãy sửa trong phần mềm đã tạo tệp.",
            )
            raise NotSent([told], code="LT-EDXML")
        if not isinstance(reading.message, Document):
            return await self._answering.of_edxml(reading)
        about = []
        if reading.message.business_type is not BusinessType.NEW:
            about = await self._agency.store.run(lambda connection: known.that_went(connection, str(sender)))
        made = await asyncio.to_thread(
            document_manifest,
            reading,
            sent_at=datetime.now(UTC),
            known=about,
            name=names.safe(claim.names[0].removesuffix(".zip")),
        )
        contents = await asyncio.to_thread(unpacked, made.contents, claim.spool)
        return await self._agency.sign_manifest(made.payload, contents)

    # ── Filing ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _file(self, claim: Claim) -> Went:
        done = await self._done(claim)
        if done is None:
            raise AssertionError("only what is in the outbox is filed as sent")
        place = await asyncio.to_thread(claiming.put_away, claim, self._places.sent / done.folder)
        return Went(names=claim.names, place=place, ref=done.ref)

    async def _refuse(self, claim: Claim, why: NotSent) -> Went:
        now = datetime.now(UTC)
        stamp = now.astimezone(VIET_NAM).strftime("%d-%H%M%S")
        target = self._places.refused / claiming.month(now) / f"{stamp} {_called(claim)} {secrets.token_hex(2)}"

        def put_away() -> Path:
            if claim.folder.is_dir():
                write_reason(claim.folder, claim.names, why.told, code=why.code, at=now, dropped=why.dropped)
            return claiming.put_away(claim, target)

        place = await asyncio.to_thread(put_away)
        ref = why.dropped.ref if why.dropped else None
        return Went(names=claim.names, place=place, ref=ref, told=tuple(why.told), code=why.code)


def write_reason(
    folder: Path,
    called: Sequence[str],
    told: Sequence[Told],
    *,
    code: str | None,
    at: datetime,
    dropped: Dropped | None = None,
) -> None:
    """The reason beside what was not sent, as text and as JSON."""
    value = {
        "code": code,
        "at": at.astimezone(UTC).isoformat(),
        "files": list(called),
        "reasons": [{"en": one.en, "vi": one.vi} for one in told],
        "sent_before": dropped.ref.as_dict() if dropped else None,
    }
    files.write(folder / REASON, (json.dumps(value, indent=2) + "\n").encode())
    files.write(folder / REASON_TEXT, texts.reason_page(called, told, code=code, at=at))


def _empty(claim: Claim) -> list[str]:
    """Files without a byte: never what was meant, mostly a copy that broke off."""
    return [name for name, path in zip(claim.names, claim.paths, strict=True) if path.stat().st_size == 0]


def _nothing_in(name: str) -> Told:
    return Told(f"{name} is empty (0 bytes); copy it again.", f"Tệp {name} trống (0 byte); hãy sao chép lại tệp.")


def _called(claim: Claim) -> str:
    return names.safe(names.stem(claim.names[0]))[:60].rstrip(". ")


def _mark(claim: Claim) -> str:
    """What is sent once: the files' names and bytes; of edXML, which names itself inside, only the bytes."""
    digests = [files.digest(path) for path in claim.paths]
    if claim.kind == "edxml":
        return sha256_hex(canonical_json(["edxml", digests[0]]))
    told = [[names.same(name), digest] for name, digest in zip(claim.names, digests, strict=True)]
    return sha256_hex(canonical_json([claim.kind, *sorted(told)]))


def _sent_before(before: Dropped) -> NotSent:
    at = texts.shown(datetime.fromtimestamp(before.dropped_at, UTC))
    told = Told(
        f"The same was sent on {at} with the id {before.ref.id}; it lies in sent/{before.folder}. Not sent again.",
        f"Đã gửi lúc {at}, mã {before.ref.id}, lưu ở sent/{before.folder}. Không gửi lại.",
    )
    return NotSent([told], code="LT-DUP-NATURAL", dropped=before)


def _unknown(about: About, en: str, vi: str) -> Told:
    shown = about.id or f"{about.number}/{about.notation}"
    return Told(f"No document {shown} {en} is known.", f"Không tìm thấy văn bản {shown} {vi}.")


def _faults(reading: Reading) -> list[Told]:
    return [Told(fault.en, fault.vi) for fault in reading.errors]
