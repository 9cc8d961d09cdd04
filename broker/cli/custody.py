"""`lienthong custody`: keys that the exchange keeps for offices whose software cannot sign."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.table import Table

from broker.cli.author import author_of
from broker.cli.output import JsonOption, emit, run, say
from broker.directory.changing import agency_named
from broker.pki import custody
from broker.pki.authority import write_new
from broker.settings import Settings, load_settings
from broker.store.pool import Connection, connect
from schemas.problem import NOT_GOOD, Problem

app = typer.Typer(no_args_is_help=True, help="Keys that the exchange keeps for offices whose software cannot sign.")
T = TypeVar("T")

CodeArgument = Annotated[str, typer.Argument(help="Code or alias of the agency that is signed for.")]
WhyOption = Annotated[str, typer.Option("--reason", help="Why; kept with the change and in the log.")]


@app.command("issue")
def issue_command(code: CodeArgument, reason: WhyOption, as_json: JsonOption = False) -> None:
    """Make a key for an agency with a certificate of this exchange's own authority. From now on it signs."""
    settings = load_settings()
    author = author_of(_stated(reason))
    agency, name = _with_database(lambda c: custody.issue(c, code, settings=settings, author=author))
    emit({"code": agency.code, "thumbprint": name}, as_json=as_json, render=_signs)


@app.command("request")
def request_command(
    code: CodeArgument,
    output: Annotated[Path, typer.Option("--output", "-o", help="The new file for the request; the key goes beside.")],
    as_json: JsonOption = False,
) -> None:
    """Make a key for an agency and a request for your authority. Signs nothing before `custody add`."""
    settings = load_settings()
    key_file = output.with_name(f"{output.name}.sealed-key")
    made = _with_database(lambda c: custody.request(c, code, settings=settings))
    write_new(output, made.csr)
    try:
        write_new(key_file, made.sealed_key, private=True)
    except BaseException:
        output.unlink()  # a request whose key is lost is worth nothing
        raise
    emit(
        {"code": made.code, "request_file": str(output), "sealed_key_file": str(key_file)},
        as_json=as_json,
        render=lambda _: (
            f"{output} is for your authority. When its certificate has come:\n"
            f"lienthong custody add {made.code} CERTIFICATE --key {key_file} --reason …"
        ),
    )


@app.command("add")
def add_command(
    code: CodeArgument,
    certificate: Annotated[Path, typer.Argument(help="The certificate that came back, PEM.")],
    key: Annotated[Path, typer.Option("--key", help="The sealed key that `custody request` wrote.")],
    reason: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Enrol the certificate for a requested key and keep the key. From now on it signs; then remove the sealed file."""
    settings = load_settings()
    author = author_of(_stated(reason))
    pem, sealed = certificate.read_bytes(), key.read_bytes()
    agency, name = _with_database(lambda c: custody.take_in(c, code, pem, sealed, settings=settings, author=author))
    emit({"code": agency.code, "thumbprint": name}, as_json=as_json, render=_signs)


@app.command("list")
def list_command(
    code: Annotated[str | None, typer.Argument(help="Only those of this agency.")] = None,
    expiring: Annotated[
        int | None, typer.Option("--expiring", min=0, metavar="DAYS", help="Only those that sign and end by then.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the keys kept, and which of them sign. Ends with code 1 if a connected system has none that does."""
    settings, now = load_settings(), datetime.now(UTC)
    rows = _with_database(lambda c: custody.listing(c, code, settings=settings, now=now))
    shown = rows
    if expiring is not None:
        by = now + timedelta(days=expiring)
        shown = [row for row in rows if row["state"] == "signs" and row["not_after"] <= by]
    emit(shown, as_json=as_json, render=_table)
    _tell_left(custody.left_without(rows))


@app.command("renew")
def renew_command(code: CodeArgument, reason: WhyOption, as_json: JsonOption = False) -> None:
    """Make a new key beside the one that signs, with a certificate of this exchange's own authority; it signs from now.

    The former certificate stays good for what it signed and until it ends; `custody revoke` ends it.
    """
    settings, now = load_settings(), datetime.now(UTC)
    author = author_of(_stated(reason))

    async def work(connection: Connection) -> dict[str, Any]:
        former = [row for row in await custody.listing(connection, code, settings=settings, now=now) if row["made_at"]]
        if not former:
            agency = await agency_named(connection, code)
            raise Problem(
                f"no key that is kept for {agency.code}",
                "one to be renewed",
                f"Make the first with `lienthong custody issue {agency.code}`, or `custody request` and `custody add`",
            )
        agency, name = await custody.issue(connection, code, settings=settings, author=author)
        return {"code": agency.code, "thumbprint": name, "former": former[0]["thumbprint"]}

    emit(_with_database(work), as_json=as_json, render=_signs)


@app.command("revoke")
def revoke_command(
    thumbprint: Annotated[str, typer.Argument(help="The first hex digits of its certificate's SHA-256, at least 8.")],
    reason: WhyOption,
    as_json: JsonOption = False,
) -> None:
    """Let a kept key sign no more, at once; what it signed before stays good."""
    settings, now = load_settings(), datetime.now(UTC)
    why = _stated(reason)

    async def work(connection: Connection) -> tuple[dict[str, Any], list[str]]:
        done = await custody.revoke(connection, thumbprint, why=why, author=author_of(why))
        return done, custody.left_without(await custody.listing(connection, None, settings=settings, now=now))

    row, left = _with_database(work)
    emit(
        row,
        as_json=as_json,
        render=lambda _: f"{row['thumbprint']} is revoked since {row['revoked_at']:%Y-%m-%d %H:%M}.",
    )
    if left:
        say(f"Connected systems without a key that signs: {', '.join(left)}; `lienthong custody issue` makes one.")


def _stated(reason: str) -> str:
    if not reason.strip():
        raise Problem("an empty --reason", "why this is done", "Write the reason; it is kept")
    return reason.strip()


def _tell_left(left: list[str]) -> None:
    if left:
        say(f"Connected systems without a key that signs: {', '.join(left)}; `lienthong custody issue` makes one.")
        raise typer.Exit(NOT_GOOD)


def _with_database(work: Callable[[Connection], Awaitable[T]]) -> T:
    async def connected(settings: Settings) -> T:
        async with connect(settings.database_url) as connection:
            return await work(connection)

    return run(connected(load_settings()))


def _signs(value: dict[str, Any]) -> str:
    former = f" The former {value['former']} stays good until it ends." if "former" in value else ""
    return f"{value['code']} signs with {value['thumbprint']}.{former}"


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("agency", "name", "system", "thumbprint", "good until", "state", box=None, pad_edge=False)
    for row in rows:
        why = f" {row['revoked_at']:%Y-%m-%d}: {row['revoked_why']}" if row["revoked_at"] is not None else ""
        table.add_row(
            row["code"],
            row["name"],
            row["system"] or "",
            row["thumbprint"][:16],
            f"{row['not_after']:%Y-%m-%d}",
            f"{row['state']}{why}",
        )
    if not rows:
        say("No key is kept.")
    return table
