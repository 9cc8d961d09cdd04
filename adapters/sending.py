"""What an agency sends: letters and changes of them, signed and durable in its outbox before a call returns."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from adapters import compose, heard, outbox
from adapters.compose import ChangeOf, Outgoing
from adapters.identity import Signer
from adapters.letter import Letter, NaturalRef, Ref
from adapters.packing import pack, pack_contents
from adapters.reporting import Reporting
from adapters.sent import CONFIRM_WITHIN_SECONDS, Sent
from schemas.manifest import parse_manifest
from schemas.problem import Problem
from schemas.states import StatusCode
from schemas.times import new_id


class Sending(Reporting):
    """The part of an agency that sends."""

    async def send(
        self, letter: Letter, *, sender: str | None = None, confirm_within: float = CONFIRM_WITHIN_SECONDS
    ) -> Sent:
        """Sign a letter and send it; returns when the exchange has confirmed it.

        If there is no confirm within `confirm_within` seconds the letter stays in the outbox, the pump goes on trying,
        and `Sent` is returned all the same. `sender`: a served agency in whose name a hub sends.
        Raises Refusal if the letter breaks the contract, Problem if a file or the content store is missing.
        """
        return await self._send(letter, sender=sender, confirm_within=confirm_within, change=None)

    async def recall(
        self,
        documents: Sequence[Ref | NaturalRef],
        reason: str,
        *,
        letter: Letter | None = None,
        sender: str | None = None,
    ) -> Sent:
        """Recall documents of one's own; without `letter` from all their recipients, with a letter made here."""
        change = ChangeOf(action="recall", concerns=documents, reason=reason)
        return await self._send(letter or _about(f"Thu hồi: {reason}"), sender=sender, change=change)

    async def replace(
        self, documents: Sequence[Ref | NaturalRef], letter: Letter, reason: str, *, sender: str | None = None
    ) -> Sent:
        """Replace documents of one's own by `letter`; its `to` may be empty: the recipients of the originals."""
        return await self._send(
            letter, sender=sender, change=ChangeOf(action="replace", concerns=documents, reason=reason)
        )

    async def update(
        self,
        documents: Sequence[Ref | NaturalRef],
        *,
        letter: Letter | None = None,
        metadata: bool = False,
        added: Sequence[str] = (),
        removed: Sequence[str] = (),
        reason: str | None = None,
        sender: str | None = None,
    ) -> Sent:
        """Change recipients or metadata of documents of one's own; added recipients also receive the original."""
        change = ChangeOf(
            action="update", concerns=documents, reason=reason, metadata=metadata, added=added, removed=removed
        )
        return await self._send(letter or _about("Cập nhật văn bản"), sender=sender, change=change)

    async def take_back(self, document: Ref, recipients: Sequence[str], reason: str) -> None:
        """Ask recipients to give a document of one's own back (status 13)."""
        for_ = None if document.sender == self.settings.code else document.sender
        item = compose.status_item(
            document, StatusCode("13"), at=datetime.now(UTC), to=recipients, reason=reason, for_=for_
        )
        await self._report([item], test=False)

    async def _send(
        self,
        letter: Letter,
        *,
        sender: str | None,
        change: ChangeOf | None,
        confirm_within: float = CONFIRM_WITHIN_SECONDS,
    ) -> Sent:
        sent = await self.put(await self.sign(letter, sender=sender, change=change))
        await sent.confirmed(confirm_within)
        return sent

    async def sign(
        self,
        letter: Letter,
        *,
        sender: str | None = None,
        change: ChangeOf | None = None,
        signer: Signer | None = None,
    ) -> Outgoing:
        """Store the parts and sign, without sending yet; by default with the key that speaks for `sender`."""
        speaker = sender or self.settings.code
        self._may_speak(speaker)
        parts = await asyncio.to_thread(
            pack, letter.parts, self._content
        )  # may take long: not a thread of the database's
        now = datetime.now(UTC)
        return await self._in_thread(
            lambda: compose.document(
                letter,
                parts,
                speaker=speaker,
                signer=signer or self._keyring.speaking_for(speaker),
                id=letter.id or str(new_id(now)),
                now=now,
                change=change,
            )
        )

    def _may_speak(self, speaker: str) -> None:
        if speaker not in self.settings.codes:
            raise Problem(
                found=f"a letter in the name of {speaker}",
                expected=f"{self.settings.code} or one of its [[served]] agencies",
                remedy="Add [[served]] with this code to agency.toml; the operator gives the mandate.",
            )

    async def sign_manifest(self, payload: bytes, contents: Mapping[str, Path | bytes]) -> Outgoing:
        """Store the parts of a finished manifest and sign its bytes as they stand, without sending yet.

        For manifests made out of something else, such as edXML; `contents` are its parts by SHA-256.
        Raises Refusal if it breaks the contract, Problem for a stranger's `from` or a part that cannot be stored.
        """
        speaker = parse_manifest(payload).from_
        self._may_speak(speaker)
        inline = await asyncio.to_thread(pack_contents, contents, self._content)
        return await self._in_thread(
            lambda: compose.manifest(payload, speaking_for=self._keyring.speaking_for, content=inline)
        )

    async def put(self, message: Outgoing, *, beside: Callable[[sqlite3.Connection, int], None] | None = None) -> Sent:
        """Put signed bytes into the outbox; durable when this returns.

        `beside` is called in the same transaction with the number of the row, to remember where it came from; what it
        raises undoes both.
        """

        def put(connection: sqlite3.Connection) -> int:
            no = outbox.put(connection, message, now=time.time())
            if beside is not None:
                beside(connection, no)
            return no

        no = await self.store.run(put)
        self._pump.wake(documents=True)
        return self._sent(no, message.ref)

    def _sent(self, no: int, document: Ref) -> Sent:
        return Sent(
            store=self.store,
            waiter=self._waiter,
            wake=lambda: self._pump.wake(documents=True),
            no=no,
            document=document,
        )

    async def sent(self, id: str) -> Sent | None:
        """A document that this agency has put into its outbox earlier, by its id."""
        found = await self.store.run(lambda connection: outbox.sent_document(connection, id))
        return None if found is None else self._sent(*found)

    async def flushed(self, timeout: float | None = None) -> None:
        """Wait until the exchange has confirmed everything that was sent and reported. Raises TimeoutError."""
        await self._waiter.for_outbox(lambda connection: heard.nothing_to_send(connection) or None, timeout)

    async def answered(self, timeout: float | None = None) -> None:
        """Wait until the exchange has accepted or rejected every document that was sent. Raises TimeoutError."""
        await self._waiter.for_outbox(lambda connection: outbox.nothing_open(connection) or None, timeout)


def _about(subject: str) -> Letter:
    """A letter without parts of its own, for a recall or an update."""
    return Letter(subject=subject[:500], number="", notation="", to=(), parts=())
