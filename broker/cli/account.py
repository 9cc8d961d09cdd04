"""`lienthong account`: who may sign in to the pages. Passwords come from a prompt or a file, never from an argument."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from broker.cli.author import ReasonOption, author_of
from broker.cli.output import JsonOption, emit, run
from broker.gateway.pages.accounts import (
    Account,
    Role,
    add_account,
    describe_accounts,
    list_accounts,
    set_enabled,
    set_password,
)
from broker.settings import load_settings
from broker.store.pool import connect
from schemas.problem import Problem

app = typer.Typer(no_args_is_help=True, help="Who may sign in to the pages.")

LoginArgument = Annotated[str, typer.Argument(help="The name this person signs in with.")]
PasswordOption = Annotated[
    Path | None,
    typer.Option("--password-file", help="Read the password from this file's first line; `-`: from standard input."),
]


@app.command("add", epilog="Example: lienthong account add nva --name 'Nguyễn Văn A' --subtree H53")
def add_command(
    login: LoginArgument,
    role: Annotated[Role, typer.Option(help="An operator also acts; an auditor only sees.")] = Role.auditor,
    subtree: Annotated[
        str | None, typer.Option(metavar="CODE", help="An auditor of this agency and what is below it, nothing else.")
    ] = None,
    name: Annotated[str, typer.Option(help="The person's full name, shown on the pages.")] = "",
    password_file: PasswordOption = None,
    oidc_subject: Annotated[
        str | None,
        typer.Option(metavar="SUBJECT", help="Signs in through OpenID Connect, by this `sub`; needs no password."),
    ] = None,
    reason: ReasonOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make an account."""
    password = read_password(password_file) if oidc_subject is None or password_file is not None else None
    actor = author_of(reason).actor
    settings = load_settings()
    if oidc_subject is not None and not settings.oidc_issuer:
        raise Problem("no oidc_issuer is configured", "the identity provider's address", "Set oidc_issuer first.")

    async def add() -> Account:
        async with connect(settings.database_url) as connection:
            return await add_account(
                connection,
                login=login,
                full_name=name,
                role=role,
                root=subtree,
                password=password,
                oidc_subject=f"{settings.oidc_issuer} {oidc_subject}" if oidc_subject is not None else None,
                actor=actor,
                reason=reason,
            )

    emit(run(add()), as_json=as_json, render=lambda a: f"{a.login} may sign in ({_what(a)}); the log knows {a.id}.")


@app.command("list")
def list_command(as_json: JsonOption = False) -> None:
    """Show all accounts."""

    async def find() -> list[Account]:
        async with connect(load_settings().database_url) as connection:
            return await list_accounts(connection)

    emit([asdict(account) for account in run(find())], as_json=as_json, render=_table)


@app.command("disable")
def disable_command(login: LoginArgument, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Let nobody sign in with it; its sessions end at once."""
    emit(_switch(login, False, reason), as_json=as_json, render=lambda a: f"{a.login} is disabled.")


@app.command("enable")
def enable_command(login: LoginArgument, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Let the person sign in again."""
    emit(_switch(login, True, reason), as_json=as_json, render=lambda a: f"{a.login} may sign in again.")


@app.command("password")
def password_command(
    login: LoginArgument, password_file: PasswordOption = None, reason: ReasonOption = "", as_json: JsonOption = False
) -> None:
    """Give an account another password; its sessions end."""
    password = read_password(password_file)
    actor = author_of(reason).actor

    async def change() -> Account:
        async with connect(load_settings().database_url) as connection:
            return await set_password(connection, login, password, actor=actor, reason=reason)

    emit(run(change()), as_json=as_json, render=lambda a: f"{a.login} has a new password.")


@app.command("describe")
def describe_command(reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Let the log tell every account as it is now, by digests: once, after a version that told less."""
    actor = author_of(reason).actor

    async def describe() -> int:
        async with connect(load_settings().database_url) as connection:
            return await describe_accounts(connection, actor=actor, reason=reason)

    emit({"accounts": run(describe())}, as_json=as_json, render=lambda told: f"{told['accounts']} accounts are told.")


def read_password(file: Path | None) -> str:
    """From the file's first line, or asked for twice at the terminal. Raises `Problem` where there is no terminal."""
    if file is not None:
        text = sys.stdin.readline() if str(file) == "-" else file.read_text(encoding="utf-8").partition("\n")[0]
        return text.rstrip("\r\n")
    if not sys.stdin.isatty():
        raise Problem("no terminal to ask for a password", "a password", "Give it with --password-file.")
    password: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password


def _switch(login: str, enabled: bool, reason: str) -> Account:
    actor = author_of(reason).actor

    async def switch() -> Account:
        async with connect(load_settings().database_url) as connection:
            return await set_enabled(connection, login, enabled, actor=actor, reason=reason)

    return run(switch())


def _what(account: Account) -> str:
    return f"auditor of {account.root} and below" if account.root else account.role.value


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, caption=f"{len(rows)} account{'' if len(rows) == 1 else 's'}")
    for column in ("login", "name", "role", "subtree", "signs in with", "state", "known to the log as"):
        table.add_column(column)
    for row in rows:
        ways = [way for way, has in (("password", row["has_password"]), ("OpenID", row["oidc_subject"])) if has]
        state = "disabled" if row["disabled_at"] else "active"
        table.add_row(
            row["login"], row["full_name"], row["role"].value, row["root"] or "", ", ".join(ways), state, row["id"]
        )
    return table
