"""`lienthong-agency mail`: everything together for as long as the program runs. Wiring only."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from adapters import Agency
from adapters.mail import queue
from adapters.mail.listener import MailListener
from adapters.mail.sending import Sender
from adapters.mail.server import PageServer
from adapters.mail.settings import MailSettings
from adapters.pace import Signal
from schemas.problem import Problem


@asynccontextmanager
async def running(agency: Agency, settings: MailSettings) -> AsyncIterator[None]:
    """The adapter, working until the block is left. Raises Problem if something cannot be started."""
    async with AsyncExitStack() as stack:
        stack.enter_context(_alone(agency.settings.data_dir / "mail.lock"))
        await agency.store.run(queue.migrate)
        page = PageServer(agency, settings)
        await page.start()
        stack.push_async_callback(page.stop)
        if settings.listener is not None:
            listener = MailListener(agency, settings, settings.listener)
            await listener.start()
            stack.push_async_callback(listener.stop)
        sender = Sender(agency, settings, Signal())
        group = await stack.enter_async_context(asyncio.TaskGroup())
        sending = group.create_task(sender.run())
        try:
            yield
        finally:
            sending.cancel()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One mail program for a data folder: two would send every mail twice."""
    lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as why:
            raise Problem(
                f"another `lienthong-agency mail` works in {path.parent}",
                "one for each data folder",
                "End the other, or use that one",
            ) from why
        yield
    finally:
        os.close(lock)
