"""`lienthong document explain` and `trace`: one document's fate, as a paragraph or as a timeline."""

from __future__ import annotations

import os
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Literal

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

Language = Literal["en", "vi", "both"]

DocumentArgument = Annotated[str, typer.Argument(help="A document id, a digest (64 hex digits), or number/notation.")]
SenderOption = Annotated[
    str | None, typer.Option("--from", metavar="CODE", help="The sender, where an id or number is not enough.")
]
RecipientOption = Annotated[
    str | None, typer.Option("--recipient", metavar="CODE", help="Only what concerns this recipient.")
]
LanguageOption = Annotated[
    Language | None, typer.Option("--lang", help="Language of the text; by default that of the terminal.")
]
SHOWN_DELIVERIES = 40
"""So many deliveries are listed in a trace for people; all of them are in --json."""


def default_language() -> Language:
    """Vietnamese where the terminal's locale says so, else English."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "vi" if locale.startswith("vi") else "en"


def explain_command(
    document: DocumentArgument,
    sender: SenderOption = None,
    recipient: RecipientOption = None,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say in one paragraph where a document is, why, and what happens next."""
    story = run(_story(document, sender, recipient))
    explanation = explain(story, now=datetime.now(UTC))
    value = {"id": _id_of(story, document), "en": explanation.en, "vi": explanation.vi}
    emit(value, as_json=as_json, render=lambda _: _paragraph(explanation, lang or default_language()))


def trace_command(
    document: DocumentArgument,
    sender: SenderOption = None,
    recipient: RecipientOption = None,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything recorded of a document as a timeline, and where each delivery stands."""
    story = run(_story(document, sender, recipient))
    value = {
        "id": _id_of(story, document),
        "document": asdict(story.document) if story.document else None,
        "timeline": [
            asdict(moment) | {"what": moment.what.en, "what_vi": moment.what.vi} for moment in timeline(story)
        ],
        "deliveries": [asdict(delivery) for delivery in story.deliveries],
        "rejections": [asdict(rejection) for rejection in story.rejections],
    }
    emit(value, as_json=as_json, render=lambda _: Group(*render_story(story, lang or default_language())))


def render_story(story: Story, lang: Language) -> list[Text | Table]:
    """The timeline and the deliveries of `story`, for a terminal."""
    shown: list[Text | Table] = []
    if story.document is not None:
        head = story.document
        title = f"{head.type} {head.number}/{head.notation}".strip(" /")
        shown.append(Text.assemble((f"{title}  ", "bold"), f"{head.sender_name} ({head.sender})"))
        shown.append(Text(head.subject))
        shown.append(Text(f"id {head.id}   digest {head.digest}", style="dim"))
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in ("time (ICT)", "what", "who", "signed", "detail"):
        table.add_column(column)
    for moment in timeline(story):
        style = "red" if "refused" in moment.what.en or moment.what.en == "overdue" else ""
        signed = "✔" if moment.signed else ""
        table.add_row(
            _precise(moment.at), in_language(moment.what, lang), moment.who, signed, moment.detail, style=style
        )
    shown.append(table)
    if story.deliveries:
        shown.append(_deliveries(story, lang))
    return shown


def _deliveries(story: Story, lang: Language) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in ("recipient", "name", "state", "through", "addressed as", "copies"):
        table.add_column(column)
    for delivery in story.deliveries[:SHOWN_DELIVERIES]:
        state = delivery.state
        table.add_row(
            delivery.recipient,
            delivery.recipient_name,
            in_language(PROCESSING[state], lang),
            "" if delivery.owner == delivery.recipient else delivery.owner,
            "" if delivery.addressed_as == delivery.recipient else delivery.addressed_as,
            str(delivery.sends),
        )
    more = len(story.deliveries) - SHOWN_DELIVERIES
    if more > 0:
        table.caption = f"… and {more} more; all of them with --json"
    return table


def in_language(words: Words, lang: Language) -> str:
    """`words` in one language, or in both."""
    return {"en": words.en, "vi": words.vi, "both": f"{words.vi} / {words.en}"}[lang]


def _paragraph(explanation: Explanation, lang: Language) -> Text:
    return Text({"en": explanation.en, "vi": explanation.vi, "both": f"{explanation.vi}\n\n{explanation.en}"}[lang])


def _precise(at: datetime) -> str:
    return f"{local(at)}.{at.microsecond // 1000:03d}"


def _id_of(story: Story, asked: str) -> str:
    return str(story.document.id) if story.document is not None else asked


async def _story(document: str, sender: str | None, recipient: str | None) -> Story:
    async with connect(load_settings().database_url) as connection:
        return await story_of(connection, document, sender=sender, recipient=recipient)
