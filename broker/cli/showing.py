"""How an auditor's answer is given out: a table in the terminal, JSON, CSV, or an XLSX file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from broker.audit.sheets import Cell, Sheet, Told, as_csv, as_xlsx, text_of
from broker.cli.output import JsonOption, emit, say
from schemas.command_line import BothOption, terminal_language_or_both
from schemas.languages import LanguageOrBoth, Words
from schemas.problem import Problem

CsvOption = Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")]
BomOption = Annotated[bool, typer.Option("--bom", help="With --csv: mark the text as UTF-8, for Excel.")]
XlsxOption = Annotated[Path | None, typer.Option("--xlsx", metavar="FILE", help="Write an Excel workbook.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What the person asked for; by default a table."""

    as_json: bool = False
    as_csv: bool = False
    bom: bool = False
    xlsx: Path | None = None
    language: LanguageOrBoth = "both"

    def check(self) -> None:
        """Raise Problem if two forms were asked for at once."""
        if sum((self.as_json, self.as_csv, self.xlsx is not None)) > 1:
            raise Problem("more than one of --json, --csv and --xlsx", "one of them", "Ask once for each.")
        if self.bom and not self.as_csv:
            raise Problem("--bom without --csv", "a byte order mark goes with CSV", "Add --csv.")


def _form(
    lang: BothOption = None,
    as_json: JsonOption = False,
    csv: CsvOption = False,
    bom: BomOption = False,
    xlsx: XlsxOption = None,
) -> Form:
    form = Form(as_json=as_json, as_csv=csv, bom=bom, xlsx=xlsx, language=lang or terminal_language_or_both())
    form.check()
    return form


def in_any_form(command: Callable[..., None]) -> Callable[..., None]:
    """`command`, with the options --lang, --json, --csv, --bom and --xlsx in the place of its keyword `form`.

    What was asked for at once and cannot be is refused before anything is looked up.
    """
    options = signature(_form, eval_str=True).parameters

    @wraps(command)
    def asked(**given: Any) -> None:
        form = _form(**{name: given.pop(name) for name in options})
        command(**given, form=form)

    own = signature(command, eval_str=True)
    kept = [parameter for name, parameter in own.parameters.items() if name != "form"]
    setattr(asked, "__signature__", own.replace(parameters=[*kept, *options.values()]))  # noqa: B010 - typed so
    return asked


def show(value: Any, sheets: Sequence[Sheet], form: Form) -> None:
    """Give out one answer: `value` as JSON, or `sheets`. Raises OSError if the workbook cannot be written."""
    if form.as_csv:
        # Bytes, so that the ends of lines stay as they are.
        typer.echo(as_csv(sheets, bom=form.bom).encode(), nl=False)
        if not any(sheet.rows for sheet in sheets):
            say(sheets[0].nothing.told(form.language))
    elif form.xlsx is not None:
        form.xlsx.write_bytes(as_xlsx(sheets))
        rows = sum(len(sheet.rows) for sheet in sheets)
        say(f"{form.xlsx}: {Words(f'{rows} rows', f'{rows} dòng').told(form.language)}")
    else:
        parts = [part for sheet in sheets for part in _parts(sheet, form.language)]
        emit(value, as_json=form.as_json, render=lambda _: Group(*parts))


def table_of(sheet: Sheet, language: LanguageOrBoth = "both") -> Table:
    """The sheet for a terminal, its total below a line."""
    table = Table(box=box.SIMPLE, pad_edge=False, show_footer=sheet.total is not None)
    for column, heading in enumerate(sheet.headings):
        numbers = any(isinstance(row[column], int) for row in sheet.rows)
        total = "" if sheet.total is None else _cell(sheet.total[column], language)
        shown = f"{heading.vi}\n{heading.en}" if language == "both" else heading.told(language)
        table.add_column(shown, justify="right" if numbers else "left", footer=total)
    for row in sheet.rows:
        table.add_row(*(Text(_cell(cell, language)) for cell in row))
    return table


def _parts(sheet: Sheet, language: LanguageOrBoth) -> list[Table | Text]:
    notes = [Text(note.told(language), style="dim") for note in sheet.notes]
    title = Text(sheet.title.told(language), style="italic")
    return [title, table_of(sheet, language) if sheet.rows else Text(sheet.nothing.told(language)), *notes]


def _cell(cell: Cell, language: LanguageOrBoth) -> str:
    if isinstance(cell, Told):
        return cell.at_terminal(language)
    return f"{cell:,}" if isinstance(cell, int) else text_of(cell)
