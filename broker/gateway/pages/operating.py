"""What operators do on the pages: the actions of the command line, each with a reason, a confirmation and a record.

An action is a page that says what will happen and asks why, and the form on it that does it. What it does, and what it
writes down, is the business of `broker.interventions` and `broker.dispatch.dead_letters`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final

from starlette.responses import Response

from broker.dispatch.dead_letters import discard_dead, list_dead, replay_dead, show_dead
from broker.gateway.pages.accounts import list_accounts
from broker.gateway.pages.documents import seen_document
from broker.gateway.pages.guard import Access, Denied, Page, Visit, action, page
from broker.interventions.documents import cancel, hold, release, resend
from broker.interventions.quarantine import list_quarantine, settle, show_quarantined
from broker.interventions.record import LONGEST_REASON
from broker.store.queries import load_queries

SQL: Final = load_queries("broker.gateway.pages", "pages.sql")
LOOKED_AT: Final = 1_000
"""Dead letters that are looked through."""
SHOWN: Final = 100
SHOWN_BYTES: Final = 4_000
RECORDS: Final = 100
"""Sign-ins, denials and actions of the past that are shown."""


def _reason_given(visit: Visit) -> bool:
    return bool(visit.author.reason) and len(visit.author.reason) <= LONGEST_REASON


def _confirmation(visit: Visit, what: str, **values: object) -> Response:
    """The page that says what will happen and asks why; with a sentence if the reason was missing."""
    asked_again = visit.request.method == "POST"
    shown = {"what": what, "missing_reason": asked_again, "reason": visit.author.reason, **values}
    return visit.show("confirm.html", status=400 if asked_again else 200, longest=LONGEST_REASON, **shown)


# ── Documents ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def _hold(visit: Visit) -> None:
    await hold(visit.site.gateway.pool, visit.author, visit.path("id"), sender=visit.path("sender"))


async def _release(visit: Visit) -> None:
    await release(visit.site.gateway.pool, visit.author, visit.path("id"), sender=visit.path("sender"))


async def _cancel(visit: Visit) -> None:
    grace = timedelta(seconds=visit.site.gateway.settings.outgoing_grace_seconds)
    await cancel(visit.site.gateway.pool, visit.author, visit.path("id"), sender=visit.path("sender"), grace=grace)


async def _resend(visit: Visit) -> None:
    named = visit.field("recipients").replace(",", " ").split()
    await resend(
        visit.site.gateway.pool,
        visit.author,
        visit.path("id"),
        sender=visit.path("sender"),
        recipients=[code.upper() for code in named],
    )


DOCUMENT_ACTIONS: Final[Mapping[str, Callable[[Visit], Awaitable[None]]]] = {
    "hold": _hold,
    "release": _release,
    "cancel": _cancel,
    "resend": _resend,
}


async def document_action(visit: Visit) -> Response:
    """Ask for the reason of an action on a document, or do it."""
    what = visit.path("what")
    act = DOCUMENT_ACTIONS.get(what)
    if act is None:
        raise Denied(status=404)
    home = f"/documents/{visit.path('sender')}/{visit.path('id')}"
    if visit.request.method == "POST" and _reason_given(visit):
        await act(visit)
        return visit.redirect(f"{home}?done={what}")
    async with visit.reading() as connection:
        seen = await seen_document(visit, connection)
    return _confirmation(visit, f"document.{what}", d=seen.document, back=home, letter=None, case=None)


# ── Dead letters ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def dead_letters(visit: Visit) -> Response:
    """What could not be processed, oldest first."""
    letters = await list_dead(visit.site.gateway.link, limit=SHOWN)
    return visit.show("dead_letters.html", letters=letters, shown=SHOWN, done=visit.query("done"))


async def dead_letter(visit: Visit) -> Response:
    """One dead letter, with the beginning of what it says."""
    letter, body = await show_dead(visit.site.gateway.link, visit.path("letter"), limit=LOOKED_AT)
    return visit.show(
        "dead_letter.html", letter=letter, body=body[:SHOWN_BYTES].decode("utf-8", "backslashreplace"), size=len(body)
    )


async def dead_letter_action(visit: Visit) -> Response:
    """Ask for the reason of an action on a dead letter, or do it."""
    what, name = visit.path("what"), visit.path("letter")
    act = {"replay": replay_dead, "discard": discard_dead}.get(what)
    if act is None:
        raise Denied(status=404)
    gateway = visit.site.gateway
    if visit.request.method == "POST" and _reason_given(visit):
        author = visit.author
        async with gateway.pool.acquire() as connection:
            await act(gateway.link, connection, name, actor=author.actor, reason=author.reason, limit=LOOKED_AT)
        return visit.redirect(f"/dead-letters?done={what}")
    letter, _ = await show_dead(gateway.link, name, limit=LOOKED_AT)
    return _confirmation(visit, f"dead.{what}", d=None, letter=letter, case=None, back="/dead-letters")


# ── Quarantine ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def quarantine(visit: Visit) -> Response:
    """Messages that wait for a decision; with `settled` the decided ones too."""
    settled = visit.query("settled") is not None
    async with visit.reading() as connection:
        cases = await list_quarantine(connection, limit=SHOWN, settled=settled)
    return visit.show("quarantine.html", cases=cases, settled=settled, shown=SHOWN, done=visit.query("done"))


async def quarantined(visit: Visit) -> Response:
    """One quarantined message, with the beginning of what it says."""
    async with visit.reading() as connection:
        case, body = await show_quarantined(connection, _number(visit))
        target = case.digest or str(case.number)
        actions = await connection.fetch(SQL["actions"], target, 20)
    text = body[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
    return visit.show("quarantined.html", case=case, body=text, size=len(body), actions=actions)


async def settle_quarantined(visit: Visit) -> Response:
    """Ask why the case is decided, or write it down."""
    number = _number(visit)
    if visit.request.method == "POST" and _reason_given(visit):
        await settle(visit.site.gateway.pool, visit.author, number)
        return visit.redirect("/quarantine?done=settle")
    async with visit.reading() as connection:
        case, _ = await show_quarantined(connection, number)
    return _confirmation(visit, "quarantine.settle", d=None, letter=None, case=case, back=f"/quarantine/{number}")


def _number(visit: Visit) -> int:
    text = visit.path("number")
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise Denied(status=404)
    return int(text)


# ── Accounts ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def accounts(visit: Visit) -> Response:
    """Who may sign in, and the newest sign-ins, denials and actions. Accounts are changed on the command line."""
    async with visit.reading() as connection:
        listed = await list_accounts(connection)
        records = await connection.fetch(SQL["account_records"], RECORDS)
        actions = await connection.fetch(SQL["actions"], None, RECORDS)
    return visit.show("accounts.html", accounts=listed, records=records, actions=actions)


PAGES: tuple[Page, ...] = (
    page("/documents/{sender}/{id}/act/{what}", document_action, Access.operator),
    action("/documents/{sender}/{id}/act/{what}", document_action),
    page("/dead-letters", dead_letters, Access.operator),
    page("/dead-letters/{letter}", dead_letter, Access.operator),
    page("/dead-letters/{letter}/{what}", dead_letter_action, Access.operator),
    action("/dead-letters/{letter}/{what}", dead_letter_action),
    page("/quarantine", quarantine, Access.operator),
    page("/quarantine/{number}", quarantined, Access.operator),
    page("/quarantine/{number}/settle", settle_quarantined, Access.operator),
    action("/quarantine/{number}/settle", settle_quarantined),
    page("/accounts", accounts, Access.operator),
)
