"""Which delivery tag may be acknowledged next, when batches finish in any order. Pure.

Delivery tags of a channel count up from 1. One acknowledgement with `multiple` covers every message up to its tag, so
it may be sent only up to the last message before the first that is still being worked on. The server looks for exactly
the tag that is named, so the tag must not be one that was given back (basic.nack) before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from broker.amqp.messages import DeliveryTag


class Stretch:
    """The delivery tags of one batch, in order, until they are settled."""

    __slots__ = ("done", "open")

    def __init__(self, tags: Iterable[DeliveryTag]) -> None:
        self.open: set[DeliveryTag] = set(tags)
        self.done = False


class Watermark:
    """The stretches handed out on one channel, in the order of their tags."""

    def __init__(self) -> None:
        self._stretches: deque[Stretch] = deque()

    def __len__(self) -> int:
        """Stretches that are not settled, or not acknowledged because an earlier one is not settled."""
        return len(self._stretches)

    def hand_out(self, tags: Iterable[DeliveryTag]) -> Stretch:
        """Note the next stretch; its tags must be higher than those of all stretches before."""
        stretch = Stretch(tags)
        self._stretches.append(stretch)
        return stretch

    def give_back(self, stretch: Stretch, tags: Iterable[DeliveryTag]) -> list[DeliveryTag]:
        """Take tags out that go back to the queue; returns those that were still open, in order."""
        returned = sorted(stretch.open.intersection(tags))
        stretch.open.difference_update(returned)
        return returned

    def settle(self, stretch: Stretch) -> DeliveryTag | None:
        """Mark a stretch as done. Returns the tag to acknowledge now with `multiple`, if any."""
        stretch.done = True
        highest: DeliveryTag | None = None
        while self._stretches and self._stretches[0].done:
            # Tags rise from stretch to stretch, so the last stretch with an open tag has the highest.
            highest = max(self._stretches.popleft().open, default=highest)
        return highest
