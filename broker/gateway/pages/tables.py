"""Lists as files: CSV for any spreadsheet, XLSX with real dates. What a cell says can never run as a formula."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, Literal

import xlsxwriter
from starlette.responses import Response

from broker.audit.period import VIETNAM
from broker.audit.sheets import harmless

Cell = str | int | datetime | date | None
Form = Literal["csv", "xlsx"]
MEDIA_TYPES: Final[dict[Form, str]] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


async def download(form: Form, name: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Response:
    """The table as a file to keep, called `name` with the form's ending."""
    body = as_csv(heads, rows) if form == "csv" else await asyncio.to_thread(as_xlsx, heads, rows)
    return Response(
        body, media_type=MEDIA_TYPES[form], headers={"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    )


def as_csv(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    """CSV in UTF-8 with a mark, so that spreadsheets read Vietnamese right."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(heads)
    writer.writerows([_text(cell) for cell in row] for row in rows)
    return ("\ufeff" + out.getvalue()).encode()


def as_xlsx(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> bytes:
    """A workbook with one sheet, its first row frozen."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(
        out,
        {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False},
    ) as book:
        sheet = book.add_worksheet()
        bold = book.add_format({"bold": True})
        time = book.add_format({"num_format": "dd/mm/yyyy hh:mm:ss"})
        day = book.add_format({"num_format": "dd/mm/yyyy"})
        sheet.write_row(0, 0, heads, bold)
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, max(len(heads) - 1, 0), 20)
        for number, row in enumerate(rows, start=1):
            for column, cell in enumerate(row):
                if isinstance(cell, datetime):
                    sheet.write_datetime(number, column, cell.astimezone(VIETNAM).replace(tzinfo=None), time)
                elif isinstance(cell, date):
                    sheet.write_datetime(number, column, datetime(cell.year, cell.month, cell.day), day)
                elif isinstance(cell, int):
                    sheet.write_number(number, column, cell)
                elif cell:
                    sheet.write_string(number, column, cell)
    return out.getvalue()


def _text(cell: Cell) -> str:
    if isinstance(cell, datetime):
        return cell.astimezone(VIETNAM).strftime("%d/%m/%Y %H:%M:%S")
    if isinstance(cell, date):
        return cell.strftime("%d/%m/%Y")
    if isinstance(cell, str):
        return harmless(cell)
    return "" if cell is None else str(cell)
