"""Makes the demonstration's papers: real PDF files in Vietnamese, with the fonts embedded.

A paper may carry a "scan", a picture that does not compress, which makes it as large as scanned papers are.
"""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from font_roboto import Roboto
from PIL import Image
from reportlab import rl_config
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
    """A grey picture of noise, about `size` bytes: what a scanner makes of a stamped page."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.width = self.height = 120 * mm
        self._size = size

    def draw(self) -> None:
        """Put the picture on the page; a JPEG goes into the file as it is."""
        self.canv.drawImage(ImageReader(io.BytesIO(_noise(self._size))), 0, 0, self.width, self.height)


@lru_cache(maxsize=16)
def _noise(size: int) -> bytes:
    """A JPEG of about `size` bytes."""
    # Noise does not compress: at this quality a grey pixel takes nearly one byte.
    side = max(16, int(size**0.5))
    pixels = random.Random(size).randbytes(side * side)  # noqa: S311 — a picture, not a secret
    picture = io.BytesIO()
    Image.frombytes("L", (side, side), pixels).save(picture, "JPEG", quality=90)
    return picture.getvalue()


def write_paper(
    path: Path,
    *,
    agency: str,
    number: str,
    title: str,
    subject: str,
    paragraphs: Sequence[str],
    scan_bytes: int,
) -> int:
    """Write one paper to `path` and return its size in bytes.

    `scan_bytes` is about the size of the scanned page to embed, 0 for none.
    """
    # Binary streams: a text encoding would cost a quarter of the size and most of the time.
    rl_config.useA85 = 0
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
        story.append(Scan(scan_bytes))
    SimpleDocTemplate(str(path), pagesize=A4, title=f"{title} {number}", author=agency, invariant=1).build(story)
    return path.stat().st_size
