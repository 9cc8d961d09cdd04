"""One mail to one mailbox over SMTP, and exactly how far it came. Knows nothing of documents or databases."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass

from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from adapters.mail.facts import one_line
from adapters.mail.queue import After
from adapters.mail.settings import Outgoing
from schemas.problem import UNREACHABLE, Problem, said

PERMANENT = range(500, 600)
_ANSWERS = range(200, 600)
SHUTTING_DOWN = 421


class Unreachable(Exception):
    """The mail server cannot be reached, or does not let us in: no mail's fault. Its text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """How an attempt ended; `why` is the server's own answer, or what went wrong."""

    after: After
    why: str


class Carrier:
    """A connection to the mail server, opened when there is something to carry; used by one task at a time."""

    def __init__(self, settings: Outgoing) -> None:
        self._settings = settings
        self._password = settings.password()
        self._context = _context(settings)
        self._smtp: SMTP | None = None

    async def carry(self, *, sender: str, to: str, message: bytes) -> Attempt:
        """Hand over one mail. Raises Unreachable."""
        smtp = await self._connected()
        handed_over = False
        try:
            await smtp.mail(sender, options=[f"SIZE={len(message)}"] if smtp.supports_extension("size") else [])
            await smtp.rcpt(to)
            handed_over = True  # from here on silence may mean that the server has it
            answer = await smtp.data(message)
        except SMTPResponseException as why:
            await self._reset(why.code)
            return Attempt(after=_meaning(why.code, handed_over), why=one_line(f"{why.code} {why.message}"))
        except (SMTPException, OSError) as why:
            self._drop()
            said = one_line(f"{type(why).__name__}: {why}")
            return Attempt(after=After.DOUBTFUL if handed_over else After.LATER, why=said)
        return Attempt(after=After.TAKEN, why=one_line(f"{answer.code} {answer.message}"))

    async def check(self) -> str:
        """Connect, and sign in if there is a user; returns the server's greeting. Raises Problem."""
        try:
            smtp = await self._connected()
        except Unreachable as why:
            raise Problem(
                str(why),
                f"a mail server at {self._settings.host}:{self._settings.port}",
                "Check server, port, security, user and password in [mail]",
                exit_code=UNREACHABLE,
            ) from why
        greeting = f"{self._settings.host}:{self._settings.port} {self._settings.security}"
        size = smtp.esmtp_extensions.get("size")
        return f"{greeting}, SIZE {size}" if size else f"{greeting}, which names no largest size"

    async def close(self) -> None:
        """Say goodbye, if there is anybody."""
        if self._smtp is not None:
            with contextlib.suppress(SMTPException, OSError):  # nothing depends on how a farewell is taken
                await self._smtp.quit()
        self._drop()

    async def _connected(self) -> SMTP:
        if self._smtp is not None and self._smtp.is_connected:
            return self._smtp
        settings = self._settings
        smtp = SMTP(
            hostname=settings.host,
            port=settings.port,
            timeout=settings.timeout_seconds,
            use_tls=settings.security == "tls",
            start_tls=settings.security == "starttls",
            tls_context=self._context,
        )
        try:
            await smtp.connect()
            if settings.user is not None and self._password is not None:
                await smtp.login(settings.user, self._password)
        except (SMTPException, OSError, ValueError) as why:
            smtp.close()
            raise Unreachable(f"{settings.host}:{settings.port}: {said(why)}") from why
        self._smtp = smtp
        return smtp

    async def _reset(self, code: int) -> None:
        """The server has answered no: the next mail may go over the same connection, unless it is closing it."""
        if code not in _ANSWERS or code == SHUTTING_DOWN:
            return self._drop()
        try:
            if self._smtp is not None and self._smtp.is_connected:
                await self._smtp.rset()
        except (SMTPException, OSError):
            self._drop()

    def _drop(self) -> None:
        if self._smtp is not None:
            self._smtp.close()
        self._smtp = None


def _meaning(code: int, handed_over: bool) -> After:
    if code in PERMANENT:
        return After.REFUSED
    # What is no answer of SMTP at all says nothing about what was done before it.
    return After.DOUBTFUL if handed_over and code not in _ANSWERS else After.LATER


def _context(settings: Outgoing) -> ssl.SSLContext | None:
    """Certificates are always checked. Raises Problem for a file of roots that cannot be used."""
    if settings.security == "plain":
        return None
    try:
        return ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))
    except (OSError, ssl.SSLError) as why:
        raise Problem(f"{settings.ca_file}: {said(why)}", "roots in PEM", "Correct ca_file in [mail]") from why
