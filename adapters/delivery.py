"""One document being handed to the agency's code: `async with delivery as letter`.

Leaving the block finishes it; `Refuse` answers 02; any other exception is logged and the document is handed over
again later. The outcome is written before the block is left, in one transaction with what has to be sent.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable
from functools import lru_cache
from types import TracebackType
from typing import Protocol

from adapters import handing
from adapters.handing import Taken
from adapters.letter import IncomingLetter, IncomingPart, Refuse
from adapters.store import Store
from schemas.jws import parse_stored
from schemas.manifest import DocumentManifest, parse_manifest
from schemas.times import parse_rfc3339

log = logging.getLogger("lienthong.adapters")

LAST_AGAIN_SECONDS = 3600.0


class Desk(Protocol):
    """What a delivery needs of its agency."""

    store: Store

    def again_after(self, attempts: int) -> float:
        """Seconds until a document whose block failed so often is handed over again."""
        ...

    def set_outcome(self, letter: IncomingLetter, good: bool) -> None:
        """Remember whether the letter may be reported on."""
        ...

    def status_of(
        self, letter: IncomingLetter, code: str, *, reason: str | None, staff: dict[str, str] | None
    ) -> Callable[..., None]:
        """The database job that puts a status into the gathering."""
        ...

    def reported(self) -> None:
        """A status waits to be sent."""
        ...


class Delivery:
    """A document that is stored and waits for its clerk."""

    def __init__(self, taken: Taken, letter: IncomingLetter, desk: Desk) -> None:
        self._taken = taken
        self._desk = desk
        self.letter = letter

    @property
    def again(self) -> bool:
        """True if it was handed over before and the block did not finish: it may have had half of its effect."""
        return self._taken.earlier_attempts > 0

    @property
    def earlier_attempts(self) -> int:
        """How often it was handed over before."""
        return self._taken.earlier_attempts

    async def __aenter__(self) -> IncomingLetter:
        return self.letter

    async def later(self) -> None:
        """Without a block: put it back into the inbox, as if it had not been looked at."""
        no = self._taken.no
        await self._desk.store.run(lambda connection: handing.untouched(connection, [no]))

    async def __aexit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if why is None:
            self._desk.set_outcome(self.letter, True)
            await self._finish("done")
            return False
        if isinstance(why, Refuse):
            self._desk.set_outcome(self.letter, False)
            await self._refuse(why)
            return True
        if not isinstance(why, Exception):
            return False  # the program is being ended: the row stays taken and is recovered at the next start
        self._desk.set_outcome(self.letter, False)
        await self._hand_back(why)
        return True

    async def _finish(self, state: str) -> None:
        no = self._taken.no
        await self._desk.store.run(lambda connection: handing.finish(connection, no, state, now=time.time()))

    async def _refuse(self, why: Refuse) -> None:
        no = self._taken.no
        answer = self._desk.status_of(self.letter, "02", reason=why.reason, staff=why.staff or None)

        def refuse(connection: sqlite3.Connection) -> None:
            handing.finish(connection, no, "refused", now=time.time())
            answer(connection)

        await self._desk.store.run(refuse)
        self._desk.reported()

    async def _hand_back(self, why: Exception) -> None:
        wait = self._desk.again_after(self._taken.earlier_attempts + 1)
        log.error(
            "%s %s for %s was not taken; again in %.0f s",
            self.letter.ref.sender,
            self.letter.ref.id,
            self.letter.recipient,
            wait,
            exc_info=why,
        )
        no, text = self._taken.no, f"{type(why).__name__}: {why}"
        await self._desk.store.run(
            lambda connection: handing.hand_back(connection, no, why=text, next_try_at=time.time() + wait)
        )


def letter_of(taken: Taken, fetch: Callable[[str], Awaitable[bytes]]) -> IncomingLetter:
    """The row as a letter; `fetch` reads a part's bytes by digest."""
    manifest = _manifest(taken.jws)
    return IncomingLetter(
        ref=taken.ref,
        recipient=taken.recipient,
        addressed_as=taken.addressed_as,
        action=str(manifest.action),
        manifest=manifest,
        parts=tuple(
            IncomingPart(name=name, media_type=media_type, role=role, size=size, sha256=sha256, fetch=fetch)
            for name, media_type, role, size, sha256 in taken.parts
        ),
        accepted_at=parse_rfc3339(taken.accepted_at),
        verdict=taken.verdict,
        changed_by=taken.changed_by,
        concerns=taken.concerns,
    )


@lru_cache(maxsize=8)
def _manifest(jws: bytes) -> DocumentManifest:
    """A hub is handed the same document once for each of its agencies: it is read once."""
    manifest = parse_manifest(parse_stored(jws).payload)
    if not isinstance(manifest, DocumentManifest):
        raise AssertionError("the inbox holds documents only")
    return manifest
