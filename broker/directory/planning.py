"""What an import would do: which rows are new, which differ, which must be rejected and why. Pure.

A row may name its superior, hub and successors by the code of an agency in the directory or of another row of the
same file, in any order; a row whose superior is rejected is rejected with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from broker.directory.csv_rows import AgencyRow, RejectedRow
from broker.directory.records import TIER_BY_LEVEL, Agency, AliasKind, Level
from broker.directory.snapshot import Directory


@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """What holds for rows that do not say otherwise."""

    level: Level | None = None
    #: Code of the hub of those that have no mailbox of their own.
    hub: str | None = None
    derived: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportPlan:
    """What an import does, ready to be written."""

    added: tuple[AgencyRow, ...]
    #: Rows that differ, with the agency as it is.
    updated: tuple[tuple[AgencyRow, Agency], ...]
    unchanged: int
    rejected: tuple[RejectedRow, ...]
    new_aliases: tuple[tuple[AgencyRow, str, AliasKind], ...]
    #: Rows with the code of their hub.
    new_mandates: tuple[tuple[AgencyRow, str], ...]
    #: Codes of agencies that ended by their date and are not marked as closed yet.
    ended_codes: frozenset[str]


@dataclass(slots=True)
class _Draft:
    """Rows that are still in, and those that fell out."""

    open_rows: dict[str, AgencyRow] = field(default_factory=dict)
    closed_rows: list[AgencyRow] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)

    def reject(self, row: AgencyRow, reason: str) -> None:
        self.rejected.append(RejectedRow(line=row.line, code=row.code, name=row.name, reason=reason))


def tier_of(row: AgencyRow, agency: Agency | None = None) -> int | None:
    """The tier that a row gives: the agency that it describes anew, or one that it adds."""
    if row.tier or row.level is None:
        return row.tier or (agency.tier if agency else None)
    return TIER_BY_LEVEL[row.level]


def plan_import(
    rows: Sequence[AgencyRow], directory: Directory, *, today: date, defaults: Defaults, update: bool
) -> ImportPlan:
    """Compare rows with the directory as it is on ``today``; ``update``: rows that differ change the agency."""
    draft = _Draft()
    for row in rows:
        _take(draft, _with_defaults(row, directory, defaults), today)
    _guess_parents(draft, directory)
    _reject_without_level(draft, directory)
    _reject_circles(draft)
    claimed = _reject_taken_aliases(draft, directory)
    _reject_unknown_superiors(draft, directory)  # last: whoever names a row that fell out falls out as well

    added: list[AgencyRow] = []
    updated: list[tuple[AgencyRow, Agency]] = []
    settled: list[AgencyRow] = []
    unchanged = 0
    for row in draft.open_rows.values():
        existing = directory.agency(row.code)
        if existing is None:
            added.append(row)
        else:
            differences = _differences(row, existing, directory)
            if differences and not update:
                draft.reject(row, f"in the directory already with {'; '.join(differences)}; --update would change it")
                continue
            if differences:
                updated.append((row, existing))
            else:
                unchanged += 1
        settled.append(row)
    gone = {
        (agency.code, agency.name, agency.valid_until)
        for agency in directory.agencies()
        if agency.valid_until is not None
    }
    for row in draft.closed_rows:
        if (row.code, row.name, row.valid_until) in gone:
            unchanged += 1
        elif row.level is None:
            draft.reject(row, "no level; expected a column level, or --level for the whole file")
        else:
            added.append(row)
    return ImportPlan(
        added=tuple(added),
        updated=tuple(updated),
        unchanged=unchanged,
        rejected=tuple(draft.rejected),
        new_aliases=tuple(
            (row, alias, kind)
            for row in settled
            for alias, kind in row.aliases
            if claimed.get(alias) == row.code and not _names(directory, alias, row.code)
        ),
        new_mandates=tuple((row, row.hub) for row in settled if row.hub and not _served(row, row.hub, directory)),
        ended_codes=frozenset(
            agency.code
            for agency in directory.agencies()
            if agency.state != "closed" and agency.valid_until is not None and agency.valid_until <= today
        ),
    )


def _with_defaults(row: AgencyRow, directory: Directory, defaults: Defaults) -> AgencyRow:
    existing = directory.agency(row.code)
    has_mailbox = existing.has_mailbox if row.has_mailbox is None and existing else bool(row.has_mailbox)
    return replace(
        row,
        level=row.level or (existing.level if existing else None) or defaults.level,
        hub=row.hub or (None if has_mailbox or row.code == defaults.hub else defaults.hub),
        derived=defaults.derived if row.derived is None else row.derived,
    )


def _take(draft: _Draft, row: AgencyRow, today: date) -> None:
    if row.over(today):
        draft.closed_rows.append(row)
    elif row.successors:
        draft.reject(row, "successors of an agency that is not closed; expected valid_until in the past")
    elif row.code in draft.open_rows:
        first = draft.open_rows[row.code]
        draft.reject(row, f"the code {row.code} stands on line {first.line} already, for “{first.name}”")
    else:
        draft.open_rows[row.code] = row


def _guess_parents(draft: _Draft, directory: Directory) -> None:
    """Rows of the older lists name the next shorter code as their superior: take the nearest one that exists."""
    for code, row in draft.open_rows.items():
        if row.parent is None or code.rpartition(".")[0] != row.parent:
            continue
        parent = row.parent
        while parent and parent not in draft.open_rows and directory.find(parent) is None:
            parent = parent.rpartition(".")[0]
        if parent != row.parent and any(kind == "qcvn102" for _, kind in row.aliases):
            draft.open_rows[code] = replace(row, parent=parent or None)


def _reject_without_level(draft: _Draft, directory: Directory) -> None:
    """An agency that is new must say its level; one that is known has it already (`_with_defaults`)."""
    gone = _gone(directory)
    for row in [*draft.open_rows.values(), *draft.closed_rows]:
        if row.level is None and (row.code, row.name, row.valid_until) not in gone:
            draft.reject(row, "no level; expected a column level, or --level for the whole file")
            _drop(draft, row)


def _gone(directory: Directory) -> set[tuple[str, str, date | None]]:
    """Agencies with an end, as a file would describe them again."""
    over = (agency for agency in directory.agencies() if agency.valid_until is not None)
    return {(agency.code, agency.name, agency.valid_until) for agency in over}


def _reject_unknown_superiors(draft: _Draft, directory: Directory) -> None:
    def known(code: str) -> bool:
        return code in draft.open_rows or directory.find(code) is not None

    def has_mailbox(code: str) -> bool:
        row, agency = draft.open_rows.get(code), directory.find(code)
        if row is not None and row.has_mailbox is not None:
            return row.has_mailbox
        return agency is not None and agency.has_mailbox

    fell_out = True
    while fell_out:  # who names a rejected row falls out with it
        fell_out = False
        for row in [*draft.open_rows.values(), *draft.closed_rows]:
            reason = None
            successors = (("successor", code) for code, _ in row.successors)
            for column, code in (("parent", row.parent), ("hub", row.hub), *successors):
                if code and not known(code):
                    reason = f"{column} {code} is neither in the directory nor in this file"
            if reason is None and row.hub and not has_mailbox(row.hub):
                reason = f"hub {row.hub} has no mailbox of its own"
            if reason is None and row.hub == row.code:
                reason = "its own hub"
            if reason is not None:
                draft.reject(row, reason)
                _drop(draft, row)
                fell_out = True


def _reject_circles(draft: _Draft) -> None:
    in_circles = []
    for row in draft.open_rows.values():
        seen = {row.code}
        above = draft.open_rows.get(row.parent or "")
        while above is not None and above.code not in seen:
            seen.add(above.code)
            above = draft.open_rows.get(above.parent or "")
        if above is not None and above.code == row.code:
            in_circles.append(row)
    for row in in_circles:
        draft.reject(row, "its own superior, directly or through others")
        _drop(draft, row)


def _reject_taken_aliases(draft: _Draft, directory: Directory) -> Mapping[str, str]:
    """Who may have which alias after the import; rows that claim somebody else's are rejected."""
    claimed: dict[str, str] = {}
    for row in list(draft.open_rows.values()):
        for alias, _ in row.aliases:
            holder = claimed.get(alias)
            if holder is None:
                agency = directory.find(alias)
                holder = agency.code if agency is not None else None
            if holder is None and alias in draft.open_rows:
                holder = alias
            if holder is not None and holder != row.code:
                draft.reject(row, f"the alias {alias} names {holder} already")
                _drop(draft, row)
                break
            claimed[alias] = row.code
    return claimed


