"""Documents' stories, kept a while: a telegram to thousands is read once, not for every page and every look.

A story is kept under the document's pulse, a handful of counts and times that change with everything that can happen to
it: what is shown is never older than the question. May not know who is asking; what a visitor may see of a story is
decided for each visit.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

from broker.audit.read import story_of
from broker.audit.record import Story
from broker.audit.timeline import Moment, timeline
from broker.store.pool import Connection
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.gateway.pages", "pages.sql")
KEPT_DELIVERIES: Final = 30_000
"""Stories are kept as long as they have no more deliveries than this altogether."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A story and the moments that follow from it."""

    story: Story
    moments: tuple[Moment, ...]


@dataclass(kw_only=True)
class Stories:
    """The stories that were asked for last."""

    kept: OrderedDict[int, tuple[tuple[Any, ...], Told]] = field(default_factory=OrderedDict)
    deliveries: int = 0

    async def of(self, connection: Connection, document_id: int, sender: str, identifier: str) -> Told:
        """The whole story of a document, as it is at this moment."""
        row = await connection.fetchrow(SQL["whole_pulse"], document_id)
        pulse = tuple(row) if row is not None else ()
        known = self.kept.get(document_id)
        if known is not None and known[0] == pulse:
            self.kept.move_to_end(document_id)
            return known[1]
        story = await story_of(connection, identifier, sender=sender)
        told = Told(story=story, moments=tuple(timeline(story)))
        self._keep(document_id, pulse, told)
        return told

    def _keep(self, document_id: int, pulse: tuple[Any, ...], told: Told) -> None:
        self._forget(document_id)
        self.kept[document_id] = pulse, told
        self.deliveries += len(told.story.deliveries)
        while self.deliveries > KEPT_DELIVERIES and len(self.kept) > 1:
            self._forget(next(iter(self.kept)))

    def _forget(self, document_id: int) -> None:
        gone = self.kept.pop(document_id, None)
        if gone is not None:
            self.deliveries -= len(gone[1].story.deliveries)
