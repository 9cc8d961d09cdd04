"""`lienthong document explain` and `trace`: one document's fate, as a paragraph or as a timeline."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from broker.audit.explain import Explanation, explain, local
from broker.audit.read import story_of
from broker.audit.record import Story
from broker.audit.timeline import timeline
from broker.audit.words import PROCESSING, Words
from broker.cli.output import JsonOption, emit, run
from broker.settings import load_settings
from broker.store.pool import connect
from schemas.command_line import BothOption, terminal_language
from schemas.languages import LanguageOrBoth

DocumentArgument = Annotated[str, typer.Argument(help="A document id, a digest (64 hex digits), or number/notation.")]
SenderOption = Annotated[
    str | None, typer.Option("--from", metavar="CODE", help="The sender, where an id or number is not enough.")
]
RecipientOption = Annotated[
    str | None, typer.Option("--recipient", metavar="CODE", help="Only what concerns this recipient.")
]
SHOWN_DELIVERIES = 40
"""So many deliveries are listed in a trace for people; all of them are in --json."""


TIMELINE: Final = (
    Words("time (ICT)", "thời điểm (ICT)"),
    Words("what", "sự việc"),
    Words("who", "cơ quan"),
    Words("signed", "ký"),
    Words("detail", "chi tiết"),
)
DELIVERIES: Final = (
    Words("recipient", "nơi nhận"),
    Words("name", "tên"),
    Words("state", "trạng thái"),
    Words("through", "qua"),
    Words("addressed as", "ghi là"),
    Words("copies", "số bản"),
)
ID: Final = Words("id", "mã")
DIGEST: Final = Words("digest", "mã băm")
BAD: Final = ("overdue",)


def explain_command(
    document: DocumentArgument,
    sender: SenderOption = None,
    recipient: RecipientOption = None,
    lang: BothOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say in one paragraph where a document is, why, and what happens next."""
    story = run(_story(document, sender, recipient))
    explanation = explain(story, now=datetime.now(UTC))
    value = {"id": _id_of(story, document), "en": explanation.en, "vi": explanation.vi}
    emit(value, as_json=as_json, render=lambda _: _paragraph(explanation, lang or terminal_language()))


def trace_command(
    document: DocumentArgument,
    sender: SenderOption = None,
    recipient: RecipientOption = None,
    lang: BothOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything recorded of a document as a timeline, and where each delivery stands."""
    story = run(_story(document, sender, recipient))
    value = {
        "id": _id_of(story, document),
        "document": asdict(story.document) if story.document else None,
        "timeline": [
            asdict(moment)
            | {
                "what": moment.what.en,
                "who": moment.who.en,
                "detail": moment.detail.en,
                "what_vi": moment.what.vi,
            }
            for moment in timeline(story)
        ],
        "deliveries": [asdict(delivery) for delivery in story.deliveries],
        "rejections": [asdict(rejection) for rejection in story.rejections],
    }
    emit(value, as_json=as_json, render=lambda _: Group(*render_story(story, lang or terminal_language())))


def render_story(story: Story, lang: LanguageOrBoth) -> list[Text | Table]:
    """The timeline and the deliveries of `story`, for a terminal."""
    shown: list[Text | Table] = []
    names = {delivery.recipient: delivery.recipient_name for delivery in story.deliveries}
    names |= {delivery.owner: delivery.owner_name for delivery in story.deliveries}
    if story.document is not None:
        head = story.document
        names[head.sender] = head.sender_name
        title = f"{head.type} {head.number}/{head.notation}".strip(" /")
        shown.append(Text.assemble((f"{title}  ", "bold"), f"{head.sender_name} ({head.sender})"))
        shown.append(Text(head.subject))
        shown.append(Text(f"{ID.told(lang)} {head.id}   {DIGEST.told(lang)} {head.digest}", style="dim"))
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in TIMELINE:
        table.add_column(column.told(lang))
    for moment in timeline(story):
        style = "red" if "refused" in moment.what.en or moment.what.en in BAD else ""
        who = _once(moment.who, lang)
        named = f"{who} {names[who]}" if names.get(who) else who
        signed = "✔" if moment.signed else ""
        table.add_row(
            _precise(moment.at),
            moment.what.told(lang),
            Text(named),
            signed,
            Text(_once(moment.detail, lang)),
            style=style,
        )
    shown.append(table)
    if story.deliveries:
        shown.append(_deliveries(story, lang))
    return shown


def _once(words: Words, lang: LanguageOrBoth) -> str:
    """In one language or both; what is the same in both is not said twice."""
    return words.en if words.en == words.vi else words.told(lang)


def _deliveries(story: Story, lang: LanguageOrBoth) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in DELIVERIES:
        table.add_column(column.told(lang))
    for delivery in story.deliveries[:SHOWN_DELIVERIES]:
        table.add_row(
            delivery.recipient,
            delivery.recipient_name,
            PROCESSING[delivery.state].told(lang),
            "" if delivery.owner == delivery.recipient else delivery.owner,
            "" if delivery.addressed_as == delivery.recipient else delivery.addressed_as,
            str(delivery.sends),
        )
    more = len(story.deliveries) - SHOWN_DELIVERIES
    if more > 0:
        left = Words(f"… and {more} more; all of them with --json", f"… còn {more} nơi nhận; tất cả có trong --json")
        table.caption = left.told(lang)
    return table


def _paragraph(explanation: Explanation, lang: LanguageOrBoth) -> Text:
    return Text({"en": explanation.en, "vi": explanation.vi, "both": f"{explanation.vi}\n\n{explanation.en}"}[lang])


def _precise(at: datetime) -> str:
    return f"{local(at)}.{at.microsecond // 1000:03d}"


def _id_of(story: Story, asked: str) -> str:
    return str(story.document.id) if story.document is not None else asked


async def _story(document: str, sender: str | None, recipient: str | None) -> Story:
    async with connect(load_settings().database_url) as connection:
        return await story_of(connection, document, sender=sender, recipient=recipient)
