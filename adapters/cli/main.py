"""`lienthong-agency`: take part in the exchange from a terminal. Thin: every command is a few calls of the SDK."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from adapters import Agency, Delivery, Letter, Part
from adapters.cli import edxml, inbox, mail, setup, watch, words
from adapters.cli.output import JsonOption, emit, emit_line, exit_code_of, run, say
from adapters.letter import IncomingLetter
from adapters.settings import load
from schemas.command_line import LanguageOption, terminal_language
from schemas.languages import Language, Words
from schemas.problem import Problem
from schemas.times import parse_rfc3339

app = typer.Typer(
    name="lienthong-agency",
    help="Lienthong at an agency: send and receive official documents.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
inbox_app = typer.Typer(no_args_is_help=True, help="What has come.")
app.add_typer(inbox_app, name="inbox")
app.add_typer(edxml.app, name="edxml")
app.command("watch", epilog="Example: lienthong-agency watch /srv/lienthong")(watch.watch_command)
app.add_typer(mail.app, name="mail")

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", envvar="LIENTHONG_AGENCY", help="The agency's settings.", show_default=True)
]
DEFAULT_CONFIG = Path(setup.CONFIG)
# After connecting, a mailbox from which nothing comes for so long counts as empty.
EMPTY_AFTER_SECONDS = 2.0


@app.command("init")
def init_command(
    papers: Annotated[str, typer.Argument(help="The JSON of `lienthong agency add … --json`; - reads it here.")] = "-",
    folder: Annotated[Path, typer.Option("--dir", help="Where to write.")] = Path("."),
    content_dir: Annotated[Path | None, typer.Option("--content-dir", help="The shared content store.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write agency.toml, the AMQP password, the trusted roots and the exchange's certificate."""
    files = setup.write_folder(folder, setup.read_papers(papers), content_dir=content_dir, force=force)
    emit(
        {"files": [str(file) for file in files]},
        as_json=as_json,
        text=lambda _: words.written(", ".join(map(str, files)), lang or terminal_language()),
    )


