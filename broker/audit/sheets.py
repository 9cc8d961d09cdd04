"""Answers as plain tables, for a terminal, for CSV and for XLSX. Pure, but for the time zone nothing is decided here.

Headings are Vietnamese with English beneath. A cell of text that a spreadsheet program would take for a formula is made
harmless in CSV by an apostrophe before it, as such programs themselves write it; in XLSX text is marked as text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, TypeAlias

from broker.audit.period import VIETNAM
from broker.audit.words import Words
from schemas.languages import LanguageOrBoth


@dataclass(frozen=True, slots=True)
class Told:
    """A cell that people at a terminal read in their language; a file has one `text`, whoever opens it."""

    words: Words
    text: str

    @classmethod
    def both(cls, words: Words) -> Told:
        """In a file in both languages."""
        return cls(words, words.told("both"))

    @classmethod
    def named(cls, code: str, name: str) -> Told:
        """An agency: its code, at a terminal with its name beside."""
        shown = f"{code} {name}".rstrip()
        return cls(Words(shown, shown), code)

    def at_terminal(self, language: LanguageOrBoth) -> str:
        """In one language or in both."""
        if self.words.en == self.words.vi:
            return self.words.vi
        return self.text if language == "both" else self.words.told(language)


Cell: TypeAlias = str | int | float | date | datetime | Told | None

DANGEROUS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a formula, or something taken for one, may begin with."""

BOM: Final = "\ufeff"
"""Tells Excel that a file is UTF-8."""

WIDEST_COLUMN: Final = 60

NOTHING: Final = Words("Nothing was found.", "Không tìm thấy gì.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One table."""

    title: Words
    headings: tuple[Words, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: tuple[Cell, ...] | None = None
    """A last line, set apart."""
    notes: tuple[Words, ...] = ()
    """What must be known to read it: up to when it is complete, and so on."""
    nothing: Words = NOTHING
    """What to tell a person instead of a table without lines."""


def text_of(cell: Cell) -> str:
    """A cell as it stands in a file; times are those of Viet Nam."""
    if isinstance(cell, datetime):
        return cell.astimezone(VIETNAM).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(cell, Told):
        return cell.text
    return "" if cell is None else str(cell)


def harmless(text: str) -> str:
    """`text` so that no spreadsheet program computes it."""
    return f"'{text}" if text.lstrip(" \u00a0").startswith(DANGEROUS) else text


def as_csv(sheets: Sequence[Sheet], *, bom: bool) -> str:
    """The sheets below each other, an empty line between them. RFC 4180; with `bom` Excel recognises the letters."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\r\n")
    for number, sheet in enumerate(sheets):
        if number:
            writer.writerow(())
        writer.writerow([heading.vi for heading in sheet.headings])
        writer.writerow([heading.en for heading in sheet.headings])
        for row in _lines(sheet):
            writer.writerow([_csv_cell(cell) for cell in row])
    return (BOM if bom else "") + written.getvalue()


def as_xlsx(sheets: Sequence[Sheet]) -> bytes:
    """A workbook with one page for each sheet; nothing in it is a formula or a link."""
    import xlsxwriter  # takes long to load, and few ask for it

    written = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "remove_timezone": True}
    with xlsxwriter.Workbook(written, options) as book:
        bold, thin = book.add_format({"bold": True}), book.add_format({"italic": True, "font_color": "#555555"})
        formats = {
            datetime: book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}),
            date: book.add_format({"num_format": "yyyy-mm-dd"}),
            int: book.add_format({"num_format": "#,##0"}),
        }
        for sheet in sheets:
            page = book.add_worksheet(sheet.title.vi[:31])
            for column, heading in enumerate(sheet.headings):
                page.write_string(0, column, heading.vi, bold)
                page.write_string(1, column, heading.en, thin)
                cells = [text_of(row[column]) for row in _lines(sheet)]
                longest = max(map(len, [heading.vi, heading.en, *cells]))
                page.set_column(column, column, min(longest + 2, WIDEST_COLUMN))
            page.freeze_panes(2, 0)
            place = 2
            for place, row in enumerate(_lines(sheet), start=2):
                for column, cell in enumerate(row):
                    if isinstance(cell, datetime):
                        local = cell.astimezone(VIETNAM).replace(tzinfo=None)
                        page.write_datetime(place, column, local, formats[datetime])
                    elif isinstance(cell, date):
                        page.write_datetime(place, column, datetime(cell.year, cell.month, cell.day), formats[date])
                    elif isinstance(cell, int | float):
                        page.write_number(place, column, cell, formats[int])
                    elif cell is not None:
                        page.write_string(place, column, text_of(cell))
            for below, note in enumerate(sheet.notes, start=2):
                page.write_string(place + below, 0, f"{note.vi} / {note.en}", thin)
    return written.getvalue()


def _lines(sheet: Sheet) -> Iterable[tuple[Cell, ...]]:
    return (*sheet.rows, sheet.total) if sheet.total is not None else sheet.rows


def _csv_cell(cell: Cell) -> str | int | float:
    if isinstance(cell, int | float):
        return cell
    return harmless(text_of(cell))
