"""What an agency says of documents that came to it: statuses, and answers to changes and take-backs.

Durable when a call returns; the pump signs them together a moment later. 01 goes out by itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from adapters import compose, reports
from adapters.letter import IncomingLetter, TakeBack
from adapters.running import Running
from schemas.problem import Problem
from schemas.states import StatusCode

# What recipients report; 01 goes out by itself, 13 is `take_back`, 15 and 16 are `agree` and `decline`.
REPORTED = ("02", "03", "04", "05", "06")


class Reporting(Running):
    """The part of an agency that reports."""

    async def report(
        self,
        letter: IncomingLetter,
        code: str,
        *,
        reason: str | None = None,
        staff: Mapping[str, str] | None = None,
        at: datetime | None = None,
    ) -> bool:
        """Report 02 to 06 about a letter; durable when this returns, signed together with others a moment later.

        Does nothing and returns False if the letter's block raised: what was refused or has to be handed over again is
        not received.
        """
        if self._outcomes.get((letter.ref, letter.recipient)) is False:
            return False
        if code not in REPORTED:
            raise Problem(
                found=f"the status {code}",
                expected=", ".join(REPORTED),
                remedy="01 goes out by itself; use take_back for 13, agree and decline for 15 and 16.",
            )
        job = self.status_of(letter, code, reason=reason, staff=dict(staff) if staff else None, at=at)
        await self.store.run(job)
        self.reported()
        return True

    async def agree(self, asking: IncomingLetter | TakeBack, *, staff: Mapping[str, str] | None = None) -> None:
        """Agree (15) to a recall, an update, a replacement or a take-back."""
        await self._answer(asking, "15", reason=None, staff=staff)

    async def decline(
        self, asking: IncomingLetter | TakeBack, reason: str, *, staff: Mapping[str, str] | None = None
    ) -> None:
        """Decline it (16), with the reason."""
        await self._answer(asking, "16", reason=reason, staff=staff)

    async def _answer(
        self, asking: IncomingLetter | TakeBack, code: str, *, reason: str | None, staff: Mapping[str, str] | None
    ) -> None:
        if isinstance(asking, TakeBack):
            about = [(asking.document, recipient) for recipient in asking.recipients]
            answers = {"from": asking.asked_by.sender, "id": asking.asked_by.id}
        else:
            about = [(document, asking.recipient) for document in asking.concerns]
            answers = asking.ref.as_dict()
        if not about:
            raise Problem(
                found="a change of a document that is not here",
                expected="the document that it concerns",
                remedy="Wait until the document has come; the change is remembered.",
            )
        now = datetime.now(UTC)
        await self._report(
            [
                compose.status_item(
                    document, code, at=now, for_=self._for(recipient), answers=answers, reason=reason, staff=staff
                )
                for document, recipient in about
            ],
            test=isinstance(asking, IncomingLetter) and asking.manifest.test,
        )

    async def _report(self, items: Sequence[Mapping[str, object]], *, test: bool) -> None:
        speaker = self.settings.code

        def report(connection: sqlite3.Connection) -> None:
            for item in items:
                reports.report(connection, item, speaker=speaker, test=test)

        await self.store.run(report)
        self.reported()

    # ── What deliveries need ─────────────────────────────────────────────────────────────────────────────────────

    def set_outcome(self, letter: IncomingLetter, good: bool) -> None:
        """Remember a block that did not end well until its letter is handed over again."""
        if not good:
            self._outcomes[letter.ref, letter.recipient] = False

    def status_of(
        self,
        letter: IncomingLetter,
        code: str,
        *,
        reason: str | None,
        staff: dict[str, str] | None,
        at: datetime | None = None,
    ) -> Callable[[sqlite3.Connection], None]:
        """The database job that puts a status into the gathering."""
        item = compose.status_item(
            letter.ref,
            StatusCode(code),
            at=at or datetime.now(UTC),
            for_=self._for(letter.recipient),
            reason=reason,
            staff=staff,
        )
        speaker, test = self.settings.code, letter.manifest.test
        return lambda connection: reports.report(connection, item, speaker=speaker, test=test)

    def reported(self) -> None:
        """A status waits to be signed and sent."""
        self._pump.wake(documents=False)

    def _for(self, recipient: str) -> str | None:
        return None if recipient == self.settings.code else recipient
