"""A letter on its way: safe in the outbox, then confirmed, then accepted or rejected by the exchange."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from adapters import heard, outbox
from adapters.letter import Accepted, Ref
from adapters.store import Store
from adapters.waiting import Waiter

# How long `send` waits for the exchange's confirm before it leaves the letter to the pump.
CONFIRM_WITHIN_SECONDS = 30.0


class Sent:
    """A letter that is safe in the outbox, and what became of it."""

    def __init__(self, *, store: Store, waiter: Waiter, wake: Callable[[], None], no: int, document: Ref) -> None:
        self._store = store
        self._waiter = waiter
        self._wake = wake
        self._no = no
        self.document = document

    @property
    def id(self) -> str:
        """The document's id; with its sender it is the key under which the exchange knows it."""
        return self.document.id

    async def confirmed(self, timeout: float | None = CONFIRM_WITHIN_SECONDS) -> bool:
        """Wait until the exchange has confirmed that it holds the bytes; False if it has not within `timeout`."""
        try:
            await self._waiter.for_outbox(self._entry_if(lambda entry: entry.confirmed_at is not None), timeout)
        except TimeoutError:
            return False
        return True

    async def accepted(self, timeout: float | None = None) -> Accepted:
        """Wait for the exchange's notice. Raises Rejected; TimeoutError after `timeout` seconds."""
        answered = self._entry_if(lambda entry: entry.state in ("accepted", "rejected"))
        entry = await self._waiter.for_outbox(answered, timeout)
        answer = entry.answer or {}
        if entry.state == "rejected":
            raise heard.rejected(entry.ref, answer)
        return heard.accepted(entry.ref, answer)

    async def state(self) -> outbox.Entry:
        """How far it is just now."""
        return await self._store.run(lambda connection: outbox.entry(connection, self._no))

    async def resend(self) -> None:
        """The same signed bytes once more; the exchange takes them as the same document and answers again."""
        await self._store.run(lambda connection: outbox.make_due(connection, [self._no]))
        self._wake()

    def _entry_if(self, wanted: Callable[[outbox.Entry], bool]) -> Callable[[sqlite3.Connection], outbox.Entry | None]:
        def look(connection: sqlite3.Connection) -> outbox.Entry | None:
            entry = outbox.entry(connection, self._no)
            return entry if wanted(entry) else None

        return look
