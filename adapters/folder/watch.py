"""The watching program: looks into outbox/, lays down what comes, writes down what is heard, until it is told to stop.

Nothing here decides what becomes of a file; see `sending`, `receiving`, `hearing`. Trouble with a disk or a network
folder is told once, in both languages, and everything is tried again with back-off.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from watchfiles import awatch

from adapters import Agency
from adapters.ending import together
from adapters.folder import claiming, files
from adapters.folder.claiming import Claim
from adapters.folder.hearing import Hearing
from adapters.folder.looking import Look, Looker, note_path
from adapters.folder.names import NOTE
from adapters.folder.places import Places
from adapters.folder.receiving import Receiving
from adapters.folder.sending import NotNow, Sending, Went
from adapters.folder.texts import Told, of_os, of_problem, page
from schemas.problem import Problem

T = TypeVar("T")

FIRST_AGAIN_SECONDS = 1.0
LAST_AGAIN_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Habits:
    """How the folder is watched; seconds."""

    # A file is taken when it has not changed for so long.
    settle: float = 2.0
    # How often outbox/ is looked at, also where the system tells of changes (network folders do not).
    every: float = 2.0
    # A file that misses its sheet, or a sheet that misses its file, is told about after so long.
    missing_after: float = 60.0
    # Also write documents and statuses as edXML that did not come so.
    edxml: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Happened:
    """Something to tell the person at the terminal."""

    what: str
    names: tuple[str, ...] = ()
    place: Path | None = None
    id: str | None = None
    told: tuple[Told, ...] = ()
    code: str | None = None


class Watch:
    """One agency's folder. `run` never returns by itself; `drain` ends when nothing is left to do."""

    def __init__(self, agency: Agency, places: Places, habits: Habits, tell: Callable[[Happened], None]) -> None:
        filing = asyncio.Lock()
        self._agency = agency
        self._places = places
        self._habits = habits
        self._tell = tell
        self._sending = Sending(agency, places, filing)
        self._receiving = Receiving(agency, places, edxml=habits.edxml)
        self._hearing = Hearing(agency, places, filing, edxml=habits.edxml)
        self._looker = Looker(outbox=places.outbox, settle=habits.settle, missing_after=habits.missing_after)
        self._claims: list[Claim] = []
        self._look: Look | None = None
        self._changed = asyncio.Event()
        self._troubles: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        works = (self.send, self.lay_down, self._statuses, self._notices, self._take_backs)
        await together(self._listen(), *(self._lasting(work) for work in works))

    async def _lasting(self, work: Callable[..., Awaitable[None]]) -> None:
        """Begin again after trouble with a disk; also with the one that holds the agency's database."""
        again = FIRST_AGAIN_SECONDS
        while True:
            began = time.monotonic()
            try:
                await work(idle=None)
            except OSError as why:
                self._trouble("folder", why)
            except sqlite3.OperationalError as why:
                self._told_once("database", Told(f"The database: {why}.", f"Cơ sở dữ liệu: {why}."))
            again = FIRST_AGAIN_SECONDS if time.monotonic() - began > again else min(again * 2, LAST_AGAIN_SECONDS)
            await asyncio.sleep(again)

    async def drain(self, *, idle: float, answer_within: float) -> None:
        """Send what lies in outbox/, wait for the exchange's answers, lay down what came; then end."""
        await self.send(idle=idle)
        with contextlib.suppress(TimeoutError):
            await self._agency.flushed(timeout=answer_within)
            await self._agency.answered(timeout=answer_within)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.lay_down(idle=idle))
            group.create_task(self._statuses(idle=idle))
            group.create_task(self._notices(idle=idle))
            group.create_task(self._take_backs(idle=idle))
        with contextlib.suppress(TimeoutError):
            await self._agency.flushed(timeout=answer_within)

    # ── outbox/ ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _listen(self) -> None:
        """Be woken by the system where it can; where not, the look from time to time is enough."""
        try:
            async for _ in awatch(self._places.outbox, step=100, debounce=400, recursive=False):
                self._changed.set()
        except Exception as why:  # no inotify here, or its watches are used up
            self._tell(Happened(what="polling", told=(Told(f"No notifications here ({why}); looking every "
                f"{self._habits.every:g} s.", f"Không có thông báo thay đổi ({why}); kiểm tra mỗi "
                f"{self._habits.every:g} giây."),)))  # fmt: skip

    async def send(self, *, idle: float | None = None) -> None:
        """Send what lies in outbox/; until cancelled, or with `idle` until nothing there can become ready by itself."""
        self._claims = await self._trying(
            "looking into outbox", lambda: asyncio.to_thread(claiming.unfinished, self._places)
        )
        again = FIRST_AGAIN_SECONDS
        while True:
            self._changed.clear()
            good = await self._send_claims()
            look = await self._trying("looking into outbox", lambda: asyncio.to_thread(self._looker.look))
            await self._take(look)
            if look.ready:
                continue
            await asyncio.to_thread(self._notes, look)
            if idle is not None and good and not look.restless:
                return
            again = FIRST_AGAIN_SECONDS if good else min(again * 2, LAST_AGAIN_SECONDS)
            wait = min(self._habits.settle / 2, self._habits.every) if look.restless else self._habits.every
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(wait, 0.01) if good else again):
                    await self._changed.wait()

    async def _take(self, look: Look) -> None:
        for drop, seen in look.ready:
            try:
                claim = await asyncio.to_thread(claiming.take, self._places, drop, seen)
            except OSError as why:
                self._trouble("taking from outbox", why)
                await asyncio.sleep(FIRST_AGAIN_SECONDS)
                return
            self._well("taking from outbox")
            if claim is not None:
                self._claims.append(claim)
        if look.ready:
            await self._send_claims()

    async def _send_claims(self) -> bool:
        """Send what is claimed; False if something has to be tried again."""
        left: list[Claim] = []
        for claim in self._claims:
            try:
                went = await self._sending.send(claim)
            except OSError as why:
                self._trouble("sending", why)
                left.append(claim)
                continue
            except NotNow as why:
                self._told_once("sending", Told(str(why), str(why)))
                left.append(claim)
                continue
            self._tell(_happened(went))
            if went.ref is not None and not went.told:
                await self._refresh(went)
        self._claims = left
        if not left:
            self._well("sending")
        return not left

    async def _refresh(self, went: Went) -> None:
        if went.ref is not None:
            try:
                await self._hearing.refresh(went.ref)
            except OSError as why:
                self._trouble("sent", why)

    def _notes(self, look: Look) -> None:
        """Notes in outbox/ about what has waited too long; away again when it has come."""
        wanted = {note_path(self._places.outbox, one.name): one for one in look.overdue}
        try:
            for note in self._places.outbox.glob(f"*{NOTE}"):
                if note not in wanted:
                    note.unlink(missing_ok=True)
            for note, waiting in wanted.items():
                if not note.exists() and len(note.name.encode()) <= 255:
                    files.write(note, page(Told("not sent yet", "Chưa gửi"), [], [waiting.told.vi, waiting.told.en]))
                    self._tell(Happened(what="waits", names=(waiting.name,), told=(waiting.told,)))
        except OSError as why:
            self._trouble("writing notes into outbox", why)
        else:
            self._well("writing notes into outbox")

    # ── inbox/ ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def lay_down(self, *, idle: float | None = None) -> None:
        """Lay down documents in inbox/; until cancelled, or until none came for `idle` seconds."""
        async for delivery in self._agency.receive(idle=idle):
            try:
                place = await self._receiving.document(delivery.letter)
            except OSError as why:
                self._trouble("inbox", why)
                await delivery.later()
                await asyncio.sleep(FIRST_AGAIN_SECONDS)
                continue
            except Problem as why:
                self._tell(Happened(what="trouble", id=delivery.letter.ref.id, told=tuple(of_problem(why))))
                async with delivery:
                    raise  # handed over again later, with back-off; others go on
                continue
            async with delivery as letter:
                self._well("inbox")
                self._tell(Happened(what="came", place=place, id=letter.ref.id, names=(letter.ref.sender,)))

    async def _take_backs(self, *, idle: float | None) -> None:
        async for asked in self._agency.take_backs(idle=idle):
            place = await self._trying("inbox", partial(self._receiving.take_back, asked))
            self._tell(Happened(what="asked", place=place, id=asked.document.id, names=(asked.document.sender,)))

    async def _statuses(self, *, idle: float | None) -> None:
        async for status in self._agency.statuses(idle=idle):
            await self._trying("sent", partial(self._hearing.status, status))
            self._tell(Happened(what="status", id=status.document.id, names=(status.agency,), code=status.code))

    async def _notices(self, *, idle: float | None) -> None:
        async for notice in self._agency.notices(idle=idle):
            await self._trying("sent", partial(self._hearing.notice, notice))
            self._tell(Happened(what=notice.event, id=notice.concerns.get("id"), code=notice.error))

    # ── Trouble ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _trying(self, where: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do it, again and again while the disk does not let us."""
        again = FIRST_AGAIN_SECONDS
        while True:
            try:
                done = await work()
            except OSError as why:
                self._trouble(where, why)
                await asyncio.sleep(again)
                again = min(again * 2, LAST_AGAIN_SECONDS)
                continue
            self._well(where)
            return done

    def _trouble(self, where: str, why: OSError) -> None:
        self._told_once(where, of_os(why))

    def _told_once(self, where: str, told: Told) -> None:
        if where not in self._troubles:
            self._troubles.add(where)
            self._tell(Happened(what="trouble", names=(where,), told=(told,)))

    def _well(self, where: str) -> None:
        if where in self._troubles:
            self._troubles.discard(where)
            self._tell(Happened(what="well", names=(where,)))


def _happened(went: Went) -> Happened:
    return Happened(
        what="refused" if went.told else "sent",
        names=went.names,
        place=went.place,
        id=went.ref.id if went.ref else None,
        told=went.told,
        code=went.code,
    )
