"""How a mail is turned away inside the SMTP session, so that the sender's own server tells the clerk. Pure.

Refusing in the session never makes a mail of ours, so nothing of it can hit somebody whose address was forged.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# A line of a reply has at most 512 bytes (RFC 5321 §4.5.3.1.5); code, class and line end need some.
LINE: Final = 480


class Turned(Exception):
    """A mail that is not taken: an SMTP code with its class, and why in both languages."""

    def __init__(self, code: str, vi: str, en: str, *, logged: str | None = None) -> None:
        super().__init__(en)
        self.code = code
        self.vi = vi
        self.en = en
        # For the log, which never has anything of a document's text.
        self.logged = logged or en

    @property
    def reply(self) -> str:
        """Two lines for the server at the other end: Vietnamese without diacritics, and English."""
        number, _, _ = self.code.partition(" ")
        return f"{number}-{self.code.partition(' ')[2]} {ascii_line(self.vi)}\r\n{self.code} {ascii_line(self.en)}"


def ascii_line(text: str) -> str:
    """One line of printable ASCII of bounded length; letters keep their shape, everything else becomes a dot."""
    plain = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    letters = "".join(one for one in plain if not unicodedata.combining(one))
    safe = "".join(one if " " <= one <= "~" else " " if one.isspace() else "." for one in letters)
    return " ".join(safe.split())[:LINE]
