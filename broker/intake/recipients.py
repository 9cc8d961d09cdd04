"""Who gets a document: from what the sender wrote in `to` to agencies and their mailboxes' owners (contract §2.2).

Groups and aliases are expanded, closed codes followed to their one successor, the sender itself dropped, and what is
left deduplicated by final agency. Pure: the directory is an argument, nothing is awaited, no clock is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from broker.directory.snapshot import Agency, AgencyId, Directory
from schemas.errors import Refusal

GROUP_PREFIX: Final = "group:"
SUSPENDED: Final = "suspended"
SUGGESTED_FOR: Final = 20
"""Unknown codes of one message that get suggestions: each costs about a millisecond, and `to` may hold 5,000."""


class Recipient(NamedTuple):
    """One agency that gets the document. A plain tuple, because a telegram makes more than three thousand of them."""

    agency: Agency
    owner: Agency
    """Whose mailbox it goes to: the agency itself, or the hub that may receive for it."""
    addressed_as: str
    """What the sender wrote: a code, an alias, a group, or a code that has closed."""
    rerouted: bool
    """True if a closed code was followed to its successor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unresolved:
    """Something in `to` that leads to nobody, with the refusal that says why."""

    addressed_as: str
    why: Refusal

    def as_dict(self) -> dict[str, object]:
        """For the `unresolved` of a notice: what was written, the error's code, and who was perhaps meant."""
        found: dict[str, object] = {"addressed_as": self.addressed_as, "error": self.why.code}
        if self.why.candidates:
            found["candidates"] = list(self.why.candidates)
        return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolution:
    """What `to` means today."""

    recipients: tuple[Recipient, ...]
    unresolved: tuple[Unresolved, ...]


def resolve(to: Sequence[str], *, sender: Agency, directory: Directory, partial: bool, field: str = "to") -> Resolution:
    """Resolve `to` in the order in which it was written; the first writing of an agency decides its `addressed_as`.

    Without `partial` the first entry that leads to nobody raises its Refusal (LT-RECIPIENT-UNKNOWN with suggestions,
    LT-RECIPIENT-CLOSED with the successors, LT-RECIPIENT-SUSPENDED). With `partial` such entries are `unresolved`,
    and only if nobody at all is left is the first of them raised. A member of a *group* that cannot be reached today
    never refuses the whole: the group is known, and one suspended commune must not stop a telegram to all; it is named
    in `unresolved`. LT-RECIPIENT-NONE is raised when nobody but the sender is left. `field` is where `to` stands.
    """
    found: dict[AgencyId, Recipient] = {}
    unresolved: list[Unresolved] = []
    for position, text in enumerate(to):
        place = f"{field}.{position}"
        suggest = directory if len(unresolved) < SUGGESTED_FOR else None
        if text.startswith(GROUP_PREFIX):
            members = directory.members(text)
            if members is not None:
                _add_group(members, text, place, sender, directory, found, unresolved)
                continue
        try:
            agency, rerouted = _single(text, place, directory, suggest)
            if agency.id == sender.id or agency.id in found:
                continue
            found[agency.id] = Recipient(agency, _mailbox(agency, place, directory), text, rerouted)
        except Refusal as refusal:
            if not partial:
                raise
            unresolved.append(Unresolved(addressed_as=text, why=refusal))
    return _resolution(found, unresolved, field, to)


def resolve_earlier(earlier: Iterable[AgencyId], *, sender: Agency, directory: Directory, field: str) -> Resolution:
    """Resolve the recipients of an earlier document, for a change that names none (contract §2.2).

    They were addressed by that document, so one that cannot be reached today is `unresolved` and refuses nothing.
    """
    found: dict[AgencyId, Recipient] = {}
    unresolved: list[Unresolved] = []
    for agency_id in earlier:
        former = directory.by_id(agency_id)
        bearer = directory.agency(former.code)
        is_open = bearer is not None and bearer.id == former.id
        try:
            agency = former if is_open else _one_successor(former, former.code, field, directory)
            if agency.id != sender.id and agency.id not in found:
                owner = _mailbox(agency, field, directory)
                found[agency.id] = Recipient(agency, owner, former.code, not is_open)
        except Refusal as refusal:
            unresolved.append(Unresolved(addressed_as=former.code, why=refusal))
    return _resolution(found, unresolved, field, ())


def _resolution(
    found: dict[AgencyId, Recipient], unresolved: list[Unresolved], field: str, to: Sequence[str]
) -> Resolution:
    if found:
        once = {entry.addressed_as: entry for entry in unresolved}
        return Resolution(recipients=tuple(found.values()), unresolved=tuple(once.values()))
    if unresolved:
        raise unresolved[0].why
    raise Refusal(
        code="LT-RECIPIENT-NONE", field=field, found=", ".join(to) or None, expected="an agency other than the sender"
    )


def _add_group(
    members: Sequence[Agency],
    text: str,
    field: str,
    sender: Agency,
    directory: Directory,
    found: dict[AgencyId, Recipient],
    unresolved: list[Unresolved],
) -> None:
    sender_id = sender.id
    for agency in members:
        if agency.id == sender_id or agency.id in found:
            continue
        if agency.has_mailbox and agency.state != SUSPENDED:  # the common case, without a call
            found[agency.id] = Recipient(agency, agency, text, False)
            continue
        try:
            found[agency.id] = Recipient(agency, _mailbox(agency, field, directory), text, False)
        except Refusal as refusal:
            unresolved.append(Unresolved(addressed_as=agency.code, why=refusal))


def _single(text: str, field: str, directory: Directory, suggest: Directory | None) -> tuple[Agency, bool]:
    """The agency that one code, alias or closed code leads to, and whether it was rerouted."""
    agency = directory.find(text)
    if agency is not None:
        return agency, False
    closed = directory.closed(text)
    if closed is not None:
        return _one_successor(closed, text, field, directory), True
    raise Refusal(
        code="LT-RECIPIENT-UNKNOWN",
        field=field,
        found=text,
        expected="the code or alias of an agency in the directory, or one of its groups",
        candidates=suggest.suggestions(text) if suggest is not None else (),
    )


def _one_successor(closed: Agency, text: str, field: str, directory: Directory) -> Agency:
    successors = directory.successors(closed.id)
    if len(successors) == 1:
        return successors[0]
    raise Refusal(
        code="LT-RECIPIENT-CLOSED",
        field=field,
        found=text,
        expected="one of its successors" if successors else "an agency that exists; no successor is recorded",
        candidates=tuple(agency.code for agency in successors),
    )


def _mailbox(agency: Agency, field: str, directory: Directory) -> Agency:
    if agency.state == SUSPENDED:
        raise Refusal(
            code="LT-RECIPIENT-SUSPENDED", field=field, found=f"{agency.code}, suspended", expected="an active agency"
        )
    owner = directory.owner_of(agency.id)
    if owner is None:
        raise Refusal(
            code="LT-RECIPIENT-UNKNOWN",
            field=field,
            found=f"{agency.code}, which has no mailbox and no hub that may receive for it",
            expected="an agency that is connected, itself or through a hub",
        )
    return owner