@app.command("keygen")
def keygen_command(
    config: ConfigOption = DEFAULT_CONFIG,
    kind: Annotated[str, typer.Option("--kind", help="P-256, P-384, Ed25519, RSA-2048 or RSA-3072.")] = "P-256",
    force: Annotated[bool, typer.Option("--force", help="Replace the key that is there.")] = False,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the signing key, readable by this user only, and a certificate request for the operator."""
    key, request, code = setup.make_key(config, kind=kind, force=force)
    certificate = load(config).certificate_file
    emit(
        {"code": code, "key_file": str(key), "request_file": str(request), "certificate_file": str(certificate)},
        as_json=as_json,
        text=lambda _: words.key_made(
            code=code,
            key=str(key),
            request=str(request),
            file=request.name,
            certificate=str(certificate),
            name=certificate.name,
            language=lang or terminal_language(),
        ),
    )


@app.command("send", epilog="Example: lienthong-agency send 12.pdf --to H53 --subject 'Về việc trực Tết' --wait")
def send_command(
    files: Annotated[list[Path], typer.Argument(help="The document, then its attachments.")],
    to: Annotated[list[str], typer.Option("--to", help="Code, alias or group; may be given several times.")],
    subject: Annotated[str, typer.Option("--subject", help="Trích yếu.")],
    number: Annotated[str, typer.Option("--number", help="Số.")] = "",
    notation: Annotated[str, typer.Option("--notation", help="Ký hiệu, such as VPCP-TH.")] = "",
    type_: Annotated[str, typer.Option("--type", help="Loại văn bản.")] = "Công văn",
    priority: Annotated[int, typer.Option("--priority", min=0, max=4, help="0 thường … 3 hỏa tốc, 4 hẹn giờ.")] = 0,
    deliver_by: Annotated[str | None, typer.Option("--deliver-by", help="RFC 3339, for priority 4.")] = None,
    sender: Annotated[str | None, typer.Option("--sender", help="A served agency, if a hub sends for it.")] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Accept for the recipients that are known.")] = False,
    test: Annotated[bool, typer.Option("--test", help="A rehearsal.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the exchange has accepted or rejected it.")] = False,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait.")] = 30.0,
    config: ConfigOption = DEFAULT_CONFIG,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a document. It is safe in the outbox first; exit code 1 if the exchange rejected it (with --wait)."""
    if not subject.strip():
        raise Problem("an empty --subject", "what the document is about (trích yếu)", "Write it after --subject")
    letter = Letter(
        number=number,
        notation=notation,
        subject=subject,
        type=type_,
        to=to,
        priority=priority,
        deliver_by=parse_rfc3339(deliver_by, field="--deliver-by") if deliver_by else None,
        partial=partial,
        test=test,
        parts=[Part.file(file) for file in files],
    )
    result = run(_send(config, letter, sender, wait=wait, timeout=timeout))
    emit(result, as_json=as_json, text=lambda told: words.sent(told, lang or terminal_language()))


async def _send(config: Path, letter: Letter, sender: str | None, *, wait: bool, timeout: float) -> dict[str, Any]:
    async with Agency.open(config) as me:
        sent = await me.send(letter, sender=sender, confirm_within=timeout)
        result: dict[str, Any] = {**sent.document.as_dict(), "state": (await sent.state()).state}
        if result["state"] == "due":
            await me.wait_connected(0.0)
        if not wait:
            return result
        try:
            accepted = await sent.accepted(timeout)
        except TimeoutError as why:
            raise Problem(
                f"no answer about {sent.id} within {timeout:.0f} s",
                "accepted or rejected",
                "It is kept and sent again by the next `receive`; look with `lienthong-agency outbox`",
            ) from why
        return {
            **result,
            "state": "accepted",
            "first_accepted_at": accepted.first_accepted_at,
            "recipients": {"count": accepted.count, "list": list(accepted.recipients)},
            "unresolved": list(accepted.unresolved),
            "warnings": list(accepted.warnings),
        }


@app.command("receive", epilog="Example: lienthong-agency receive --follow --save inbox")
def receive_command(
    follow: Annotated[bool, typer.Option("--follow/--once", help="Go on, or end when the mailbox is empty.")] = False,
    save: Annotated[Path | None, typer.Option("--save", help="Folder for the files, one subfolder a document.")] = None,
    report: Annotated[str | None, typer.Option("--report", help="Also report this status, such as 03.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take what has come: one line a document. It is stored and answered 01 before it is shown."""
    if report is not None and report not in ("03", "04", "05", "06"):
        raise Problem(f"--report {report}", "03, 04, 05 or 06", "Refuse a single one with `status ID 02 --reason`")
    language = lang or terminal_language()
    run(_receive(config, follow=follow, save=save, report=report, language=language, as_json=as_json))


async def _receive(
    config: Path, *, follow: bool, save: Path | None, report: str | None, language: Language, as_json: bool
) -> None:
    async with Agency.open(config) as me:
        if not follow:
            await me.wait_connected()
        async for delivery in me.receive(idle=None if follow else EMPTY_AFTER_SECONDS):
            async with delivery as letter:
                saved = await _save(letter, save) if save else []
                emit_line(_letter(delivery, saved), as_json=as_json, text=lambda value: words.letter(value, language))
            if report is not None:
                await me.report(letter, report)
        await me.flushed(timeout=30)


async def _save(letter: IncomingLetter, folder: Path) -> list[str]:
    place = folder / letter.ref.sender / letter.ref.id
    place.mkdir(parents=True, exist_ok=True)
    saved = []
    for position, part in enumerate(letter.parts, start=1):
        target = place / part.name
        if str(target) in saved:
            target = place / f"{position}-{part.name}"
        target.write_bytes(await part.read())
        saved.append(str(target))
    return saved


def _letter(delivery: Delivery, saved: list[str]) -> dict[str, Any]:
    letter = delivery.letter
    return {
        **letter.ref.as_dict(),
        "recipient": letter.recipient,
        "addressed_as": letter.addressed_as,
        "action": letter.action,
        "number": letter.number,
        "notation": letter.notation,
        "subject": letter.subject,
        "priority": letter.priority,
        "again": delivery.again,
        "changed_by": [one.as_dict() for one in letter.changed_by],
        "parts": [{"name": part.name, "size": part.size, "sha256": part.sha256} for part in letter.parts],
        "saved": saved,
    }


@app.command("status", epilog="Example: lienthong-agency status 0198c5e2-6f3a-7c41-9b57-3f4b8a1c2d3e 03")
def status_command(
    document: Annotated[str, typer.Argument(help="Id of a document that came.")],
    code: Annotated[str, typer.Argument(help="02 refused, 03 received, 04 assigned, 05 processing, 06 completed.")],
    reason: Annotated[str | None, typer.Option("--reason", help="Needed for 02.")] = None,
    recipient: Annotated[str | None, typer.Option("--recipient", help="For which of a hub's agencies.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report the status of a document that came."""
    if code == "02" and not (reason or "").strip():
        raise Problem("02 without a reason", "what the sender shall read", "Give one with --reason")
    emit(
        run(_status(config, document, code, reason, recipient)),
        as_json=as_json,
        text=lambda told: words.reported(told, lang or terminal_language()),
    )


async def _status(config: Path, id: str, code: str, reason: str | None, recipient: str | None) -> dict[str, Any]:
    async with Agency.open(config) as me:
        letters = [one for one in await me.letters(id) if recipient in (None, one.recipient)]
        if not letters:
            raise Problem(f"no document {id}", "an id of the inbox", "Look with `lienthong-agency inbox list`")
        for letter in letters:
            await me.report(letter, code, reason=reason)
        await me.wait_connected()
        await me.flushed(timeout=30)
        return {**letters[0].ref.as_dict(), "code": code, "recipients": [one.recipient for one in letters]}


@app.command("outbox")
def outbox_command(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, newest first.")] = 50,
    config: ConfigOption = DEFAULT_CONFIG,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """What was sent, how far it is, and what recipients said."""
    with inbox.database(load(config)) as connection:
        rows = inbox.sent(connection, limit=limit)
    _emit_lines(rows, words.outbox_line, words.NOTHING_SENT, lang, as_json=as_json)


def _emit_lines(
    rows: list[dict[str, Any]],
    line: Callable[[dict[str, Any], Language], str],
    nothing: Words,
    lang: Language | None,
    *,
    as_json: bool,
) -> None:
    language = lang or terminal_language()
    emit(
        rows,
        as_json=as_json,
        text=lambda found: "\n".join(line(row, language) for row in found) or nothing.told(language),
    )


@app.command("replay")
def replay_command(
    since: Annotated[str | None, typer.Option("--since", help="RFC 3339; by default what was last seen.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    lang: LanguageOption = None,
) -> None:
    """After a restore: ask the exchange for everything again since then. What is here already is not doubled."""
    run(_replay(config, parse_rfc3339(since, field="--since") if since else None))
    say(words.ASKED.told(lang or terminal_language()))


async def _replay(config: Path, since: datetime | None) -> None:
    async with Agency.open(config) as me:
        await me.wait_connected()
        await me.replay(since)
        await me.flushed(timeout=30)


@app.command("simulate")
def simulate_command(
    plan: Annotated[Path, typer.Argument(help="The plan, as adapters/simulate/plan.py has it.")],
) -> None:
    """Be hundreds of offices in one process: follow a plan and print JSON lines."""
    from adapters.simulate.plan import load_plan
    from adapters.simulate.run import run as simulate

    run(simulate(load_plan(plan)))


@inbox_app.command("list")
def inbox_list_command(
    state: Annotated[str | None, typer.Option("--state", help="waiting, taken, done or refused.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, newest first.")] = 50,
    config: ConfigOption = DEFAULT_CONFIG,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """The newest documents that came."""
    with inbox.database(load(config)) as connection:
        rows = inbox.letters(connection, state=state, limit=limit)
    _emit_lines(rows, words.inbox_line, words.NOTHING_CAME, lang, as_json=as_json)


@inbox_app.command("show")
def inbox_show_command(
    document: Annotated[str, typer.Argument(help="Id of a document that came.")],
    config: ConfigOption = DEFAULT_CONFIG,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """One document: manifest, parts, the verdict on its signature, how far each recipient is."""
    with inbox.database(load(config)) as connection:
        found = inbox.letter(connection, document)
    emit(found, as_json=as_json, text=lambda shown: words.document(shown, lang or terminal_language()))


@inbox_app.command("aside")
def inbox_aside_command(
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many, newest first.")] = 50,
    config: ConfigOption = DEFAULT_CONFIG,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """What came and was not believed, with the reason; and what waits for its larger parts."""
    with inbox.database(load(config)) as connection:
        rows = inbox.aside(connection, limit=limit)
    _emit_lines(rows, words.aside_line, words.NOTHING_ASIDE, lang, as_json=as_json)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The console script. Exit codes: `schemas.problem`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(exit_code_of(lambda: app(args=given, prog_name="lienthong-agency", standalone_mode=False)))
