"""Where mails come in: SMTP or LMTP, for configured senders only. 250 is said when everything is durable, never before.

What is not taken is refused inside the session, with a reason that a clerk can read; no mail is ever written to a
sender whose address may be forged. Bounces of our own mails come in here too.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Mapping

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from adapters import Agency
from adapters.mail import dkim_check, queue
from adapters.mail.bounces import read_bounce
from adapters.mail.facts import one_line
from adapters.mail.mime import check_bounds, parse, read_mail
from adapters.mail.replies import Turned
from adapters.mail.settings import Listener, MailSettings, Office
from adapters.mail.taking import take
from schemas.problem import Problem

log = logging.getLogger("lienthong.mail")

GREETING = "Lienthong"
# The null sender (RFC 5321 §4.5.5), as aiosmtpd has it.
NOBODY = "<>"
# Mails that are parsed and judged at the same time: each may be as large as max_mib.
AT_ONCE = 2


class MailListener:
    """The listening end of one agency's mail adapter; also the handler that aiosmtpd calls."""

    def __init__(self, agency: Agency, settings: MailSettings, listener: Listener) -> None:
        self._agency = agency
        self._listener = listener
        self._senders: Mapping[str, Office] = {
            sender: office for office in settings.offices.values() for sender in office.senders
        }
        self._keys = dkim_check.keys_from(listener.dkim_keys)
        self._open = 0
        self._judging = asyncio.Semaphore(AT_ONCE)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen. Raises Problem if the place is taken or the certificate cannot be used."""
        listener = self._listener
        try:
            context = _context(listener)
            self._server = await asyncio.get_running_loop().create_server(
                lambda: self._protocol(context), listener.host, listener.port
            )
        except (OSError, ssl.SSLError) as why:
            raise Problem(
                f"{listener.host}:{listener.port}: {why}",
                "a free place and a certificate that can be used",
                "Correct host, port, certificate_file in [mail.incoming]",
            ) from why

    async def stop(self) -> None:
        """Take no new connections. What was not answered 250 is sent again by the server at the other end."""
        if self._server is not None:
            self._server.close()

    def _protocol(self, context: ssl.SSLContext | None) -> asyncio.Protocol:
        if self._open >= self._listener.connections:
            return _Busy()
        kind = _CountedLMTP if self._listener.protocol == "lmtp" else _CountedSMTP
        self._open += 1
        return kind(self._closed, self, self._listener, context)

    def _closed(self) -> None:
        self._open -= 1

    # ── What aiosmtpd asks ──

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str | None, options: list[str]
    ) -> str:
        sender = (address or NOBODY).lower()
        if sender != NOBODY and sender not in self._senders:
            return Turned(
                "550 5.7.1",
                f"Địa chỉ {one_line(sender, 100)} không được phép gửi qua trục liên thông.",
                f"{one_line(sender, 100)} may not send to the exchange.",
            ).reply
        envelope.mail_from = sender
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.lower() not in self._listener.addresses:
            return "550 5.1.1 Khong co hop thu nay / No such mailbox here"
        if envelope.rcpt_tos:
            return "452 4.5.3 Moi thu mot noi nhan / One recipient for each mail"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        try:
            async with self._judging:
                if envelope.mail_from in (None, NOBODY):
                    return await self._from_nobody(content)
                return await self._from_office(content, str(envelope.mail_from))
        except Turned as why:
            log.warning(
                "a mail from %s was turned away: %s %s", envelope.mail_from, why.code, one_line(why.logged, 300)
            )
            return why.reply
        except Exception:
            log.exception("a mail from %s could not be dealt with", envelope.mail_from)
            return "451 4.3.0 Loi he thong, hay gui lai sau / An error on our side, try again later"

    async def _from_office(self, content: bytes, sender: str) -> str:
        office = self._senders[sender]
        came = await asyncio.to_thread(read_mail, content)
        if came.from_ not in office.senders:
            raise Turned(
                "550 5.7.1",
                f"Trường From ({came.from_}) không phải địa chỉ được phép của {office.code}.",
                f"From ({came.from_}) is no address that may send for {office.code}.",
            )
        domains = office.dkim_domains or {came.from_.partition("@")[2]}
        addressed = [name for name, addresses in came.to.items() if not addresses.isdisjoint(self._listener.addresses)]
        await asyncio.to_thread(
            dkim_check.check, content, fields=came.fields, domains=domains, addressed=addressed, keys=self._keys
        )
        if not addressed:  # the envelope is anybody's: whoever else got this mail could send it on to us
            ours = ", ".join(sorted(self._listener.addresses))
            raise Turned(
                "550 5.7.1",
                f"Trường To (hoặc Cc) của thư phải ghi {ours}.",
                f"To or Cc must name {ours}: a mail to somebody else is not sent on.",
            )
        if came.automatic is not None:
            log.info("a mail from %s is ignored: %s", sender, came.automatic)
            return "250 2.0.0 Thu tu dong, bo qua / An automatic mail, ignored"
        if not came.attached:
            raise Turned(
                "550 5.6.0",
                "Thư không có tệp .edxml đính kèm nào; văn bản phải gửi bằng tệp .edxml.",
                "No .edxml file is attached; documents are sent as .edxml files.",
            )
        taken = await take(self._agency, office, sender, came.attached)
        for one in taken:
            log.info("by mail from %s: %s%s", office.code, one.id, ", again" * one.before)
        return f"250 2.0.0 Da nhan / taken: {' '.join(one.id for one in taken)}"[:500]

    async def _from_nobody(self, content: bytes) -> str:
        """The null sender: a bounce of ours, or nothing that anybody may answer."""
        check_bounds(content)
        bounce = read_bounce(await asyncio.to_thread(parse, content))
        if bounce is None:
            log.info("a mail without a sender is ignored")
        elif not bounce.failed:
            log.warning("about our mail %s: %s", bounce.message_id, bounce.why)
        else:
            told = await self._agency.store.run(
                lambda connection: queue.bounced(connection, bounce.message_id, bounce.why)
            )
            if told is not None:
                advice = "`lienthong-agency mail list`, then `mail retry` or `mail refuse`"
                log.error("mail %d for %s came back undelivered (%s): %s", *told, bounce.why, advice)
        return "250 2.0.0 OK"


class _CountedSMTP(SMTP):
    """Tells once that its connection has ended."""

    def __init__(
        self,
        closed: Callable[[], None],
        handler: MailListener,
        listener: Listener,
        context: ssl.SSLContext | None,
    ) -> None:
        self._when_closed: Callable[[], None] | None = closed
        super().__init__(
            handler,
            data_size_limit=listener.max_bytes,
            hostname=socket.gethostname(),
            ident=GREETING,
            tls_context=context,
            require_starttls=context is not None,
            timeout=listener.timeout_seconds,
            loop=asyncio.get_running_loop(),
        )

    def connection_lost(self, error: Exception | None) -> None:
        closed, self._when_closed = self._when_closed, None
        if closed is not None:
            closed()
        super().connection_lost(error)


class _CountedLMTP(_CountedSMTP, LMTP):
    """The same for LMTP. One recipient for each mail, so that one answer after DATA is the right number of them."""


class _Busy(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(b"421 4.7.0 Qua nhieu ket noi, thu lai sau / Too many connections, try again later\r\n")
        transport.close()


def _context(listener: Listener) -> ssl.SSLContext | None:
    if listener.certificate_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(listener.certificate_file, listener.key_file)
    return context
