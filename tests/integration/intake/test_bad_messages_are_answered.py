"""Whatever is wrong with a message, its submitter hears which rule it broke, and nothing behind it has to wait."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from broker.directory.changes import revoke_certificate, suspend
from schemas.certificates import new_private_key
from schemas.jws import sign
from schemas.times import rfc3339
from tests.kit.exchange import AUTHOR, End, Exchange, digest_of, part


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A message that must be refused, and how."""

    code: str
    body: bytes
    field: str | None = None
    by: str = "sender"
    submit: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Ends:
    sender: End
    other: End
    hub: End
    commune: End
    suspended: End
    revoked: End
    expired: End


Case = Callable[[Exchange, Ends], Bad]


def _changed(x: Exchange, e: Ends, code: str, at: str | None, **fields: Any) -> Bad:
    return Bad(code=code, field=at, body=x.letter(e.sender, [e.other], **fields).body)


def _outer(x: Exchange, e: Ends, change: Callable[[dict[str, Any]], None]) -> bytes:
    outer = json.loads(x.letter(e.sender, [e.other]).body)
    change(outer)
    return json.dumps(outer).encode()


def _protected(**members: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()


def _other_signature(x: Exchange, e: Ends) -> bytes:
    one, two = (json.loads(x.letter(e.sender, [e.other]).body) for _ in range(2))
    return json.dumps(one | {"signature": two["signature"]}).encode()


def _by_stranger(x: Exchange, e: Ends) -> bytes:
    payload = json.dumps(x.manifest(e.sender, [e.other])).encode()
    return sign(payload, key=new_private_key("P-256"), thumbprint=bytes(32)).stored()


def _part_of(x: Exchange, e: Ends, code: str, at: str, **wrong: Any) -> Bad:
    data = b"%PDF-1.7 the bytes"
    named = part("a.pdf", data) | wrong
    manifest = x.manifest(e.sender, [e.other], parts={}) | {"parts": [named]}
    return Bad(code=code, field=at, body=x.body(manifest, e.sender, content=[data]))


def _other_bytes(x: Exchange, e: Ends) -> Bad:
    data = b"%PDF-1.7 the bytes"
    named = part("a.pdf", data)
    outer = json.loads(x.body(x.manifest(e.sender, [e.other], parts={}) | {"parts": [named]}, e.sender, content=[data]))
    outer["content"][named["sha256"]] = base64.b64encode(b"%PDF-1.7 The bytes").decode()
    return Bad(code="LT-PART-DIGEST", field="parts.0.sha256", body=json.dumps(outer).encode())


CASES: dict[str, Case] = {
    "not JSON": lambda x, e: Bad(code="LT-SHAPE", body=b"<xml/>"),
    "a member twice": lambda x, e: Bad(
        code="LT-SHAPE", body=x.letter(e.sender, [e.other]).body[:-1] + b',"payload":"e30"}'
    ),
    "a slip": lambda x, e: Bad(code="LT-SHAPE", field="slip", body=_outer(x, e, lambda o: o.update(slip="a.b.c"))),
    "an unprotected header": lambda x, e: Bad(code="LT-SHAPE", body=_outer(x, e, lambda o: o.update(header={}))),
    "no algorithm": lambda x, e: Bad(
        code="LT-ALGORITHM",
        body=_outer(x, e, lambda o: o.update(protected=_protected(alg="none", typ="lienthong+jws"))),
    ),
    "too large": lambda x, e: Bad(code="LT-SIZE", body=b'{"a":"' + b"a" * 513 * 1024 + b'"}'),
    "another version": lambda x, e: _changed(x, e, "LT-VERSION", "spec", spec="lienthong/2"),
    "an unknown demand": lambda x, e: _changed(
        x, e, "LT-MUST-UNDERSTAND", "must_understand.0", must_understand=["teleport"]
    ),
    "no recipients named": lambda x, e: Bad(code="LT-SCHEMA", field="to", body=x.letter(e.sender, []).body),
    "a naive time": lambda x, e: _changed(x, e, "LT-SCHEMA", "sent_at", sent_at="2026-03-12T08:30:00"),
    "a recall without a reason": lambda x, e: _changed(
        x,
        e,
        "LT-REASON-MISSING",
        None,
        action="recall",
        concerns=[{"from": e.sender.code, "number": "1", "notation": "A", "issued_on": "2026-01-01"}],
    ),
    "the key of somebody else": lambda x, e: Bad(
        code="LT-SIGNER-NOT-ALLOWED",
        field="protected.x5t#S256",
        body=x.letter(e.sender, [e.other], by=e.other).body,
    ),
    "in the name of somebody else": lambda x, e: Bad(
        code="LT-USER", field="from", body=x.letter(e.other, [e.hub], by=e.other).body
    ),
    "in the name of nobody": lambda x, e: Bad(
        code="LT-USER", field="from", body=x.letter(e.sender, [e.other], from_code="X99").body
    ),
    "by a hub for an agency that it does not serve": lambda x, e: Bad(
        code="LT-USER", field="from", by="hub", body=x.letter(e.sender, [e.other], by=e.hub).body
    ),
    "by a suspended agency": lambda x, e: Bad(
        code="LT-USER", field="user_id", by="suspended", body=x.letter(e.suspended, [e.other]).body
    ),
    "urgent in the normal lane": lambda x, e: _changed(
        x, e, "LT-ROUTING-KEY", "document.priority", document={"priority": 3}
    ),
    "normal in the urgent lane": lambda x, e: Bad(
        code="LT-ROUTING-KEY",
        field="document.priority",
        body=x.letter(e.sender, [e.other]).body,
        submit={"urgent": True},
    ),
    "another kind than its key": lambda x, e: Bad(
        code="LT-ROUTING-KEY", field="type", body=x.letter(e.sender, [e.other]).body, submit={"type": "status"}
    ),
    "copies asked for": lambda x, e: Bad(
        code="LT-ROUTING-KEY",
        field="headers.CC",
        body=x.letter(e.sender, [e.other]).body,
        submit={"headers": {"CC": ["nowhere"]}},
    ),
    "an unknown certificate": lambda x, e: Bad(code="LT-SIGNER-UNKNOWN", body=_by_stranger(x, e)),
    "a signature over other bytes": lambda x, e: Bad(
        code="LT-SIGNATURE", field="signature", body=_other_signature(x, e)
    ),
    "a revoked certificate": lambda x, e: Bad(
        code="LT-SIGNER-REVOKED", by="revoked", body=x.letter(e.revoked, [e.other]).body
    ),
    "a certificate that was not valid then": lambda x, e: Bad(
        code="LT-SIGNER-EXPIRED",
        by="expired",
        body=x.letter(e.expired, [e.other], sent_at=rfc3339(datetime.now(UTC) - timedelta(days=2))).body,
    ),
    "sent tomorrow": lambda x, e: _changed(
        x, e, "LT-TIME", "sent_at", sent_at=rfc3339(datetime.now(UTC) + timedelta(days=1))
    ),
    "a part that nobody stored": lambda x, e: Bad(
        code="LT-PART-MISSING", field="parts.0.sha256", body=x.body(x.manifest(e.sender, [e.other]), e.sender)
    ),
    "a part of another size": lambda x, e: _part_of(x, e, "LT-PART-DIGEST", "parts.0.size", size=17),
    "a part of other bytes": _other_bytes,
    "an unknown recipient": lambda x, e: Bad(
        code="LT-RECIPIENT-UNKNOWN", field="to.1", body=x.letter(e.sender, [e.other, "X77"]).body
    ),
    "a suspended recipient": lambda x, e: Bad(
        code="LT-RECIPIENT-SUSPENDED", field="to.0", body=x.letter(e.sender, [e.suspended]).body
    ),
    "only to itself": lambda x, e: Bad(code="LT-RECIPIENT-NONE", field="to", body=x.letter(e.sender, [e.sender]).body),
}


async def _ends(x: Exchange) -> Ends:
    hub = await x.add("W00", "hub")
    ends = Ends(
        sender=await x.add("G01"),
        other=await x.add("H53", "province"),
        hub=hub,
        commune=await x.add("H53.31.20", "commune", has_mailbox=False, hub=hub),
        suspended=await x.add("G02"),
        revoked=await x.add("G03"),
        expired=await x.add("G04"),
    )
    async with x.pool.acquire() as connection:
        await suspend(connection, ends.suspended.code, author=AUTHOR)
        await revoke_certificate(connection, ends.revoked.thumbprint, why="lost", author=AUTHOR)
    await x.refresh()
    return ends


async def test_each_kind_of_bad_message_gets_its_own_code_and_holds_up_nobody(exchange: Exchange) -> None:
    ends = await _ends(exchange)
    submitters = ("sender", "hub", "suspended", "revoked", "expired")
    boxes = {name: await exchange.mailbox(getattr(ends, name)) for name in submitters}
    sent: dict[str, tuple[Bad, str]] = {}
    for name, case in CASES.items():
        bad = case(exchange, ends)
        sent[name] = bad, await exchange.submit(bad.body, getattr(ends, bad.by), **bad.submit)
    good = exchange.letter(ends.sender, [ends.other])
    await exchange.send(good, ends.sender)
    await exchange.document_at(ends.other, good)

    answers: dict[str, object] = {}
    for name, (bad, message_id) in sent.items():
        digest = _digest(bad.body)

        def answered(box: Any = boxes[bad.by], digest: str | None = digest, message_id: str = message_id) -> Any:
            for item in box.items("rejected"):
                about = item.concerns
                if getattr(about, "message_id", "") == message_id or (
                    digest and getattr(about, "digest", "") == digest
                ):
                    return item
            return None

        item = await boxes[bad.by].until(answered, f"an answer to {name!r}")
        expected = (bad.code, bad.field if bad.field is not None else item.detail["field"])
        if (item.error, item.detail["field"]) != expected:
            answers[name] = (item.error, item.detail["field"], expected)
        assert item.detail["en"] and item.detail["vi"]
    assert answers == {}
    assert await exchange.value("SELECT count(*) FROM rejection") == len(CASES)
    assert await exchange.value("SELECT count(*) FROM event WHERE kind = 'rejected'") == len(CASES)
    assert await exchange.value("SELECT count(*) FROM document") == 1
    assert await exchange.depth("lt.dead") == 0


def _digest(body: bytes) -> str | None:
    try:
        return digest_of(body)
    except Exception:
        return None
