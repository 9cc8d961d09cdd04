"""`lienthong pki`: a certificate authority for development and trials."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from broker.cli.author import author_of
from broker.cli.output import JsonOption, emit, run, say
from broker.directory.exchange import Standing, ensure_exchange
from broker.evidence.keys import former_key_file, make_log_key, read_vkeys, rotate_log_key, vkey_file
from broker.pki.authority import (
    CERTIFICATE_DAYS,
    Home,
    init,
    issue,
    public_key_of_pem,
    public_key_of_request,
    write_new,
)
from broker.settings import Settings, load_settings
from broker.store.pool import connect
from schemas.agency_codes import canonical_code
from schemas.problem import UNREACHABLE, Problem

app = typer.Typer(no_args_is_help=True, help="A certificate authority for development.")


@app.command("init")
def init_command(as_json: JsonOption = False) -> None:
    """Make the authority, the broker's key and certificate, and the log's key. What exists stays as it is."""
    settings = load_settings()
    made = init(_home(settings), broker_code=settings.broker_code, now=datetime.now(UTC))
    made += make_log_key(settings.log_key_file, settings.log_origin)
    standing = run(_enrol(settings))
    if standing != "enrolled":
        say("The broker's certificate is not enrolled yet: `lienthong db migrate` will do it.")
    value = {
        "made": made,
        "root": _home(settings).root,
        "broker_certificate": standing,
        "log_vkeys": [key.encode() for key in read_vkeys(vkey_file(settings.log_key_file))],
    }
    emit(value, as_json=as_json, render=lambda _: "\n".join(map(str, made)) or "Everything was there already.")


@app.command("rotate-log")
def rotate_log_command(as_json: JsonOption = False) -> None:
    """Give the log a new key; the old one signs as well until its file is moved away. Restart the keepers after it."""
    settings = load_settings()
    vkey = rotate_log_key(settings.log_key_file, settings.log_origin)
    former = former_key_file(settings.log_key_file)
    emit(
        {"vkey": vkey, "former_key_file": former},
        as_json=as_json,
        render=lambda _: (
            f"{vkey}\nRestart the keepers: they sign with both keys then. Give agencies and auditors the line above;"
            f" when all of them have it, move {former} away and restart the keepers again."
        ),
    )


@app.command("issue")
def issue_command(
    code: Annotated[str, typer.Argument(help="The agency's code; it becomes the certificate's common name.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The new file for the certificate.")],
    csr: Annotated[Path | None, typer.Option("--csr", help="A certificate request (openssl req -new).")] = None,
    public_key: Annotated[Path | None, typer.Option("--public-key", help="A bare public key in PEM.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="How long it is good.")] = CERTIFICATE_DAYS,
) -> None:
    """Issue a certificate for an agency's key. It speaks for nobody before `lienthong cert add`."""
    if (csr is None) == (public_key is None):
        raise Problem("both or neither of --csr and --public-key", "one of them", "name the file with the agency's key")
    key = public_key_of_request(csr.read_bytes()) if csr else public_key_of_pem((public_key or Path()).read_bytes())
    certificate = issue(
        _home(load_settings()),
        code=canonical_code(code, field="code"),
        public_key=key,
        now=datetime.now(UTC),
        days=days,
    )
    write_new(output, certificate)
    say(f"{output} is written. Enrol it with `lienthong cert add {code} {output}`.")


def _home(settings: Settings) -> Home:
    return Home.below(
        settings.home,
        roots_dir=settings.roots_dir,
        key_file=settings.key_file,
        certificate_file=settings.certificate_file,
    )


async def _enrol(settings: Settings) -> Standing:
    try:
        async with connect(settings.database_url) as connection:
            return await ensure_exchange(connection, settings, author=author_of("pki init"))
    except Problem as problem:
        if problem.exit_code != UNREACHABLE:
            raise
        say(problem.diagnostics())
        return "not migrated"
