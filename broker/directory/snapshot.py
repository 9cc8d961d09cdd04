"""The directory as one immutable value: every question that intake, dispatch and statuses ask of it is answered here
from dictionaries in memory.

Rules: contract §2.1 (who may speak), §2.2 (recipients), design "Directory". Pure: no I/O, no clock; the day on which
validity is judged is given (without one, only the state ``closed`` counts). A snapshot never changes; `updated` makes
a new one from changed rows, sharing what did not change.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import islice
from typing import TypeVar

from broker.directory.records import (
    Agency,
    AgencyId,
    AgencyState,
    Alias,
    Custody,
    Enrolled,
    Extent,
    Group,
    Level,
    Mandate,
    Succession,
)
from broker.directory.suggestions import folded_name, near_codes, written

__all__ = [
    "Agency",
    "AgencyId",
    "AgencyState",
    "Alias",
    "Custody",
    "Directory",
    "Enrolled",
    "Extent",
    "Group",
    "Level",
    "Mandate",
    "Succession",
]

#: Groups that exist in every directory, by the level of their members.
LEVEL_GROUPS: dict[str, Level] = {
    "group:ministries": "ministry",
    "group:provinces": "province",
    "group:communes": "commune",
}
#: Groups below one agency, written ``<name>/<CODE>``.
COMMUNES_OF = "group:communes"
CHILDREN_OF = "group:children"

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tables:
    """The indexes behind a snapshot. Agencies stand in one of them only; the others hold ids."""

    agencies: dict[AgencyId, Agency] = field(default_factory=dict)
    #: All that ever had the code: it is unique at a time, not for ever.
    by_code: dict[str, tuple[AgencyId, ...]] = field(default_factory=dict)
    children: dict[AgencyId | None, tuple[AgencyId, ...]] = field(default_factory=dict)
    aliases: dict[str, tuple[Alias, ...]] = field(default_factory=dict)
    #: By the agency that is served.
    mandates: dict[AgencyId, tuple[Mandate, ...]] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    #: By the agency that was closed.
    successions: dict[AgencyId, tuple[Succession, ...]] = field(default_factory=dict)
    certificates: dict[bytes, Enrolled] = field(default_factory=dict)


class Directory:
    """Who exists, under which codes, who serves whom, whose certificate is whose; at one revision, on one day."""

    __slots__ = ("_mailboxes", "_members", "_names", "_tables", "revision", "today")

    #: Revision of the newest row that is contained.
    revision: int
    #: The day on which validity is judged; None: only what is marked closed is closed.
    today: date | None

    def __init__(self, tables: _Tables, *, revision: int, today: date | None) -> None:
        self._tables = tables
        self.revision = revision
        self.today = today
        self._members: dict[str, tuple[Agency, ...]] = {}
        self._mailboxes: tuple[Agency, ...] | None = None
        self._names: dict[str, tuple[AgencyId, ...]] | None = None

    @classmethod
    def build(
        cls,
        agencies: Iterable[Agency] = (),
        aliases: Iterable[Alias] = (),
        mandates: Iterable[Mandate] = (),
        groups: Iterable[Group] = (),
        successions: Iterable[Succession] = (),
        certificates: Iterable[Enrolled] = (),
        *,
        revision: int = 0,
        today: date | None = None,
    ) -> Directory:
        """A directory of exactly these rows, in any order."""
        return cls(_Tables(), revision=revision, today=today).updated(
            agencies, aliases, mandates, groups, successions, certificates
        )

    def updated(
        self,
        agencies: Iterable[Agency] = (),
        aliases: Iterable[Alias] = (),
        mandates: Iterable[Mandate] = (),
        groups: Iterable[Group] = (),
        successions: Iterable[Succession] = (),
        certificates: Iterable[Enrolled] = (),
        *,
        revision: int | None = None,
        today: date | None = None,
    ) -> Directory:
        """A new directory in which these rows are added or take the place of their earlier version.

        Work is in proportion to what changed, apart from copying dictionaries. Without ``revision`` or ``today``
        those stay as they are.
        """
        old, changed = self._tables, list({agency.id: agency for agency in agencies}.values())
        tables = _Tables(
            agencies={**old.agencies, **{agency.id: agency for agency in changed}} if changed else old.agencies,
            by_code=_moved(old.by_code, old.agencies, changed, lambda agency: agency.code),
            children=_moved(old.children, old.agencies, changed, lambda agency: agency.parent_id),
            aliases=_merged(old.aliases, aliases, lambda row: written(row.alias), lambda row: row.agency_id),
            mandates=_merged(old.mandates, mandates, lambda row: row.agency_id, lambda row: row.hub_id),
            groups={**old.groups, **{written(group.name): group for group in groups}},
            successions=_merged(old.successions, successions, lambda row: row.old_id, lambda row: row.new_id),
            certificates={**old.certificates, **{row.thumbprint: row for row in certificates}},
        )
        new = Directory(
            tables,
            revision=self.revision if revision is None else revision,
            today=self.today if today is None else today,
        )
        if self._names is not None:
            new._names = _moved(self._names, old.agencies, changed, lambda agency: folded_name(agency.name))
        return new

    # ── Agencies ─────────────────────────────────────────────────────────────────────────────────
    def agency(self, code: str) -> Agency | None:
        """The open agency with exactly this canonical code. Suspended ones are open: look at their state."""
        for agency_id in self._tables.by_code.get(code, ()):
            agency = self._tables.agencies[agency_id]
            if agency.open_on(self.today):
                return agency
        return None

    def by_id(self, agency_id: AgencyId) -> Agency:
        """The agency with this id, open or closed. Raises KeyError for an id that no row has."""
        return self._tables.agencies[agency_id]

    def find(self, text: str) -> Agency | None:
        """The open agency that ``text`` names: by canonical code, else by an alias that names just one."""
        found = self.agency(text)
        if found is not None:
            return found
        key = written(text)
        found = self.agency(key)
        if found is not None:
            return found
        named = self._aliased(key)
        return named[0] if len(named) == 1 else None

    def closed(self, text: str) -> Agency | None:
        """The closed agency that ``text`` named, by code or alias; of several the one closed last."""
        key = written(text)
        ids = {*self._tables.by_code.get(key, ()), *(row.agency_id for row in self._tables.aliases.get(key, ()))}
        candidates = [agency for agency_id in ids if self._ended(agency := self._tables.agencies[agency_id])]
        return max(candidates, key=lambda agency: (agency.valid_until or date.min, agency.id), default=None)

    def agencies(self) -> Iterable[Agency]:
        """Every agency, open and closed, in no particular order."""
        return self._tables.agencies.values()

    def mailboxes(self) -> tuple[Agency, ...]:
        """The open agencies with a mailbox of their own, by code: exactly the queues that must exist."""
        if self._mailboxes is None:
            owners = (agency for agency in self.agencies() if agency.has_mailbox and agency.open_on(self.today))
            self._mailboxes = tuple(sorted(owners, key=lambda agency: agency.code))
        return self._mailboxes

    def successors(self, agency_id: AgencyId) -> tuple[Agency, ...]:
        """The open agencies that took over from this one, through any number of reforms, main parts first.

        Empty if there are none, or if every chain ends in a closed agency. Cycles in the data end the chain.
        """
        found: dict[AgencyId, Agency] = {}
        seen = {agency_id}
        waiting = [agency_id]
        while waiting:
            for new_id in self._direct_successors(waiting.pop(0)):
                if new_id in seen:
                    continue
                seen.add(new_id)
                agency = self._tables.agencies.get(new_id)
                if agency is None:
                    continue
                if agency.open_on(self.today):
                    found[new_id] = agency
                else:
                    waiting.append(new_id)
        return tuple(found.values())

    # ── Groups ───────────────────────────────────────────────────────────────────────────────────
    def members(self, group: str) -> tuple[Agency, ...] | None:
        """The open agencies of a group, by code; None if there is no such group.

        ``group:ministries``, ``group:provinces``, ``group:communes``, ``group:communes/<CODE>`` (at any depth below),
        ``group:children/<CODE>`` (directly below), or one that an operator has defined. Suspended members are
        contained: whether that refuses a document is for intake to say. A group may be empty.
        """
        name, _, code = group.strip().partition("/")
        name = name.lower()
        key = f"{name}/{written(code)}" if code else name
        if key not in self._members:
            found = self._gathered(name, code)
            if found is None:
                return None
            self._members[key] = tuple(sorted(found, key=lambda agency: (agency.code, agency.id)))
        return self._members[key]

    # ── Hubs and mandates ────────────────────────────────────────────────────────────────────────
    def owner_of(self, agency_id: AgencyId) -> Agency | None:
        """Whose mailbox an agency's documents go to: its own, else that of the hub that may receive for it.

        None if neither exists. Of several such hubs the one mandated last. Raises KeyError for an unknown id.
        """
        agency = self._tables.agencies[agency_id]
        if agency.has_mailbox:
            return agency
        hubs = [
            (row.valid_from, row.hub_id, hub)
            for row in self._tables.mandates.get(agency_id, ())
            if row.may_receive
            and row.holds_on(self.today)
            and (hub := self._tables.agencies.get(row.hub_id)) is not None
            and hub.has_mailbox
            and hub.open_on(self.today)
        ]
        return max(hubs, key=lambda hub: hub[:2])[2] if hubs else None

    def may_sign_for(self, hub_id: AgencyId, agency_id: AgencyId) -> bool:
        """Whether the hub holds the mandate to sign for that agency today. Nobody needs one for himself."""
        return any(row.may_sign for row in self._mandates_between(hub_id, agency_id))

    def may_receive_for(self, hub_id: AgencyId, agency_id: AgencyId) -> bool:
        """Whether the hub holds the mandate to receive for that agency today."""
        return any(row.may_receive for row in self._mandates_between(hub_id, agency_id))

    # ── Certificates, suggestions ────────────────────────────────────────────────────────────────
    def certificate(self, thumbprint: bytes) -> Enrolled | None:
        """The enrolled certificate with this SHA-256, whatever has become of it: expired and revoked ones too."""
        return self._tables.certificates.get(thumbprint)

    def certificates(self) -> Iterable[Enrolled]:
        """Every enrolled certificate, in no particular order."""
        return self._tables.certificates.values()

    def suggestions(self, text: str, limit: int = 3) -> tuple[str, ...]:
        """Canonical codes of at most ``limit`` open agencies that ``text`` may have been meant for, best first.

        Takes about a millisecond: ask for a bounded number of texts per message. The first text that looks like a
        name costs an index of all names.
        """
        return tuple(islice(dict.fromkeys(self._meant(text)), limit))

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────
    def _ended(self, agency: Agency) -> bool:
        over = self.today is not None and agency.valid_until is not None and agency.valid_until <= self.today
        return agency.state == "closed" or over

    def _aliased(self, key: str) -> list[Agency]:
        rows = (row for row in self._tables.aliases.get(key, ()) if row.holds_on(self.today))
        named = (self._tables.agencies[row.agency_id] for row in rows)
        return [agency for agency in named if agency.open_on(self.today)]

    def _direct_successors(self, agency_id: AgencyId) -> list[AgencyId]:
        rows = self._tables.successions.get(agency_id, ())
        begun = [row for row in rows if self.today is None or row.on_date <= self.today]
        return [row.new_id for row in sorted(begun, key=lambda row: (row.extent == "part", row.new_id))]

    def _mandates_between(self, hub_id: AgencyId, agency_id: AgencyId) -> Iterator[Mandate]:
        hub = self._tables.agencies.get(hub_id)
        if hub is None or not hub.open_on(self.today):
            return iter(())
        rows = self._tables.mandates.get(agency_id, ())
        return (row for row in rows if row.hub_id == hub_id and row.holds_on(self.today))

    def _gathered(self, name: str, code: str) -> Iterable[Agency] | None:
        if code:
            top = self.find(code)
            if top is None or name not in (COMMUNES_OF, CHILDREN_OF):
                return None
            if name == CHILDREN_OF:
                return self._open(self._tables.children.get(top.id, ()))
            return (agency for agency in self._open(self._below(top.id)) if agency.level == "commune")
        if name in LEVEL_GROUPS:
            level = LEVEL_GROUPS[name]
            return (agency for agency in self._open(self._tables.agencies) if agency.level == level)
        group = self._tables.groups.get(written(name))
        return self._open(group.member_ids) if group and group.member_ids else None

    def _open(self, ids: Iterable[AgencyId]) -> Iterator[Agency]:
        agencies = (self._tables.agencies.get(agency_id) for agency_id in ids)
        return (agency for agency in agencies if agency is not None and agency.open_on(self.today))

    def _below(self, top: AgencyId) -> set[AgencyId]:
        found: set[AgencyId] = set()
        waiting = [top]
        while waiting:
            fresh = [child for child in self._tables.children.get(waiting.pop(), ()) if child not in found]
            found.update(fresh)
            waiting += fresh
        return found - {top}

    def _meant(self, text: str) -> Iterator[str]:
        key = written(text)
        yield from (agency.code for agency in self._aliased(key))
        if " " in key or not key.isascii():
            yield from sorted(agency.code for agency in self._open(self._named().get(folded_name(text), ())))
        for known in near_codes(text, _Either(self._tables.by_code, self._tables.aliases)):
            found = self.find(known)
            if found is not None:
                yield found.code

    def _named(self) -> dict[str, tuple[AgencyId, ...]]:
        if self._names is None:
            self._names = _moved({}, {}, list(self.agencies()), lambda agency: folded_name(agency.name))
        return self._names


class _Either:
    """Membership in either of two dictionaries, without joining them."""

    __slots__ = ("_first", "_second")

    def __init__(self, first: dict[str, tuple[AgencyId, ...]], second: dict[str, tuple[Alias, ...]]) -> None:
        self._first, self._second = first, second

    def __contains__(self, key: object) -> bool:
        return key in self._first or key in self._second


def _merged(
    index: dict[K, tuple[V, ...]], changed: Iterable[V], key_of: Callable[[V], K], owner: Callable[[V], AgencyId]
) -> dict[K, tuple[V, ...]]:
    """``index`` with each changed row in the place of the one of the same key and owner, or added."""
    fresh: dict[K, list[V]] = {}
    for row in changed:
        fresh.setdefault(key_of(row), []).append(row)
    if not fresh:
        return index
    new = dict(index)
    for key, rows in fresh.items():
        earlier = index.get(key, ())
        new[key] = tuple({owner(row): row for row in (*earlier, *rows)}.values()) if earlier or rows[1:] else (rows[0],)
    return new


def _moved(
    index: dict[K, tuple[AgencyId, ...]],
    before: dict[AgencyId, Agency],
    changed: list[Agency],
    key_of: Callable[[Agency], K],
) -> dict[K, tuple[AgencyId, ...]]:
    """``index`` of ids by a property of their agency, after ``changed`` came or changed."""
    left: dict[K, set[AgencyId]] = {}
    came: dict[K, dict[AgencyId, None]] = {}
    for agency in changed:
        key, earlier = key_of(agency), before.get(agency.id)
        if earlier is not None:
            former = key_of(earlier)
            if former == key:
                continue
            left.setdefault(former, set()).add(agency.id)
        came.setdefault(key, {})[agency.id] = None
    if not came:
        return index
    new = dict(index)
    for key, gone in left.items():
        new[key] = tuple(agency_id for agency_id in new.get(key, ()) if agency_id not in gone)
    for key, ids in came.items():
        new[key] = (*new.get(key, ()), *ids)
    return new
