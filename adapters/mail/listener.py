"""Where mails come in: SMTP or LMTP, for configured senders only. 250 is said when everything is durable, never before.

What is not taken is refused inside the session, with a reason that a clerk can read; no mail is ever written to a
sender whose address may be forged. Bounces of our own mails come in here too.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Mapping
from typing import cast

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session

from adapters import Agency
from adapters.mail import dkim_check, queue
from adapters.mail.bounces import read_bounce
from adapters.mail.facts import one_line
from adapters.mail.mime import advice, check_bounds, documents_beside, parse, read_mail
from adapters.mail.replies import Turned
from adapters.mail.settings import Listener, MailSettings, Office
from adapters.mail.taking import take
from adapters.mail.visitors import Visitors
from schemas.problem import Problem, said

log = logging.getLogger("lienthong.mail")

GREETING = "Lienthong"
# The null sender (RFC 5321 §4.5.5), as aiosmtpd has it.
NOBODY = "<>"
# Mails that are parsed and judged at the same time: each may be as large as max_mib.
AT_ONCE = 2
# A client who has not named an address that may send is sent away after so many seconds, …
STRANGER_SECONDS = 30.0
# … every client after so many, between two mails; a mail server that has more to say comes again.
SESSION_SECONDS = 1800.0
# Seconds between two looks at a client who is handing a mail over, …
LOOK_SECONDS = 60.0
# … and bytes of it that must come from one to the next.
LEAST_DATA = 16 * 1024
BUSY = b"421 4.7.0 Qua nhieu ket noi, thu lai sau / Too many connections, try again later\r\n"
# Commands of one kind in a session; mails in one, for servers that hand over many.
COMMANDS = {"MAIL": 1000, "RCPT": 1000, "DATA": 1000, "RSET": 1000, "*": 20}


class MailListener:
    """The listening end of one agency's mail adapter; also the handler that aiosmtpd calls."""

    def __init__(self, agency: Agency, settings: MailSettings, listener: Listener) -> None:
        self._agency = agency
        self._listener = listener
        self._senders: Mapping[str, Office] = {
            sender: office for office in settings.offices.values() for sender in office.senders
        }
        self._keys = dkim_check.keys_from(listener.dkim_keys, listener.dns_servers)
        self._visitors = Visitors(together=listener.connections, each=listener.connections_each)
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
                f"{listener.host}:{listener.port}: {said(why)}",
                "a free place and a certificate that can be used",
                "Correct host, port, certificate_file in [mail.incoming]",
            ) from why

    async def stop(self) -> None:
        """Take no new connections. What was not answered 250 is sent again by the server at the other end."""
        if self._server is not None:
            self._server.close()

    def _protocol(self, context: ssl.SSLContext | None) -> asyncio.Protocol:
        kind = _PatientLMTP if self._listener.protocol == "lmtp" else _PatientSMTP
        return kind(self, self._listener, self._visitors, context)

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
        if isinstance(server, _PatientSMTP):
            server.known |= sender != NOBODY
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
        if isinstance(server, _PatientSMTP):
            server.ours = True
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
            vi, en = advice(came.others)
            raise Turned(
                "550 5.6.0",
                f"Thư không có tệp .edxml đính kèm nào; văn bản phải gửi bằng tệp .edxml. {vi}",
                f"No .edxml file is attached; documents are sent as .edxml files. {en}",
            )
        if beside := ", ".join(documents_beside(came.others)):
            raise Turned(
                "550 5.6.0",
                f"{beside} không nằm trong tệp .edxml nên sẽ không được gửi: hãy đưa vào tệp .edxml, hoặc bỏ khỏi thư.",
                f"{beside} would not be sent: put it into the .edxml file, or leave it out.",
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


class _PatientSMTP(SMTP):
    """SMTP whose patience ends: with strangers, with mails that trickle, with sessions that go on and on."""

    # Somebody has named an address that may send.
    known = False
    # A mail is being judged: what takes long is our own doing.
    ours = False
    # What the count of visitors knows it as; None if it was one too many, or has left.
    _who: str | None = None
    # The connection itself; with STARTTLS, what lies below.
    _raw: asyncio.Transport | None = None
    _turned_away = False
    _clock: asyncio.TimerHandle | None = None
    _since = 0.0
    # A mail is coming; the bytes of it since the last look, and whether there was one.
    _handing = False
    _heard = 0
    _looked = False

    def __init__(
        self, handler: MailListener, listener: Listener, visitors: Visitors, context: ssl.SSLContext | None
    ) -> None:
        self._visitors = visitors
        super().__init__(
            handler,
            data_size_limit=listener.max_bytes,
            hostname=socket.gethostname(),
            ident=GREETING,
            tls_context=context,
            require_starttls=context is not None,
            timeout=listener.timeout_seconds,
            command_call_limit=COMMANDS,
            loop=asyncio.get_running_loop(),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A new connection, or the same one again with TLS under it."""
        if self._raw is None:
            self._raw = cast(asyncio.Transport, transport)
            self._who = self._visitors.enter(transport)
            if self._who is None:
                self._turned_away = True
                self._raw.write(BUSY)
                self._raw.close()
                return
            self._since = self.loop.time()
            self._clock = self.loop.call_later(STRANGER_SECONDS, self._look)
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Count what comes."""
        if not self._turned_away:
            self._heard += len(data)
            super().data_received(data)

    def eof_received(self) -> bool | None:
        """The client has no more to say."""
        return None if self._turned_away else super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        """Make room; heard twice where TLS was not agreed on."""
        self._leave()
        if not self._turned_away:
            super().connection_lost(error)

    async def smtp_DATA(self, arg: str) -> None:
        """A mail is handed over, then judged."""
        self._handing, self._heard, self._looked = True, 0, False
        try:
            await super().smtp_DATA(arg)
        finally:
            self._handing = self.ours = False

    def _look(self) -> None:
        idle = "a stranger" if not self.known else ""
        if self.loop.time() - self._since > SESSION_SECONDS:
            idle = "a session without end"
        why = idle if not self._handing else "a mail that trickles" * (self._looked and self._heard < LEAST_DATA)
        if why and not self.ours:
            log.info("a mail client is sent away: %s", why)
            assert self._raw is not None
            self._raw.abort()
            self._leave()  # a TLS that was never agreed on tells nobody of its end
            return
        self._heard, self._looked = 0, self._handing
        self._clock = self.loop.call_later(LOOK_SECONDS, self._look)

    def _leave(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
        who, self._who = self._who, None
        if who is not None:
            self._visitors.leave(who)


class _PatientLMTP(_PatientSMTP, LMTP):
    """The same for LMTP. One recipient for each mail, so that one answer after DATA is the right number of them."""


def _context(listener: Listener) -> ssl.SSLContext | None:
    if listener.certificate_file is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(listener.certificate_file, listener.key_file)
    return context
