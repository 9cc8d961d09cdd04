"""Which agency has which name: remembered in memory and in a file, asked of the gateway at most once a day per code.

Nothing waits long for a name and nothing fails for want of one: a caller waits at most `SECONDS`, and after a gateway
that was silent, slow or strange it is not asked for `PAUSE` seconds. Meanwhile what was known is shown, else the code.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from adapters import agency_names
from adapters.agency_names import Entry
from schemas.agency_codes import is_canonical

log = logging.getLogger("lienthong.adapters")

FILE: Final = "agency-names.json"
"""In the agency's data folder; it may be deleted at any time."""
SECONDS = 3.0
"""That a caller waits for names, at most."""
SLOW = 1.0
"""Seconds of waiting after which the gateway is given a rest, although it answered."""
PAUSE: Final = 300.0
"""Seconds of that rest."""
AT_ONCE: Final = 16
"""Codes that are asked about for one caller; the others are shown as codes."""
_FILE_LIMIT: Final = 2 << 20

# Status and body of the gateway's answer about a code. May raise anything.
Fetch = Callable[[str], Awaitable[tuple[int, bytes]]]


class AgencyNames:
    """The names that one agency's program knows. Without `fetch` there are none, and codes are shown."""

    def __init__(self, file: Path, fetch: Fetch | None) -> None:
        self._file = file
        self._fetch = fetch
        self._entries = {} if fetch is None else _load(file)
        self._asking = asyncio.Lock()
        self._rests_until = 0.0

    @property
    def known(self) -> Mapping[str, str]:
        """Names by code, as far as they are known without asking."""
        return {code: entry.name for code, entry in self._entries.items() if entry.name}

    async def of(self, *codes: str) -> Mapping[str, str]:
        """The names of these codes, as far as they are known or become known within `SECONDS`. Never raises."""
        if self._fetch is not None and self._missing(codes):
            await self._ask(codes)
        return {code: entry.name for code in codes if (entry := self._entries.get(code)) is not None and entry.name}

    def _missing(self, codes: tuple[str, ...]) -> list[str]:
        now = time.time()
        wanted = [one for one in dict.fromkeys(codes) if is_canonical(one)]
        return [one for one in wanted if not ((entry := self._entries.get(one)) and entry.is_fresh(now))][:AT_ONCE]

    async def _ask(self, codes: tuple[str, ...]) -> None:
        began = time.monotonic()
        if began < self._rests_until:
            return
        good = False
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS), self._asking:
                if time.monotonic() < self._rests_until:
                    return
                answered = await asyncio.gather(*(self._ask_one(code) for code in self._missing(codes)))
                good = all(answered)
                if any(answered):
                    self._entries = agency_names.newest(self._entries)
                    await asyncio.to_thread(_save, self._file, dict(self._entries))
        if not good or time.monotonic() - began > SLOW:
            self._rests_until = time.monotonic() + PAUSE
            log.info("names of agencies are not asked for %.0f s: the gateway is silent, slow or strange", PAUSE)

    async def _ask_one(self, code: str) -> bool:
        assert self._fetch is not None
        try:
            name = agency_names.of_answer(code, *await self._fetch(code))
        except Exception as why:  # a name is worth no trouble, whatever it is
            log.info("the name of %s cannot be had: %s: %s", code, type(why).__name__, why)
            return False
        if name is None:
            return False
        self._entries[code] = Entry(name, time.time())
        return True


def _load(file: Path) -> dict[str, Entry]:
    try:
        with file.open("rb") as opened:
            data = opened.read(_FILE_LIMIT + 1)
    except OSError:
        return {}
    return agency_names.read(data) if len(data) <= _FILE_LIMIT else {}


def _save(file: Path, entries: Mapping[str, Entry]) -> None:
    """Whole or not at all; of two programs with one data folder the later one's names stay, which costs a look-up."""
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
        try:
            with os.fdopen(handle, "wb") as opened:
                opened.write(agency_names.written(entries))
            os.replace(name, file)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as why:
        log.info("names of agencies are not kept: %s", why)
