"""`lienthong fsck`: is everything there, and does it fit together?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from broker.cli.findings import findings_table
from broker.cli.output import JsonOption, emit, progress, run
from broker.content.opening import open_content
from broker.evidence.findings import Finding
from broker.evidence.fsck import check_content, check_files, check_rows
from broker.evidence.keys import read_vkeys, vkey_file
from broker.settings import Settings, load_settings
from broker.store.pool import connect
from schemas.command_line import LanguageOption, terminal_language
from schemas.languages import Language, Words
from schemas.problem import NOT_GOOD

GOOD: Final = Words("Everything is there and fits together", "Mọi thứ đều có và khớp nhau")
CHECKING: Final = Words("checking", "đang kiểm tra")


def command(
    repair: Annotated[
        bool, typer.Option("--repair", help="Write the log's static files anew where they are not right.")
    ] = False,
    read_content: Annotated[bool, typer.Option("--read-content", help="Read every part through.")] = False,
    lang: LanguageOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the log's files, the exchange's rows and the content. Ends with code 1 if something is not right.

    With --repair, what derives from the database is made anew; it is still listed, and the next run should be good.
    """
    language = lang or terminal_language()
    findings, looked_at = run(_fsck(load_settings(), repair, read_content, language))
    value = {"good": not findings, "repaired": repair, "looked_at": looked_at, "findings": findings}
    emit(
        value,
        as_json=as_json,
        render=lambda _: findings_table(findings, len(findings), looked_at, good=GOOD, language=language),
    )
    if findings:
        raise typer.Exit(NOT_GOOD)


async def _fsck(
    settings: Settings, repair: bool, read_content: bool, language: Language
) -> tuple[list[Finding], dict[str, int]]:
    now = datetime.now(UTC)
    looked_at: dict[str, int] = {}
    vkeys = read_vkeys(vkey_file(settings.log_key_file))
    findings: list[Finding] = []
    with progress(CHECKING.told(language), language=language) as move:

        def step(what: str, steps: int) -> None:
            looked_at[what] = looked_at.get(what, 0) + steps
            move(steps)

        async with connect(settings.database_url) as connection:
            findings += [
                f async for f in check_files(connection, vkeys, settings.log_dir, repair=repair, progress=step)
            ]
            findings += [f async for f in check_rows(connection, now, step)]
            store = open_content(settings)
            findings += [f async for f in check_content(connection, store, now, step, read=read_content)]
    return findings, looked_at
