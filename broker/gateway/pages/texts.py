"""Every text of the pages, by its key, in the visitor's language. Pure; the texts themselves are in `catalogue`."""

from __future__ import annotations

from broker.gateway.pages.catalogue import TEXTS
from schemas.languages import Language

__all__ = ["Language", "text"]


def text(key: str, language: Language, **values: object) -> str:
    """The text under `key`, its places filled in. Raises KeyError for a key that is not in the catalogue."""
    words = TEXTS[key]
    template = words.en if language == "en" else words.vi
    return template.format(**values) if values else template
