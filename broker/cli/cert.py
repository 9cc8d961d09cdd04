"""`lienthong cert`: whose certificate is whose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from broker.cli.author import ReasonOption, author_of
from broker.cli.output import JsonOption, emit, run
from broker.directory.enrolment import certificate_named, enrol_certificate, examine, load_roots, revoke_certificate
from broker.directory.listing import list_certificates
from broker.settings import load_settings
from broker.store.pool import connect
from schemas.problem import NOT_GOOD

app = typer.Typer(no_args_is_help=True, help="Agencies' certificates.")

FileArgument = Annotated[Path, typer.Argument(help="PEM (the signer's first, intermediates after it) or DER.")]


@app.command("add", epilog="Example: lienthong cert add H53 h53.pem")
def add_command(
    code: Annotated[str, typer.Argument(help="Code or alias of the agency it is to speak for.")],
    file: FileArgument,
    kept_by_broker: Annotated[
        bool, typer.Option("--kept-by-broker", help="The exchange keeps the private key; every verdict says so.")
    ] = False,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Enrol a certificate under one of the configured roots: from now on it speaks for that agency."""
    data = file.read_bytes()
    settings = load_settings()

    async def enrol() -> dict[str, Any]:
        async with connect(settings.database_url) as connection:
            enrolled = await enrol_certificate(
                connection,
                code,
                data,
                roots=load_roots(settings.roots_dir),
                custody="broker" if kept_by_broker else "agency",
                author=author_of(reason),
            )
            found = await list_certificates(connection, code)
            return next(row for row in found if row["thumbprint"] == enrolled.thumbprint.hex())

    row = run(enrol())
    emit(
        row,
        as_json=as_json,
        render=lambda _: (
            f"{row['thumbprint']} speaks for {row['code']} {row['name']} until {row['not_after']:%Y-%m-%d}."
        ),
    )


@app.command("list")
def list_command(
    code: Annotated[str | None, typer.Argument(help="Only those of this agency.")] = None,
    expiring: Annotated[
        int | None, typer.Option("--expiring", metavar="DAYS", help="Only those that end by then.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List enrolled certificates, past and present."""
    before = datetime.now(UTC) + timedelta(days=expiring) if expiring is not None else None

    async def read() -> list[dict[str, Any]]:
        async with connect(load_settings().database_url) as connection:
            return await list_certificates(connection, code, expiring_before=before)

    emit(run(read()), as_json=as_json, render=_table)


@app.command("revoke")
def revoke_command(
    thumbprint: Annotated[str, typer.Argument(help="The first hex digits of its SHA-256, at least 8.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; shown to those who ask.")],
    as_json: JsonOption = False,
) -> None:
    """Let a certificate speak for nobody any more, at once."""

    async def revoke() -> dict[str, Any]:
        async with connect(load_settings().database_url) as connection:
            known = await certificate_named(connection, thumbprint)
            since = await revoke_certificate(connection, known.thumbprint, why=reason, author=author_of(reason))
            # Workers follow within a second.
            return {"thumbprint": known.thumbprint.hex(), "revoked_at": since}

    row = run(revoke())
    emit(
        row,
        as_json=as_json,
        render=lambda _: f"{row['thumbprint']} is revoked since {row['revoked_at']:%Y-%m-%d %H:%M}.",
    )


@app.command("check")
def check_command(file: FileArgument, as_json: JsonOption = False) -> None:
    """Say whether a certificate could sign now: its path, its time, whose it is. Ends with code 1 if it could not."""
    data = file.read_bytes()
    settings = load_settings()

    async def read() -> dict[str, Any]:
        async with connect(settings.database_url) as connection:
            return await examine(connection, data, roots=load_roots(settings.roots_dir), at=datetime.now(UTC))

    found = run(read())
    emit(found, as_json=as_json, render=_findings)
    if not found["good"]:
        raise typer.Exit(NOT_GOOD)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("agency", "name", "thumbprint", "good until", "kept by", "state", box=None, pad_edge=False)
    now = datetime.now(UTC)
    for row in rows:
        if row["revoked_at"] is not None:
            state = f"revoked {row['revoked_at']:%Y-%m-%d}: {row['revoked_why']}"
        else:
            state = "expired" if row["not_after"] < now else "good"
        table.add_row(
            row["code"], row["name"], row["thumbprint"][:16], f"{row['not_after']:%Y-%m-%d}", row["custody"], state
        )
    return table


def _findings(found: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for name in ("thumbprint", "subject", "issuer", "not_before", "not_after", "path", "agency", "revocation"):
        table.add_row(name.replace("_", " "), str(found[name]))
    table.add_row("could sign now", "yes" if found["good"] else "no")
    return table
