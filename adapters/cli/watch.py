"""`lienthong-agency watch`: take part by files in a folder. Thin: opens agency and folder, prints what happens."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters import Agency
from adapters.cli.output import JsonOption, emit_line, run, say
from adapters.cli.setup import CONFIG
from adapters.folder.texts import plain
from adapters.settings import load
from schemas.problem import NOT_GOOD

if TYPE_CHECKING:
    from adapters.folder.watch import Happened

ANSWER_WITHIN_SECONDS = 30.0
EMPTY_AFTER_SECONDS = 2.0
NOT_SENT = ("refused", "rejected", "status-refused")


def watch_command(
    folder: Annotated[Path, typer.Argument(help="The folder; outbox/, sent/, refused/ and inbox/ are made in it.")],
    once: Annotated[
        bool, typer.Option("--once", help="Send and receive what there is, then end: with 1 if something was refused.")
    ] = False,
    edxml: Annotated[bool, typer.Option("--edxml", help="Also write what came as edXML files.")] = False,
    settle: Annotated[
        float, typer.Option("--settle", min=0.1, help="Seconds a file must rest before it is taken.")
    ] = 2,
    every: Annotated[float, typer.Option("--every", min=0.1, help="Seconds between looks, for network folders.")] = 2,
    missing_after: Annotated[
        float, typer.Option("--missing-after", min=1, help="Seconds until a note tells what a file waits for.")
    ] = 60,
    config: Annotated[
        Path, typer.Option("--config", "-c", envvar="LIENTHONG_AGENCY", help="The agency's settings.")
    ] = Path(CONFIG),
    as_json: JsonOption = False,
) -> None:
    """Watch a folder: send what is dropped into outbox/, lay down what comes in inbox/."""
    habits = {"settle": settle, "every": every, "missing_after": missing_after}
    run(_watch(config, folder, habits, edxml=edxml, once=once, as_json=as_json))


async def _watch(
    config: Path, folder: Path, habits: dict[str, float], *, edxml: bool, once: bool, as_json: bool
) -> None:
    # Only this command needs them: the others start sooner without.
    from adapters.folder.places import opened
    from adapters.folder.watch import Habits, Watch

    settings = load(config)

    refused: list[Happened] = []

    def tell(happened: Happened) -> None:
        if happened.what in NOT_SENT:
            refused.append(happened)
        emit_line(_value(happened, folder), as_json=as_json, text=_text)

    with opened(folder, settings.data_dir) as places:
        async with Agency.open(settings) as me:
            watch = Watch(me, places, Habits(edxml=edxml, **habits), tell)
            if once:
                await me.wait_connected()
                await watch.drain(idle=EMPTY_AFTER_SECONDS, answer_within=ANSWER_WITHIN_SECONDS)
                if refused:
                    raise typer.Exit(NOT_GOOD)
                return
            say(f"Watching {places.root} for {settings.code} / Đang theo dõi {places.root}")
            await _until_told(watch.run())


async def _until_told(running: Any) -> None:
    """Run until SIGTERM or SIGINT, then end in good order."""
    task, loop = asyncio.ensure_future(running), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        say("Stopped. What was dropped and not taken stays in outbox/ / Đã dừng.")
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _value(happened: Happened, folder: Path) -> dict[str, Any]:
    place = happened.place
    return {
        "what": happened.what,
        "names": list(happened.names),
        "id": happened.id,
        "place": None if place is None else _short(place, folder),
        "code": happened.code,
        "reasons": [{"en": one.en, "vi": one.vi} for one in happened.told],
    }


def _short(place: Path, folder: Path) -> str:
    root = folder.absolute()
    return str(place.relative_to(root)) if place.is_relative_to(root) else str(place)


def _text(value: dict[str, Any]) -> str:
    head = " ".join(
        part
        for part in (value["what"], value["code"] or "", plain(", ".join(value["names"])), value["id"] or "")
        if part
    )
    place = f" → {plain(value['place'])}" if value["place"] else ""
    reasons = "".join(f"\n  {one['vi']}\n  {one['en']}" for one in value["reasons"])
    return "\n".join(plain(line) for line in f"{head}{place}{reasons}".split("\n"))
