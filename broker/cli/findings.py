"""Findings of `audit verify` and `fsck` as a table, in Vietnamese or English."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rich import box
from rich.table import Table

from broker.evidence.bundle.show import plain
from broker.evidence.finding_sentences import cells, looked_at
from broker.evidence.findings import Finding
from schemas.languages import Language, Words

HEADINGS: Final = (
    Words("where", "nơi"),
    Words("which", "mục nào"),
    Words("what", "nội dung"),
    Words("found", "thấy"),
    Words("expected", "cần"),
)


def findings_table(
    findings: Sequence[Finding], counted: int, seen: Mapping[str, int], *, good: Words, language: Language
) -> Table | str:
    """The findings that are listed, of `counted`; `good` is said where there are none, with what was `seen`."""
    nothing = Words("nothing to look at", "không có gì để xem").told(language)
    told = ", ".join(f"{number:,} {looked_at(what, language)}" for what, number in seen.items()) or nothing
    if not counted:
        return f"{good.told(language)}: {told}."
    caption = Words(f"{counted} findings; looked at {told}", f"{counted} điểm không khớp; đã xem {told}")
    table = Table(box=box.SIMPLE, pad_edge=False, caption=caption.told(language))
    for heading in HEADINGS:
        table.add_column(heading.told(language), overflow="fold")
    for finding in findings:
        # What somebody has written into a row is shown as it stands, and is no markup.
        table.add_row(*(plain(cell) for cell in cells(finding, language)))
    return table
