"""An auditor whose terminal is Vietnamese reads no English; one whose terminal is English no Vietnamese headings."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from tests.integration.audit.test_questions import sent
from tests.kit import forked
from tests.kit.exchange import Exchange
from tests.kit.following import follow

ENGLISH = re.compile(
    r"\b(accepted|agency|arrived|being|code|complete|copies|deliveries|detail|digest|documents?|entry|expected|field|found|"
    r"handed|kept|mailbox|missing|name|nobody|not|nothing|overdue|overview|processing|received|recipients?|refused|reported|"
    r"sender|sent|shown|signed|signer|state|status|subject|the|tier|time|through|total|what|who)\b",
    re.I,
)
COMMANDS = (
    ("audit", "search"),
    ("audit", "search", "--refused"),
    ("audit", "trace", "{id}"),
    ("audit", "missing", "{id}"),
    ("audit", "agency", "{sender}"),
    ("audit", "overdue"),
    ("audit", "refused"),
    ("audit", "overview"),
    ("audit", "overview", "--document", "{id}"),
    ("audit", "recount"),
    ("audit", "report"),
    ("audit", "report", "--by", "level"),
    ("audit", "report", "--by", "agency"),
    ("document", "explain", "{id}"),
    ("document", "trace", "{id}"),
)


async def test_every_answer_is_told_in_the_language_of_the_terminal(exchange: Exchange, tmp_path: Path) -> None:
    letter, commune, other = await sent(exchange)
    stranger = exchange.letter(exchange.ends[commune], [exchange.ends[other]])
    await exchange.send(stranger, exchange.ends[other])  # who may not speak for the commune
    await exchange.until_value("SELECT count(*) FROM rejection", 1)
    sender = next(code for code in exchange.ends if code.endswith(".G01"))
    await follow(exchange.settings.database_url)
    bare = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
    configured = bare | {
        "LIENTHONG_HOME": str(exchange.settings.home),
        "LIENTHONG_DATABASE_URL": str(exchange.settings.database_url),
        "LIENTHONG_AMQP_URL": str(exchange.settings.amqp_url),
        "LC_ALL": "",
        "LC_MESSAGES": "",
    }
    for words in COMMANDS:
        command = [word.format(id=letter.id, sender=sender) for word in words]
        told = {}
        for lang in ("vi_VN.UTF-8", "en_US.UTF-8"):
            environment = configured | {"LANG": lang}
            done = await asyncio.to_thread(forked.run, "lienthong", *command, cwd=tmp_path, env=environment)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            told[lang] = done.stdout + done.stderr
        assert _english(told["vi_VN.UTF-8"], str(letter.id)) is None, (command, told["vi_VN.UTF-8"])
        assert _english(told["en_US.UTF-8"], str(letter.id)) is not None, command
        assert "trạng thái" not in told["en_US.UTF-8"], command


def _english(text: str, beside: str) -> str | None:
    """An English word in what is told, `beside` left out."""
    found = ENGLISH.search(text.replace(beside, ""))
    return None if found is None else found[0]


@pytest.mark.parametrize("language", ["vi", "en"])
async def test_an_option_goes_before_the_terminals_language(language: str, exchange: Exchange, tmp_path: Path) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")},
        "LIENTHONG_DATABASE_URL": str(exchange.settings.database_url),
        "LIENTHONG_AMQP_URL": str(exchange.settings.amqp_url),
        "LC_ALL": "vi_VN.UTF-8" if language == "en" else "en_US.UTF-8",
    }
    for command in (("audit", "overdue"), ("audit", "search"), ("audit", "report")):
        done = await asyncio.to_thread(
            forked.run, "lienthong", *command, "--lang", language, cwd=tmp_path, env=environment
        )
        assert (_english(done.stdout, "-") is None) is (language == "vi"), done.stdout
