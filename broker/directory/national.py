"""Loading the national directory, which the project carries as data (deploy/directory; its README names the source).

In a checkout the files are in ``deploy/directory``, in an installed package beside this module.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from broker.directory.changing import Author
from broker.directory.csv_rows import AgencyRow, RejectedRow, read_csv
from broker.directory.importing import ImportReport, Progress, import_rows
from broker.store.pool import Connection
from schemas.problem import Problem

#: The files, in the order in which a person would read them; the import itself needs no order.
FILES = ("central.csv", "provinces.csv", "departments.csv", "communes.csv", "closed_provinces.csv")

_HERE = Path(__file__).resolve().parent
_PLACES = (_HERE / "data", _HERE.parents[1] / "deploy" / "directory")


def read_national(folder: Path | None = None) -> tuple[tuple[AgencyRow, ...], tuple[RejectedRow, ...], str]:
    """The rows of all files, those that could not be read, and the hex SHA-256 of the files together.

    Raises Problem if a file is missing.
    """
    place = folder or next((place for place in _PLACES if (place / FILES[0]).exists()), _PLACES[-1])
    rows: list[AgencyRow] = []
    rejected: list[RejectedRow] = []
    digest = hashlib.sha256()
    for name in FILES:
        path = place / name
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise Problem(
                f"{path} does not exist",
                "the national directory's files",
                "install the package whole, or work in a complete checkout",
            ) from error
        digest.update(data)
        read = read_csv(data, what=str(path))
        rows += read.rows
        rejected += read.rejected
    return tuple(rows), tuple(rejected), digest.hexdigest()


async def load(
    connection: Connection,
    *,
    author: Author,
    folder: Path | None = None,
    update: bool = False,
    on_progress: Progress | None = None,
) -> ImportReport:
    """Import the national directory; what is there already stays. ``update``: what differs is brought back to it."""
    rows, rejected, digest = read_national(folder)
    return await import_rows(
        connection,
        rows,
        rejected=rejected,
        digest=digest,
        author=author,
        update=update,
        on_progress=on_progress,
    )
