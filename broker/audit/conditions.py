"""A question as conditions over a document's terms, for the view of who asks. Pure.

Each condition narrows down what the ones before it left. What a subtree's auditor may not see cannot fit: deliveries to
agencies outside count only where the sender belongs to the subtree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from broker.audit.terms import all_of, any_of, in_words, may_go_on, one_of, state_condition

READING: Final = 30
"""To read a document and check a condition on its terms takes as long as going through so many entries of the index."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the asking person sees: everything (`root` None), or the agencies `inside`, of which `root` is the top."""

    root: int | None = None
    inside: frozenset[int] = field(default_factory=frozenset)

    def documents(self) -> list[str]:
        """The condition that keeps documents to the view; none for everything."""
        return [] if self.root is None else [any_of("sSrR", [self.root])]

    def sent(self, senders: Iterable[int]) -> str:
        """Documents sent by one of these agencies."""
        return any_of("s", senders)

    def delivered(self, recipients: Sequence[int], *, state: str | None = None) -> str:
        """Documents with a delivery to one of these agencies, in `state` if that is given."""
        anywhere = any_of("r", recipients, state=state)
        if self.root is None:
            return anywhere
        within = [one for one in recipients if one in self.inside]
        if len(within) == len(recipients):
            return anywhere
        return self._seen(any_of("r", within, state=state) if within else None, anywhere)

    def in_state(self, state: str) -> str:
        """Documents with some delivery in `state`."""
        anywhere = state_condition(state)
        return anywhere if self.root is None else self._seen(any_of("rR", [self.root], state=state), anywhere)

    def delivered_under(self, top: int, below: frozenset[int], *, state: str | None = None) -> str:
        """Documents with a delivery to `top` or an agency below it; `below` is all of them."""
        anywhere = any_of("rR", [top], state=state)
        if self.root is None or top in self.inside:
            return anywhere
        return self._seen(any_of("rR", [self.root], state=state) if self.root in below else None, anywhere)

    def under(self, top: int, below: frozenset[int], *, state: str | None = None) -> str:
        """Documents that `top` or an agency below it sent or was to receive.

        With `state`, those with such a delivery in that state; of a document sent from there, any delivery.
        """
        sent = any_of("sS", [top])
        if state is not None:
            sent = all_of([sent, self.in_state(state)])
        return one_of([f"({sent})", self.delivered_under(top, below, state=state)])

    def _seen(self, within: str | None, anywhere: str) -> str:
        """`within` is about deliveries inside the view, `anywhere` about all: these only where the sender is inside."""
        assert self.root is not None
        own = f"({any_of('sS', [self.root])} & {anywhere})"
        return own if within is None else one_of([within, own])


def by_cost(conditions: Sequence[str], counts: Mapping[str, int]) -> tuple[str, str | None]:
    """The conditions to look up in the index, and those to be checked on what the others leave, if there are any.

    For the beginning of a word the index goes through every document with any word that begins so, however few the
    other conditions leave. `counts` says about how many documents have each word.
    """
    firm = [condition for condition in conditions if not may_go_on(condition)]
    rarest = min([counts[word] for condition in firm for word in in_words(condition)], default=None)
    if rarest is None:
        return all_of(conditions), None
    left = [c for c in conditions if may_go_on(c) and counts[in_words(c)[-1]] > rarest * READING]
    return all_of([c for c in conditions if c not in left]), all_of(left) or None
