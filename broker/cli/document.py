"""`lienthong document`: one document's fate, and what an operator may do about it."""

from __future__ import annotations

import typer

from broker.cli.intervene import add_to
from broker.cli.story import explain_command, trace_command

app = typer.Typer(no_args_is_help=True)
app.command("explain")(explain_command)
app.command("trace")(trace_command)
add_to(app)
