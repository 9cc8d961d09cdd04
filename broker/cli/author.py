"""Who is at the terminal and why: every command that changes the directory takes these and they are kept with it."""

from __future__ import annotations

import getpass
import os
from typing import Annotated

import typer

from broker.directory.changing import Author

ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept with the change.")]


def author_of(reason: str) -> Author:
    """The person at the terminal: LIENTHONG_ACTOR, or the name of the account."""
    try:
        actor = os.environ.get("LIENTHONG_ACTOR") or getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in a container
        actor = f"uid {os.getuid()}"
    return Author(actor=actor, reason=reason)
