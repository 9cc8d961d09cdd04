"""The content store over HTTP: parts go up and come down in pieces, through the gateway (contract §6).

Callers are threads, as for every content store; the requests run on an event loop in a thread of their own, so that a
large part delays nothing else that the agency does. What breaks off is tried again with back-off: a download goes on
where it ended, also after a restart of the program.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import random
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar
from weakref import WeakValueDictionary

import aiohttp

from adapters.content import CHUNK, ContentMissing, rename, sync_folder
from adapters.ending import end
from adapters.identity import Signer
from adapters.tokens import token
from schemas.problem import UNREACHABLE, Problem

log = logging.getLogger("lienthong.adapters")

T = TypeVar("T")

TRIES: Final = 6
"""Tries in a row that bring nothing before the caller is told; one that brings bytes begins the count anew."""
FIRST_WAIT: Final = 0.5
LAST_WAIT: Final = 30.0
"""Seconds between tries: doubling, spread."""
SILENCE: Final = 60.0
"""Seconds that the gateway may send or take nothing."""
GATHERED: Final = 1 << 18
"""Bytes that are written to the disk together."""
PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which the same request may succeed."""


BROKEN: Final = (aiohttp.ClientError, ConnectionError, TimeoutError)
"""What becomes of a connection."""


class _Passing(Exception):
    """This try failed in a way that the next may not; `wait` is what the gateway asked for, in seconds."""

    def __init__(self, why: str, *, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


class _Refused(Exception):
    """The gateway said no, and would again."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(f"the gateway answered {status} {code}: {text}")
        self.status = status
        self.code = code


@dataclass(frozen=True, kw_only=True, slots=True)
class Tempo:
    """How patiently it is tried; tests are less patient."""

    tries: int = TRIES
    first_wait: float = FIRST_WAIT
    last_wait: float = LAST_WAIT


class HttpContent:
    """See `adapters.content.ContentStore`. `url` is the gateway's name, `ca_file` a further root for its TLS.

    Close it when it is not needed any more; calls in other threads then end with an error.
    """

    def __init__(self, url: str, signer: Signer, *, ca_file: Path | None = None, tempo: Tempo | None = None) -> None:
        self._name = url.rstrip("/")
        self._audience = url
        self._signer = signer
        self._tempo = tempo or Tempo()
        self._tls = tls_context(ca_file) if url.startswith("https:") else None
        self._http: aiohttp.ClientSession | None = None
        self._downloads: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._starting = threading.Lock()
        self._running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None = None
        self._closed = False

    def put(self, source: Path | bytes, sha256: str) -> None:
        """See `ContentStore.put`. Raises Problem if the gateway refuses it or cannot be reached."""
        try:
            self._call(self._again(lambda last: self._put(source, sha256, last)))
        except _Refused as why:
            if why.code == "LT-PART-DIGEST":
                raise ContentMissing(str(why)) from why
            raise Problem(str(why), "a gateway that takes this agency's parts", _REMEDY) from why
        except _Passing as why:
            raise Problem(
                f"{self._name} cannot take a part: {why}",
                "a gateway that answers",
                "Check content_url and the network, then send the letter again.",
                exit_code=UNREACHABLE,
            ) from why

    def copy_to(self, sha256: str, target: Path, *, size: int) -> None:
        """See `ContentStore.copy_to`."""
        try:
            self._call(self._copy_to(sha256, target, size))
        except (_Refused, _Passing) as why:
            raise ContentMissing(f"{sha256}: {why}") from why

    def close(self) -> None:
        """End what is going on, and the connections."""
        with self._starting:
            self._closed = True
            running, self._running = self._running, None
        if running is None:
            return
        loop, thread = running
        asyncio.run_coroutine_threadsafe(self._end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()

    # ── The loop ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the loop, which begins with the first call, and wait for it in the caller's thread."""
        with self._starting:
            if self._closed:
                work.close()
                raise ContentMissing("the agency is being closed")
            if self._running is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=loop.run_forever, name=f"{self._signer.code} content", daemon=True)
                thread.start()
                self._running = loop, thread
            future = asyncio.run_coroutine_threadsafe(work, self._running[0])
        try:
            return future.result()
        except CancelledError:
            raise ContentMissing("the agency is being closed") from None

    async def _end(self) -> None:
        await end(task for task in asyncio.all_tasks() if task is not asyncio.current_task())
        if self._http is not None:
            await self._http.close()
        await asyncio.get_running_loop().shutdown_default_executor()

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._tls or True, limit=8),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=15.0, sock_read=SILENCE),
                auto_decompress=False,
            )
        return self._http

    async def _again(self, attempt: Callable[[bool], Awaitable[bool]]) -> None:
        """Call `attempt` until it says that it is done; it is told whether it is a repetition.

        One that raises `_Passing` is repeated, at most `tries` times in a row; one that returns False has made
        progress and begins the count anew.
        """
        failures, repeated = 0, False
        while True:
            try:
                if await attempt(repeated):
                    return
                failures = 0
                wait = self._tempo.first_wait
            except (_Passing, *BROKEN) as why:
                failures += 1
                if failures >= self._tempo.tries:
                    raise why if isinstance(why, _Passing) else _Passing(f"{type(why).__name__}: {why}") from why
                wait = min(self._tempo.first_wait * 2.0 ** (failures - 1), self._tempo.last_wait)
                wait = max(wait, min(why.wait, self._tempo.last_wait) if isinstance(why, _Passing) else 0.0)
                log.info("content goes again in %.1f s: %s: %s", wait, type(why).__name__, why)
            repeated = True
            await asyncio.sleep(wait * random.uniform(0.7, 1.3))  # noqa: S311 - spreads agencies, hides nothing

    def _headers(self, method: str, url: str) -> dict[str, str]:
        bearer = token(self._signer, method=method, url=url, audience=self._audience, now=datetime.now(UTC))
        return {"Authorization": f"Bearer {bearer}"}

    def _url(self, sha256: str) -> str:
        return f"{self._name}/v1/content/{sha256}"

    # ── Up ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _put(self, source: Path | bytes, sha256: str, repeated: bool) -> bool:
        if repeated and await self._is_there(sha256):
            return True  # the upload was whole, and only its answer was lost
        url = self._url(sha256)
        size = len(source) if isinstance(source, bytes) else (await asyncio.to_thread(source.stat)).st_size
        headers = self._headers("PUT", url) | {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        async with self._session().put(
            url, data=_pieces(source), headers=headers, expect100=True, allow_redirects=False
        ) as answer:
            await _check(answer)
        return True

    async def _is_there(self, sha256: str) -> bool:
        url = self._url(sha256)
        async with self._session().head(url, headers=self._headers("HEAD", url), allow_redirects=False) as answer:
            return answer.status == 200

    # ── Down ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _copy_to(self, sha256: str, target: Path, size: int) -> None:
        lock = self._downloads.setdefault(sha256, asyncio.Lock())
        async with lock:  # two documents may name the same part
            await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
            download = await asyncio.to_thread(Download.open, target, sha256, size)
            try:
                if download.size < size:
                    await self._again(lambda repeated: self._go_on(download, sha256))
                await asyncio.to_thread(download.finish)
            finally:
                await asyncio.to_thread(download.close)

    async def _go_on(self, download: Download, sha256: str) -> bool:
        """Fetch what is missing; False if some of it came and then no more."""
        url = self._url(sha256)
        before = download.size
        headers = self._headers("GET", url) | {"Accept-Encoding": "identity"}
        if before:
            headers |= {"Range": f"bytes={before}-", "If-Range": f'"{sha256}"'}
        try:
            async with self._session().get(url, headers=headers, allow_redirects=False) as answer:
                await _check(answer)
                if before and answer.status != 206:
                    await asyncio.to_thread(download.begin_anew)
                announced = answer.content_length
                if announced is not None and download.size + announced != download.whole:
                    raise download.wrong(f"{download.size + announced} bytes")
                await _take_all(answer, download)
        except BROKEN:
            if download.size > before:
                return False
            raise
        return True


class Download:
    """A part that is coming: what has come so far stands in a file beside its target, and outlives the program."""

    def __init__(self, file: BinaryIO, path: Path, target: Path, sha256: str, whole: int) -> None:
        self._file = file
        self._path = path
        self._target = target
        self._sha256 = sha256
        self.whole = whole
        self._digest = hashlib.sha256()
        self.size = 0

    @classmethod
    def open(cls, target: Path, sha256: str, whole: int) -> Download:
        """Go on with what an earlier run has left, or begin; `whole` is how many bytes there must be in the end."""
        path = target.parent / f".part-{sha256}"
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        download = cls(os.fdopen(handle, "r+b"), path, target, sha256, whole)
        if os.fstat(handle).st_size > whole:
            download.begin_anew()
        while piece := download._file.read(CHUNK):
            download._digest.update(piece)
            download.size += len(piece)
        return download

    def wrong(self, found: str) -> ContentMissing:
        """Forget what came, because it cannot become what the manifest names; the error that says so."""
        self.begin_anew()
        return ContentMissing(f"the gateway sends {found} as {self._sha256}, and the manifest says {self.whole} bytes")

    def take(self, piece: bytes) -> None:
        """Bytes that follow those before."""
        self._file.write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    def begin_anew(self) -> None:
        """Forget what came."""
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.sha256()
        self.size = 0

    def finish(self) -> None:
        """Verify, make durable, and let the target appear. Raises ContentMissing if the bytes are others."""
        found = self._digest.hexdigest()
        if found != self._sha256:
            self._path.unlink(missing_ok=True)
            raise ContentMissing(f"the bytes have the digest {found}, not {self._sha256}")
        self._file.flush()
        os.fsync(self._file.fileno())
        rename(self._path, self._target)
        sync_folder(self._target.parent)

    def close(self) -> None:
        """Leave the file as it is."""
        self._file.close()


_REMEDY: Final = (
    "What the gateway says tells whether key, clock, size or quota is meant; ask the operator for the rest."
)


async def _pieces(source: Path | bytes) -> AsyncIterator[bytes]:
    if isinstance(source, bytes):
        for start in range(0, len(source), CHUNK):
            yield source[start : start + CHUNK]
        return
    file = await asyncio.to_thread(source.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, CHUNK):
            yield piece
    finally:
        file.close()


async def _take_all(answer: aiohttp.ClientResponse, download: Download) -> None:
    """The answer's bytes, in larger pieces than they come; what has come is kept when the connection breaks."""
    gathered = bytearray()
    try:
        async for piece in answer.content.iter_any():
            if download.size + len(gathered) + len(piece) > download.whole:
                gathered.clear()
                raise download.wrong("more bytes")
            gathered += piece
            if len(gathered) >= GATHERED:
                await asyncio.to_thread(download.take, bytes(gathered))
                gathered.clear()
    finally:
        download.take(bytes(gathered))


async def _check(answer: aiohttp.ClientResponse) -> None:
    """Raise `_Passing` or `_Refused` for anything but success."""
    if answer.status < 300:
        return
    code, text = "", answer.reason or ""
    with suppress(aiohttp.ClientError, ValueError, TimeoutError):
        told = await answer.json(content_type=None)
        if isinstance(told, dict):
            code = str(told.get("error") or "")
            text = f"{told.get('found') or ''}; expected {told.get('expected') or ''}. {told.get('en') or ''}"
    if answer.status in PASSING:
        asked = answer.headers.get("Retry-After", "")
        raise _Passing(f"{answer.status} {code} {text}", wait=float(asked) if asked.isdigit() else 0.0)
    raise _Refused(answer.status, code, text)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """The system's roots, and those of `ca_file`. Raises Problem if it cannot be used."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as why:
            raise Problem(f"{ca_file}: {why}", "PEM certificates", "Correct content_ca_file in agency.toml.") from why
    return context
