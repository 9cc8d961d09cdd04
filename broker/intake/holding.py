"""Content that documents are about to name is kept from being removed until they are accepted (contract §6).

Between looking at content and the transaction that accepts, the keeper may have removed it. Here, inside that
transaction and before anything is written, it is held; what is gone by then is decided again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from broker.content.record import hold
from broker.content.store import ContentStore
from broker.intake.acceptance import Acceptance
from broker.intake.parts import StoreUnavailable
from broker.store.pool import Connection


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What of some acceptances can be written, and what has to be looked at again."""

    standing: tuple[Acceptance, ...]
    again: tuple[Acceptance, ...]


async def hold_content(connection: Connection, acceptances: Sequence[Acceptance], store: ContentStore) -> Held:
    """Hold what these acceptances name until the transaction ends. Raises StoreUnavailable."""
    recorded = [_recorded(acceptance) for acceptance in acceptances]
    adopted = [_adopted(acceptance) for acceptance in acceptances]
    try:
        gone = await hold(connection, store, recorded=frozenset().union(*recorded), adopted=frozenset().union(*adopted))
    except OSError as error:
        raise StoreUnavailable(f"the content store cannot be used: {error}") from error
    lacking = [not gone.isdisjoint(one | other) for one, other in zip(recorded, adopted, strict=True)]
    return Held(
        standing=tuple(one for one, lacks in zip(acceptances, lacking, strict=True) if not lacks),
        again=tuple(one for one, lacks in zip(acceptances, lacking, strict=True) if lacks),
    )


def _recorded(acceptance: Acceptance) -> frozenset[str]:
    """Parts that the record had already when they were looked at."""
    kept = {part.sha256 for part in acceptance.parts}
    return frozenset(part.sha256 for part in acceptance.manifest.parts if part.sha256 not in kept)


def _adopted(acceptance: Acceptance) -> frozenset[str]:
    """Parts that were taken over for this acceptance, and are not recorded yet."""
    return frozenset(part.sha256 for part in acceptance.parts if part.place is not None)
