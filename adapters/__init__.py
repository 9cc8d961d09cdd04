"""What runs at an agency. Imports `schemas` only.

from adapters import Agency, Letter, Part, Refuse

async with Agency.open("agency.toml") as me:
    sent = await me.send(Letter(number="12", notation="VPCP-TH", subject="Công văn hỏa tốc",
        to=["group:provinces"], priority=3, parts=[Part.file("12-VPCP.pdf")]))     # confirmed by the exchange
    accepted = await sent.accepted(timeout=30)          # or Rejected: code, what was found, what was expected
    async for delivery in me.receive():                 # already stored durably, 01 on its way
        async with delivery as letter:                  # leaving the block: done; raising: handed over again later
            await register(letter, await letter.parts[0].read())     # raise Refuse("reason") answers 02
        await me.report(letter, "03")
"""

from adapters.agency import Agency
from adapters.delivery import Delivery
from adapters.letter import (
    Accepted,
    IncomingLetter,
    IncomingPart,
    Letter,
    NaturalRef,
    Notice,
    Part,
    Ref,
    Refuse,
    Rejected,
    Status,
    TakeBack,
)
from adapters.sent import Sent

__all__ = [
    "Accepted",
    "Agency",
    "Delivery",
    "IncomingLetter",
    "IncomingPart",
    "Letter",
    "NaturalRef",
    "Notice",
    "Part",
    "Ref",
    "Refuse",
    "Rejected",
    "Sent",
    "Status",
    "TakeBack",
]
