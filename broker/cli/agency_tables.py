"""What `lienthong agency` shows a person: agencies, imports, mergers, hubs and groups as tables and lines."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table

from broker.directory import merging
from broker.directory.importing import ImportReport


def merger_text(merger: merging.Merger) -> Group:
    """A merger, done or tried out: whom it takes in, and what follows."""
    table = Table("code", "name", "without 01", "served", "below", "certificates", box=None, pad_edge=False)
    for one in merger.agencies:
        numbers = (one.open_deliveries, one.served, one.below, one.certificates)
        table.add_row(one.code, one.name, *map(str, numbers))
    into = f"{merger.into.code} {merger.into.name}"
    many = len(merger.agencies)
    lines = [
        f"{'Merged' if merger.done else 'Would be merged'} into {into} from {merger.on}:"
        f" {many} {'agency' if many == 1 else 'agencies'}.",
    ]
    if merger.reached_through is None:
        lines.append("It has no mailbox and no hub: what is without 01 waits until it is connected.")
    elif merger.into.state == "suspended":
        lines.append("It is suspended: what is without 01 waits until it is resumed.")
    else:
        lines.append(f"What is without 01 goes to it on that day, to the mailbox of {merger.reached_through}.")
    if merger.handed_over:
        lines.append(f"It serves {len(merger.handed_over)} more agencies: {', '.join(merger.handed_over[:10])}.")
    elif not merger.done and merger.into.has_mailbox and any(one.served for one in merger.agencies):
        lines.append("It would serve those whom they serve.")
    if merger.left_without_hub:
        lines.append(
            f"{merger.left_without_hub} agencies stay without hub, for it has no mailbox;"
            " `lienthong agency hub` gives them another."
        )
    if any(one.below for one in merger.agencies):
        lines.append("Agencies below them keep them as superior; `lienthong agency import --update` names another.")
    return Group(table, "", *lines)


def report_text(report: ImportReport) -> Group:
    """What an import did, and which rows it did not take."""
    summary = (
        f"{report.added} added, {report.updated} updated, {report.unchanged} unchanged, {len(report.rejected)} rejected"
    )
    if not report.rejected:
        return Group(summary)
    table = Table("line", "code", "name", "rejected because", box=None, pad_edge=False)
    for row in report.rejected:
        table.add_row(str(row.line), row.code, row.name, row.reason)
    return Group(summary, "", table)


def agencies_table(rows: list[dict[str, Any]]) -> Table:
    """Agencies, one in a line."""
    table = Table("code", "name", "level", "superior", "mailbox", "state", box=None, pad_edge=False)
    for row in rows:
        mailbox = "own" if row["has_mailbox"] else f"at {row['hub']}" if row["hub"] else "none"
        code = f"{row['code']} (derived)" if row["derived"] else row["code"]
        state = f"closed {row['valid_until']}" if row["state"] == "closed" else row["state"]
        table.add_row(code, row["name"], row["level"], row["parent"] or "", mailbox, state)
    return table


def particulars_table(found: dict[str, Any]) -> Table:
    """Everything about one agency."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in found.items():
        shown = "\n".join(_in_words(item) for item in value) if isinstance(value, list) else _in_words(value)
        if shown:
            table.add_row(name.replace("_", " "), shown)
    return table


def _in_words(value: Any) -> str:
    """A value for a person: yes and no for flags, nothing for what is not there."""
    if isinstance(value, dict):
        parts = [(name, _in_words(item)) for name, item in value.items() if item is not None]
        plain = ("code", "name", "alias")
        return "  ".join(text if name in plain else f"{name.replace('_', ' ')} {text}" for name, text in parts)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def served_table(rows: list[dict[str, Any]]) -> Table:
    """The agencies that a hub serves."""
    table = Table("code", "name", "receives", "signs", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row["code"], row["name"], *("yes" if row[name] else "no" for name in ("may_receive", "may_sign")))
    return table


def groups_table(rows: list[dict[str, Any]]) -> Table:
    """Groups with their members."""
    table = Table("group", "title", "members", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row["name"], row["title"], ", ".join(row["members"]))
    return table
