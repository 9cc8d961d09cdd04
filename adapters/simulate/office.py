"""One simulated office: an `Agency` like any other, a clerk who answers, and a reporter of what happened.

It uses the public SDK only, so that what a demonstration shows is what a developer gets.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from adapters import Agency, Letter, Part, Refuse
from adapters.compose import Outgoing
from adapters.delivery import Delivery
from adapters.identity import Signer
from adapters.incoming import TakenIn
from adapters.letter import Ref
from adapters.simulate.plan import Answers, Submission, Variant
from schemas import base64url
from schemas.jws import Signed, encode_message, parse_message

Say = Callable[..., None]
REASONS = ("Gửi nhầm nơi nhận", "Thiếu phụ lục kèm theo", "Không thuộc thẩm quyền giải quyết")
# Documents marked as handed over in one transaction.
AHEAD = 200


def about(ref: Ref) -> dict[str, str]:
    """A document in a line of output."""
    return ref.as_dict()


class Office:
    """An open agency with its clerk."""

    def __init__(self, agency: Agency, answers: Answers, *, seed: int, say: Say) -> None:
        self.agency = agency
        self.code = agency.settings.code
        self._answers = answers
        self._seed = seed
        self._say = say

    # ── Clerk ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def work(self) -> None:
        """Answer what comes, until cancelled."""
        async with asyncio.TaskGroup() as desk:
            async for delivery in self.agency.receive(ahead=AHEAD):
                desk.create_task(self._answer(delivery))

    async def _answer(self, delivery: Delivery) -> None:
        ref, recipient = delivery.letter.ref, delivery.letter.recipient
        # The pace is the office's, so that a hub's answers go out together; the verdict is each recipient's own.
        pace = random.Random(f"{self._seed}:{ref.id}:{self.code}")  # noqa: S311 - variety, not a secret
        mind = random.Random(f"{self._seed}:{ref.id}:{recipient}")  # noqa: S311
        reason = mind.choice(REASONS) if mind.random() < self._answers.refuse else None
        async with delivery as letter:
            for part in letter.parts[:1]:
                await part.read()
            await asyncio.sleep(pace.uniform(*self._answers.clerk_seconds))
            if reason is not None:
                raise Refuse(reason)
        if reason is not None:
            self._say("answered", self.code, **about(ref), recipient=recipient, code="02", reason=reason)
            return
        for code, probability in (("03", 1.0), ("05", self._answers.processing), ("06", self._answers.completed)):
            if mind.random() >= probability:
                return
            if code != "03":
                await asyncio.sleep(pace.uniform(*self._answers.clerk_seconds))
            if await self.agency.report(letter, code):
                self._say("answered", self.code, **about(ref), recipient=recipient, code=code)

    # ── Sending ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def submit(self, planned: Submission, signers: Mapping[str, Signer]) -> None:
        """Send one document of the plan, with what is wrong about it."""
        if planned.id is not None:
            earlier = await self.agency.sent(planned.id)
            if earlier is not None:
                self._say("submitted", self.code, **about(earlier.document), variant=planned.variant, resumed=True)
                return
        if planned.pdf is not None:
            part = Part.file(planned.pdf)
        else:
            part = Part.data("van-ban.pdf", made_up(planned, self._seed), media_type="application/pdf")
        letter = Letter(
            number=planned.number,
            notation=planned.notation,
            subject=planned.subject,
            type=planned.type,
            to=planned.to,
            priority=planned.priority,
            parts=[part],
            id=planned.id,
        )
        signer = self._other_signer(planned, signers) if planned.variant is Variant.WRONG_SIGNER else None
        message = await self.agency.sign(letter, sender=planned.sender, signer=signer)
        if planned.variant is Variant.ALTERED:
            message = altered(message)
        self._say("submitted", self.code, **about(message.ref), to=list(planned.to), variant=planned.variant)
        sent = await self.agency.put(message)
        if planned.variant is Variant.TWICE:
            await sent.confirmed(timeout=None)
            await sent.resend()

    def _other_signer(self, planned: Submission, signers: Mapping[str, Signer]) -> Signer:
        if planned.signer is not None:
            return signers[planned.signer]
        others = [signer for code, signer in sorted(signers.items()) if code not in (planned.sender, planned.via)]
        return random.Random(f"{self._seed}:{planned.id}").choice(others)  # noqa: S311

    # ── Reporting ────────────────────────────────────────────────────────────────────────────────────────────────

    def taken_in(self, done: TakenIn) -> None:
        """Say what a transaction has stored."""
        for ref, recipient in done.stored:
            self._say("stored", self.code, **about(ref), recipient=recipient)
        for ref in done.again:
            self._say("again", self.code, **about(ref))
        for ref, agency, code in done.statuses:
            self._say("status", self.code, **about(ref), agency=agency, code=code)
        for item in done.answered:
            self._notice(item)
        if done.aside:
            self._say("error", self.code, text=f"{done.aside} messages kept aside")

    def _notice(self, item: Mapping[str, Any]) -> None:
        concerns = dict(item.get("concerns") or {})
        match item["event"]:
            case "accepted":
                count = (item.get("recipients") or {}).get("count")
                self._say("accepted", self.code, **concerns, count=count)
            case "rejected":
                detail = item.get("detail") or {}
                told = {name: detail.get(name) for name in ("field", "found", "expected")}
                self._say("rejected", self.code, **concerns, code=item.get("error"), **told)
            case event:
                self._say("notice", self.code, notice=event, concerns=concerns, code=item.get("error"))


def made_up(planned: Submission, seed: int) -> bytes:
    """Bytes of the wanted size, other ones for every document."""
    noise = random.Random(f"{seed}:{planned.sender}:{planned.id}:{planned.number}:{planned.at}")  # noqa: S311
    return b"%PDF-1.7\n" + noise.randbytes(max(planned.size - 9, 0))


def altered(message: Outgoing) -> Outgoing:
    """The same message with a subject that was never signed."""
    parsed = parse_message(message.body, slip_allowed=False)
    manifest = json.loads(parsed.signed.payload)
    manifest["document"]["subject"] += " (đã sửa)"
    payload = json.dumps(manifest, ensure_ascii=False, separators=(",", ":")).encode()
    forged = parse_message(
        encode_message(
            Signed(
                protected=parsed.signed.protected,
                payload_b64=base64url.encode(payload),
                signature=parsed.signed.signature,
                payload=payload,
                digest="",
                alg=parsed.signed.alg,
                thumbprint=parsed.signed.thumbprint,
            ),
            content=parsed.content,
        ),
        slip_allowed=False,
    )
    return Outgoing(
        kind=message.kind,
        speaker=message.speaker,
        id=message.id,
        digest=forged.signed.digest,
        urgent=message.urgent,
        body=encode_message(forged.signed, content=forged.content),
    )
