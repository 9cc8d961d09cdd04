"""The papers that an agency gets once: shown, or written into a file that only its owner may read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from broker.cli.output import emit
from schemas.problem import Problem

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write them as JSON into this new file, readable by you only; show no secret."),
]
Write = Callable[[dict[str, Any]], None]


@contextmanager
def place_for(output: Path | None) -> Iterator[Write]:
    """Call what you get with the papers. The file is there, with mode 0600, before the block begins: what is shown once
    must not be made and then have no place. It is removed again if the block fails.

    Raises Problem if it exists already, OSError if it cannot be made.
    """
    if output is None:
        yield lambda _: None
        return
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise Problem(
            f"{output} exists already", "a new file for the papers", "Choose another name, or move the file away first"
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:

        def write(papers: dict[str, Any]) -> None:
            file.write(json.dumps(papers, ensure_ascii=False, indent=2) + "\n")
            file.flush()
            os.fsync(descriptor)

        try:
            yield write
        except BaseException:
            output.unlink(missing_ok=True)
            raise


def hand_over(
    papers: dict[str, Any], output: Path | None, *, as_json: bool, text: Callable[[dict[str, Any]], str]
) -> None:
    """Show the papers, or where they were written. Nothing that was written into a file is shown as well."""
    if output is None:
        emit(papers, as_json=as_json, render=text)
        return
    value = {name: papers[name] for name in ("code", "system", "hub") if name in papers} | {"file": str(output)}
    emit(value, as_json=as_json, render=lambda _: f"{output} is written. It holds a secret: hand it over safely.")


def agency_papers(papers: dict[str, Any], *, hub: str | None = None) -> str:
    """An agency's papers for a person; `hub` receives for an agency without a mailbox of its own."""
    code = papers["code"]
    lines = [f"{code}  {papers['name']}", ""]
    if papers["amqp_user"]:
        lines += [
            f"AMQP address   {papers['amqp_url']}",
            f"AMQP user      {papers['amqp_user']}",
            f"password       {papers['password']}    (shown this once)",
            f"mailbox        {papers['mailbox']}",
        ]
    lines += [
        f"gateway        {papers['content_url']}",
        f"broker's code  {papers['broker_code']}",
        "",
        "The broker's certificate, with which it signs notices and slips:",
        papers["broker_certificate"],
        "Root certificates:",
        papers["roots"],
        "The log's verifier keys, with which proofs are checked:",
        *papers["log_vkeys"],
        "",
        _next(code, with_mailbox=bool(papers["amqp_user"]), hub=hub),
    ]
    return "\n".join(lines)


def _next(code: str, *, with_mailbox: bool, hub: str | None) -> str:
    if with_mailbox:
        return f"Next: enrol the agency's certificate with `lienthong cert add {code} FILE`."
    if hub is not None:
        return f"{hub} receives and signs for it: it needs no certificate of its own."
    return (
        f"Nothing reaches it yet: connect its software with `lienthong agency system add {code}`, "
        f"or let a hub serve it with `lienthong agency hub HUB {code}`."
    )
