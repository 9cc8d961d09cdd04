"""Delivery status notifications (RFC 3464): which of our mails did not get through, and why. Pure.

Our Message-IDs hold randomness that only the mail itself tells, so that nobody else can write a bounce about it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import EmailMessage, Message

from adapters.mail.facts import one_line

_OURS = re.compile(rb"<lienthong\.[0-9a-f]{32}@[A-Za-z0-9.-]{1,255}>")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounce:
    """A notification about one of our mails; `failed` is false for delays and successes."""

    message_id: str
    failed: bool
    why: str


def read_bounce(message: EmailMessage) -> Bounce | None:
    """The notification in a mail; None if it is none, or not about a mail of ours."""
    try:
        return _read(message)
    except Exception:  # malformed beyond what the standard parser bears: then it tells us nothing
        return None


def _read(message: EmailMessage) -> Bounce | None:
    if message.get_content_type() != "multipart/report":
        return None
    ids: list[bytes] = []
    actions: list[str] = []
    whys: list[str] = []
    for part in message.walk():
        kind = part.get_content_type()
        if kind == "message/delivery-status":
            for block in _blocks(part):
                if "Action" in block:
                    actions.append(str(block["Action"]).strip().lower())
                    whys += [str(block[name]) for name in ("Status", "Diagnostic-Code") if name in block]
        elif kind in ("text/rfc822-headers", "message/rfc822-headers"):
            payload = part.get_payload(decode=True)
            ids += _OURS.findall(payload if isinstance(payload, bytes) else b"")
        elif kind == "message/rfc822":
            ids += [found for one in _blocks(part) for found in _OURS.findall(str(one.get("Message-ID", "")).encode())]
    if not ids or not actions:
        return None
    return Bounce(
        message_id=ids[0].decode("ascii"),
        failed="failed" in actions,
        why=one_line("; ".join(dict.fromkeys(whys)) or "/".join(actions), 400),
    )


def _blocks(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [one for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []
