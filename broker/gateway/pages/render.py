"""Templates into pages: Jinja2 with everything escaped, dates of Viet Nam, numbers as each language writes them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from broker.audit.period import VIETNAM
from broker.audit.words import CHANGE, CHANGE_STATE, PRIORITY, PROCESSING, STATUS, TIERS, Words
from broker.gateway.pages import told
from broker.gateway.pages.catalogue import TEXTS
from broker.gateway.pages.texts import Language, text
from schemas.errors import CATALOGUE

if TYPE_CHECKING:
    from broker.gateway.pages.guard import Visit

STATIC: Final = ("lienthong.css", "lienthong.js", "emblem.svg")
MEDIA_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

TONES: Final[Mapping[str, str]] = {
    "accepted": "waiting",
    "dispatched": "waiting",
    "arrived": "good",
    "received": "good",
    "assigned": "good",
    "processing": "good",
    "completed": "done",
    "refused": "bad",
    "held": "still",
    "cancelled": "still",
    "recalled": "still",
    "moved": "still",
    "overdue": "late",
}
"""How a state is coloured; each tone has a sign of its own as well, so that nothing rests on colour."""


@lru_cache(maxsize=1)
def renderer() -> Renderer:
    """The one of this process, its templates compiled."""
    made = Renderer()
    for name in made.environment.list_templates():
        made.environment.get_template(name)
    return made


class Renderer:
    """Makes pages; keeps nothing of a visit."""

    def __init__(self) -> None:
        self.static: dict[str, bytes] = {
            name: files("broker.gateway.pages").joinpath("static", name).read_bytes() for name in STATIC
        }
        self.version = hashlib.sha256(b"".join(self.static.values())).hexdigest()[:12]
        self.environment = Environment(
            loader=PackageLoader("broker.gateway.pages", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self.environment.globals |= {
            "t": _t,
            "version": self.version,
            "PROCESSING": PROCESSING,
            "STATUS": STATUS,
            "CHANGE": CHANGE,
            "CHANGE_STATE": CHANGE_STATE,
            "TIERS": TIERS,
            "PRIORITY": PRIORITY,
            "TONES": TONES,
            "query": _query,
            "percent": _percent,
        }
        self.environment.filters |= {
            "words": _words,
            "n": _number,
            "when": _when,
            "day": _day,
            "segment": lambda value: quote(str(value), safe=""),
            "size": _size,
            "lasting": _lasting,
            "quoted": _quoted,
            "local_days": lambda text: _ISO_DAY.sub(r"\3/\2/\1", text),
            "party": _party,
            "told": _told,
            "why": pass_context(lambda context, finding: told.why(finding, _language(context))),
            "clause": pass_context(lambda context, clause: _commands(told.clause(clause, _language(context)))),
            "dead": pass_context(lambda context, reason: told.dead(reason, _language(context))),
            "error_words": _error_words,
            "action": _action,
            "short": lambda value, keep=12: f"{str(value)[:keep]}…" if len(str(value)) > keep else str(value),
        }

    def page(self, template: str, *, status: int, visit: Visit, **values: Any) -> Response:
        """The page of a template, for one visit."""
        html = self.environment.get_template(template).render(
            visit=visit, language=visit.language, now=datetime.now(UTC), **values
        )
        return HTMLResponse(html, status_code=status, headers={"Content-Language": visit.language, "Vary": "Cookie"})

    def word(self, words: Words, language: Language) -> str:
        """One notion in a language, for what is no page."""
        return words.en if language == "en" else words.vi

    def fragment(self, template: str, *, visit: Visit, **values: Any) -> str:
        """A part of a page."""
        return self.environment.get_template(template).render(
            visit=visit, language=visit.language, now=datetime.now(UTC), **values
        )


def _language(context: Context) -> Language:
    found: Language = context["language"]
    return found


@pass_context
def _t(context: Context, key: str, **values: object) -> str:
    return text(key, _language(context), **values)


@pass_context
def _words(context: Context, words: Words) -> str:
    return words.en if _language(context) == "en" else words.vi


@pass_context
def _number(context: Context, value: int | None) -> str:
    return "–" if value is None else number(value, _language(context))


def number(value: int, language: Language) -> str:
    """`value` with its thousands apart: 1.234 in Vietnamese, 1,234 in English."""
    return f"{value:,}" if language == "en" else f"{value:,}".replace(",", ".")


@pass_context
def _percent(context: Context, part: int, whole: int) -> str:
    """A share as people read it; never 100 % while one is missing, never 0 % where there is one."""
    if whole == 0:
        return "–"
    share = part * 100 / whole
    if 0 < share < 0.1:
        shown = "<0.1"
    elif 99.9 < share < 100:
        shown = ">99.9"
    else:
        shown = f"{share:.1f}".removesuffix(".0")
    return (shown if _language(context) == "en" else shown.replace(".", ",")) + "%"


def _when(at: datetime | None, precise: bool = False) -> Markup:
    """A point in time as people in Viet Nam write it: dd/mm/yyyy hh:mm (ICT)."""
    if at is None:
        return Markup("–")
    local = at.astimezone(VIETNAM)
    form = "%d/%m/%Y %H:%M:%S" if precise else "%d/%m/%Y %H:%M"
    return Markup('<time datetime="{}">{}</time>').format(local.isoformat(timespec="seconds"), local.strftime(form))


def _day(day: date | None) -> Markup:
    if day is None:
        return Markup("–")
    return Markup('<time datetime="{}">{}</time>').format(day.isoformat(), day.strftime("%d/%m/%Y"))


_ISO_DAY: Final = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)\b")
_VIETNAMESE: Final = re.compile(r"[^\x00-\x7f…]")


@pass_context
def _party(context: Context, who: Words) -> str:
    """Who a moment is about, in the visitor's language."""
    return who.told(_language(context))


def _commands(text: str) -> Markup:
    """A sentence in which commands stand between grave accents."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(one) if odd % 2 else one for odd, one in enumerate(pieces))


@pass_context
def _error_words(context: Context, code: str) -> str:
    """What the error catalogue says of a code; nothing for one that it does not have."""
    entry = CATALOGUE.get(code)
    if entry is None:
        return ""
    return entry.en if _language(context) == "en" else entry.vi


@pass_context
def _action(context: Context, action: str) -> str:
    """What an operator did, in words; a word of a newer version as it is."""
    key = f"action.{action}"
    return text(key, _language(context)) if key in TEXTS else action


@pass_context
def _told(context: Context, detail: Words) -> Markup:
    """What a timeline says beside a moment, in the visitor's language; a recipient's own words are marked as such."""
    if _language(context) == "vi":
        return escape(detail.vi)
    return Markup(", ").join(_marked(one) if _VIETNAMESE.search(one) else one for one in detail.en.split(", "))


@pass_context
def _quoted(context: Context, paragraph: str) -> Markup:
    """A paragraph in which what people wrote stands in quotes: it is Vietnamese on every page."""
    pieces = re.split("(“[^”]*”)", paragraph)
    english = _language(context) == "en"
    return Markup("").join(_marked(one) if english and odd % 2 else one for odd, one in enumerate(pieces))


def _marked(text: str) -> Markup:
    return Markup('<span lang="vi">{}</span>').format(text)


@pass_context
def _size(context: Context, size: int) -> str:
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    shown = f"{amount:.0f}" if unit == "B" else f"{amount:.1f}"
    return f"{shown if _language(context) == 'en' else shown.replace('.', ',')} {unit}"


@pass_context
def _lasting(context: Context, seconds: float) -> str:
    """A length of time in its two largest units: 40 giây, 3 giờ 10 phút, 2 ngày 5 giờ."""
    left, units = int(seconds), []
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        number, left = divmod(left, size)
        units.append(f"{number} {_t(context, f'unit.{unit}')}" if number else "")
    first = next((place for place, told in enumerate(units) if told), 3)
    return " ".join(filter(None, units[first : first + 2])) or f"0 {_t(context, 'unit.second')}"


@pass_context
def _query(context: Context, **changes: object) -> str:
    """The address of this page with other parameters; None removes one."""
    visit: Visit = context["visit"]
    kept = {k: v for k, v in visit.request.query_params.items() if k not in changes and v}
    kept |= {k: str(v) for k, v in changes.items() if v is not None and v != ""}
    return f"{visit.request.url.path}?{urlencode(kept)}" if kept else visit.request.url.path
