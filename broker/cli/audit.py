"""`lienthong audit`: the auditors' commands. Loads the one that was asked for; of every other its name and its line.

What checks proofs needs much that finding a document does not.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

import typer

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "search": ("audit_search", "Find documents, or refused messages, newest first."),
    "trace": ("story", "Show everything recorded of a document as a timeline, and where each delivery stands."),
    "missing": ("audit_questions", "Say which recipients of a document have not confirmed it with a signed status."),
    "agency": ("audit_questions", "Say what an agency sent, received and reported on one day."),
    "overdue": ("audit_questions", "List deliveries that missed their deadline and have not arrived to this day."),
    "refused": (
        "audit_questions",
        "List deliveries that their recipients refused, with the reasons. What the exchange refused: search --refused.",
    ),
    "overview": (
        "audit_questions",
        "Show the country by province, or a province by agency: sent, delivered, arrived, overdue, by state.",
    ),
    "recount": (
        "audit_questions",
        "Count every document anew and compare with the figures that reports are read from."
        " Exit code 1 if they differ.",
    ),
    "prove": (
        "audit_bundle",
        "Write everything that proves what happened to a document into one file, to be checked anywhere.",
    ),
    "check": (
        "audit_bundle",
        "Check a bundle or an archive with public keys alone: no broker, no database. Exit code 0 if everything holds.",
    ),
    "export": (
        "audit_bundle",
        "Write the documents of a period, with their proofs, into a folder that can be checked anywhere.",
    ),
    "verify": (
        "audit_log",
        "Hold the database against what was logged and signed. Ends with code 1 if anything was changed.",
    ),
    "checkpoint": ("audit_log", "Show the newest checkpoint, and how far the log is behind."),
    "report": (
        "audit_search",
        "Count what was sent and received in a period; by tier it is the national table. Rehearsals are left out.",
    ),
}
"""Every command, in the order of the help text: the module that has it as a function, and its line there."""


EXAMPLES: Final = {
    "search": "audit search --subject 'ung pho bao' --under H53 --overdue",
    "trace": "audit trace 12/VPCP-TH --from G22 --recipient H53.25459",
    "missing": "audit missing 12/VPCP-TH --from G22 --level commune --under H53",
    "agency": "audit agency H53 --day 2026-11-20",
    "overdue": "audit overdue --xlsx overdue.xlsx",
    "refused": "audit refused --csv",
    "prove": "audit prove 0198c5e2-6f3a-7c41-9b57-3f4b8a1c2d3e -o story.bundle",
    "check": "audit check story.bundle --key log.vkey",
    "export": "audit export --since 2026-10-01 --until 2026-10-31 --subtree H53 -o archive",
    "report": "audit report --since 2026-01-01 --until 2026-12-31 --by agency --xlsx year.xlsx",
}
"""One line for the end of a command's help."""


def build(wanted: str | None) -> typer.Typer:
    """The group, with the code of the command `wanted` (None or an unknown name: of no command)."""
    app = typer.Typer(no_args_is_help=True)
    for name, (module, line) in COMMANDS.items():
        if name == wanted:
            epilog = f"Example: lienthong {EXAMPLES[name]}" if name in EXAMPLES else None
            app.command(name, epilog=epilog)(getattr(import_module(f"broker.cli.{module}"), f"{name}_command"))
        else:
            app.command(name, help=line)(_not_loaded)
    return app


def _not_loaded() -> None:
    raise AssertionError("a command that was not asked for has been called")
