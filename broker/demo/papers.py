"""Makes the demonstration's papers: real PDF files in Vietnamese, with the fonts embedded.

A paper may carry a "scan", a picture that does not compress, which makes it as large as scanned papers are.
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from pathlib import Path

from font_roboto import Roboto
from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer

FONT = "Roboto"
_BODY = ParagraphStyle("body", fontName=FONT, fontSize=11, leading=16, alignment=TA_JUSTIFY, spaceAfter=8)
_HEAD = ParagraphStyle("head", fontName=FONT, fontSize=11, leading=15, alignment=TA_CENTER)
_TITLE = ParagraphStyle("title", parent=_HEAD, fontSize=14, leading=20, spaceBefore=10, spaceAfter=10)


class Scan(Flowable):
    """A grey picture of noise, `size` bytes or a little more once embedded: what a scanner makes of a stamped page."""

    def __init__(self, size: int, randomness: random.Random) -> None:
        super().__init__()
        self.width = self.height = 120 * mm
        # Noise does not compress, and reportlab embeds it in a text encoding that takes five bytes for four.
        self._side = max(16, int((size * 4 / 5) ** 0.5))
        self._randomness = randomness

    def draw(self) -> None:
        """Put the picture on the page."""
        pixels = self._randomness.randbytes(self._side * self._side)
        header = f"P5 {self._side} {self._side} 255\n".encode("ascii")
        self.canv.drawImage(ImageReader(io.BytesIO(header + pixels)), 0, 0, self.width, self.height)


def write_paper(
    path: Path,
    *,
    agency: str,
    number: str,
    title: str,
    subject: str,
    paragraphs: Sequence[str],
    scan_bytes: int,
    seed: int,
) -> int:
    """Write one paper to `path` and return its size in bytes.

    `scan_bytes` is the size of the scanned page to embed, 0 for none; `seed` makes the picture reproducible.
    """
    if FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont(FONT, Roboto))
    story: list[Flowable] = [
        Paragraph(agency.upper(), _HEAD),
        Paragraph("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", _HEAD),
        Paragraph("Độc lập – Tự do – Hạnh phúc", _HEAD),
        Spacer(0, 6 * mm),
        Paragraph(f"Số: {number}", _HEAD),
        Paragraph(title.upper(), _TITLE),
        Paragraph(subject, _HEAD),
        Spacer(0, 6 * mm),
        *(Paragraph(text, _BODY) for text in paragraphs),
    ]
    if scan_bytes:
        story.append(Scan(scan_bytes, random.Random(seed)))  # noqa: S311 — a picture, not a secret
    SimpleDocTemplate(str(path), pagesize=A4, title=f"{title} {number}", author=agency, invariant=1).build(story)
    return path.stat().st_size