def _drop(draft: _Draft, row: AgencyRow) -> None:
    if draft.open_rows.get(row.code) is row:
        del draft.open_rows[row.code]
    else:
        draft.closed_rows.remove(row)


def _differences(row: AgencyRow, agency: Agency, directory: Directory) -> list[str]:
    """What the row says otherwise than the directory, in words."""
    found = []
    if row.name.casefold() != agency.name.casefold():
        found.append(f"the name “{agency.name}”")
    if row.level is not None and row.level != agency.level:
        found.append(f"the level {agency.level}")
    if row.tier is not None and row.tier != agency.tier:
        found.append(f"the tier {agency.tier}")
    if row.has_mailbox is not None and row.has_mailbox != agency.has_mailbox:
        found.append("a mailbox of its own" if agency.has_mailbox else "no mailbox of its own")
    if row.derived is not None and row.derived != agency.derived:
        found.append("a derived code" if agency.derived else "an official code")
    if row.parent is not None:
        parent = directory.by_id(agency.parent_id) if agency.parent_id is not None else None
        wanted = directory.find(row.parent)
        if parent is None or wanted is None or parent.id != wanted.id:
            found.append(f"the superior {parent.code if parent else '(none)'}")
    return found


def _names(directory: Directory, alias: str, code: str) -> bool:
    agency = directory.find(alias)
    return agency is not None and agency.code == code


def _served(row: AgencyRow, hub_code: str, directory: Directory) -> bool:
    agency, hub = directory.agency(row.code), directory.find(hub_code)
    return (
        agency is not None
        and hub is not None
        and directory.may_receive_for(hub.id, agency.id)
        and directory.may_sign_for(hub.id, agency.id)
    )
