"""`lienthong-agency mail`: for offices that have only an official mailbox. Alone it works until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import signal
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from adapters import Agency
from adapters.agency import DATABASE
from adapters.cli import words
from adapters.cli.output import JsonOption, emit, run, say
from adapters.mail import queue
from adapters.mail.facts import one_line
from adapters.mail.settings import MailSettings, load_mail
from adapters.settings import AgencySettings, load
from adapters.store import open_database
from schemas.command_line import LanguageOption, terminal_language
from schemas.languages import Language
from schemas.problem import UNREACHABLE, Problem
from schemas.times import rfc3339

app = typer.Typer(
    help="For offices that have only a mailbox: documents as mails, edXML from mails. Without a command: run."
)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="LIENTHONG_AGENCY", help="The agency's settings.", show_default=True)
]
DEFAULT_CONFIG = Path("agency.toml")

_LIST = (
    "SELECT m.no, m.kind, m.office, m.state, m.attempts, m.doubtful, m.next_try_at, m.trouble, m.created_at,"
    " m.taken_at, m.answer, m.reason, m.answered_at, m.message_id, i.sender, i.id, d.subject"
    " FROM mail m LEFT JOIN inbox i ON i.no = m.inbox_no LEFT JOIN document d ON d.no = i.document_no"
)
STATES = ("due", "sending", "taken", "failed", "bounced")
_TIMES = ("next_try_at", "created_at", "taken_at", "answered_at")


@app.callback(invoke_without_command=True)
def mail_command(context: typer.Context, config: ConfigOption = DEFAULT_CONFIG, lang: LanguageOption = None) -> None:
    """Without a further word: send, listen and serve the pages until stopped."""
    if context.invoked_subcommand is None:
        run(_work(config, lang or terminal_language()))


async def _work(config: Path, language: Language) -> None:
    from adapters.mail.run import running  # the libraries of mail and pages are slow to load for other commands

    agency, settings = _settings(config)
    logging.getLogger("lienthong.mail").setLevel(logging.INFO)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with Agency.open(agency) as me, running(me, settings):
        say(_described(settings, language))
        await stop.wait()
        say(words.STOPPING.told(language))


def _described(settings: MailSettings, language: Language) -> str:
    outgoing, page, listener = settings.outgoing, settings.page, settings.listener
    return words.working(
        offices=len(settings.offices),
        server=f"{outgoing.host}:{outgoing.port} ({outgoing.security})",
        url=page.public_url,
        place=f"{page.host}:{page.port}",
        heard=None if listener is None else (listener.protocol, f"{listener.host}:{listener.port}"),
        language=language,
    )


@app.command("check")
def check_command(
    config: ConfigOption = DEFAULT_CONFIG, lang: LanguageOption = None, as_json: JsonOption = False
) -> None:
    """Read the settings, connect to the mail server and sign in. Sends nothing."""
    agency, settings = _settings(config)
    greeting = run(_greeting(settings))
    value = {
        "agency": agency.code,
        "offices": {one.code: one.address for one in settings.offices.values()},
        "server": greeting,
        "public_url": settings.page.public_url,
        "listens": settings.listener is not None,
    }
    language = lang or terminal_language()
    told = f"{words.lets_in(greeting, language)}\n{_described(settings, language)}"
    emit(value, as_json=as_json, text=lambda _: told)


async def _greeting(settings: MailSettings) -> str:
    from adapters.mail.smtp import Carrier

    carrier = Carrier(settings.outgoing)
    try:
        return await carrier.check()
    finally:
        await carrier.close()


@app.command("list")
def list_command(
    state: Annotated[str | None, typer.Option("--state", help="due, sending, taken, failed or bounced.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, newest first.")] = 50,
    config: ConfigOption = DEFAULT_CONFIG,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """The newest mails, how far each is, and what clerks answered. Exit code 1 if one needs a person."""
    if state is not None and state not in STATES:
        raise Problem(f"the state {state}", ", ".join(STATES), "Choose one of them")
    connection = _database(config)
    try:
        connection.row_factory = sqlite3.Row
        where, values = (" WHERE m.state = ?", [state]) if state else ("", [])
        found = [
            dict(row) for row in connection.execute(f"{_LIST}{where} ORDER BY m.no DESC LIMIT ?", [*values, limit])
        ]
    finally:
        connection.close()
    for row in found:
        row["doubtful"] = bool(row["doubtful"])
        for name in _TIMES:
            row[name] = rfc3339(datetime.fromtimestamp(row[name], UTC)) if row[name] else None
    language = lang or terminal_language()
    lines = [words.mail_line(row, one_line(row["subject"] or row["kind"], 100), language) for row in found]
    emit(found, as_json=as_json, text=lambda _: "\n".join(lines) or words.NO_MAILS.told(language))
    if any(row["state"] in ("failed", "bounced") and row["answer"] is None for row in found):
        raise typer.Exit(1)


@app.command("retry")
def retry_command(
    number: Annotated[int, typer.Argument(help="Number of the mail in `mail list`.")],
    config: ConfigOption = DEFAULT_CONFIG,
    lang: LanguageOption = None,
) -> None:
    """Send a mail once more, with new links: refused, bounced, expired or lost."""
    connection = _database(config)
    try:
        connection.execute("BEGIN IMMEDIATE")
        queue.again(connection, number)
        connection.execute("COMMIT")
    finally:
        connection.close()
    say(words.mail_again(number, lang or terminal_language()))


@app.command("refuse")
def refuse_command(
    number: Annotated[int, typer.Argument(help="Number of the mail in `mail list`.")],
    reason: Annotated[str, typer.Option("--reason", help="What the sender reads.")],
    config: ConfigOption = DEFAULT_CONFIG,
    lang: LanguageOption = None,
) -> None:
    """Return a document that its office cannot get: status 02 with the reason, signed by this agency."""
    if not reason.strip():
        raise Problem("no reason", "what the sender shall read", "Give one with --reason")
    run(_refuse(config, number, reason.strip()))
    sys.stdout.write(f"{words.mail_refused(number, lang or terminal_language())}\n")


async def _refuse(config: Path, number: int, reason: str) -> None:
    from adapters.mail.answers import refuse_for_operator

    agency, _ = _settings(config)
    async with Agency.open(agency) as me:
        await me.store.run(queue.migrate)
        await refuse_for_operator(me, number, reason)
        try:
            await me.flushed(timeout=30)  # by this process, or by the mail program that runs beside it
        except TimeoutError as why:
            raise Problem(
                "the exchange has not confirmed it within 30 s",
                "a connection to the exchange",
                "It is kept and goes out with the next connection",
                exit_code=UNREACHABLE,
            ) from why


def _settings(config: Path) -> tuple[AgencySettings, MailSettings]:
    agency = load(config)
    return agency, load_mail(config, agency)


def _database(config: Path) -> sqlite3.Connection:
    agency, _ = _settings(config)
    path = agency.data_dir / DATABASE
    if not path.exists():
        raise Problem(f"no {path}", "the database of an agency", "Run `lienthong-agency mail` first")
    connection = open_database(path)
    connection.execute("BEGIN IMMEDIATE")
    queue.migrate(connection)
    connection.execute("COMMIT")
    return connection
