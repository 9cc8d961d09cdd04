"""What the exchange did is put into a bundle, and the bundle holds without the exchange."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.directory.changes import enrol_certificate, load_roots
from broker.evidence.bundle.check import Checked, check
from broker.evidence.bundle.stamps import stamps_of
from broker.evidence.keys import vkey_file
from broker.evidence.standalone import check_bundle as standalone
from broker.pki.authority import issue
from schemas.certificates import load_certificate, load_certificates, new_private_key, thumbprint
from schemas.problem import Problem
from schemas.verdict import Answer
from tests.integration.evidence.test_witnesses import openssl
from tests.kit.evidence import keys_of, log_now, proved, roots_of
from tests.kit.exchange import AUTHOR, End, Exchange
from tests.kit.go_verifier import built, verified
from tests.kit.statuses import delivery, eventually, forwarded, item, report, sent


async def settled(exchange: Exchange) -> bytes:
    """Everything has left and is in the log; the newest checkpoint's note."""
    await eventually(exchange, "SELECT count(*) = 0 FROM outgoing WHERE published_at IS NULL")
    return await log_now(exchange)


def good(exchange: Exchange, bundle: bytes, **more: bytes) -> Checked:
    """What our checker says of a bundle that both checkers take."""
    checked = check(bundle, keys=keys_of(exchange), roots=roots_of(exchange), **more)
    assert checked.faults == ()
    since = more["since"].decode() if "since" in more else None
    keys = [standalone.read_key(key.encode()) for key in keys_of(exchange)]
    standalone.Checker(bundle, keys, roots_of(exchange), since).check()
    return checked


def lines(bundle: bytes, kind: str) -> list[dict[str, Any]]:
    return [one for one in map(json.loads, bundle.splitlines()) if one["type"] == kind]


async def test_a_delivered_document_is_proved_and_checked_offline(exchange: Exchange) -> None:
    ministry, province = await exchange.add("BO"), await exchange.add("TINH", "province")
    letter = await sent(exchange, ministry, province)
    with pytest.raises(Problem, match="no checkpoint yet"):
        await proved(exchange, str(letter.id))
    for minute, code in enumerate(("01", "03")):
        await forwarded(exchange, ministry, await report(exchange, province, item(letter, code, minute)))
    await settled(exchange)

    bundle = await proved(exchange, str(letter.id))

    checked = good(exchange, bundle)
    (told,) = checked.story
    assert [(one.recipient, one.state) for one in told.deliveries] == [(province.code, "received")]
    assert {one.type for one in checked.signatures} == {"document", "status", "notice", "slip", "seal"}
    kinds = [line["body"]["event"] for line in lines(bundle, "event")]
    assert {"accepted", "dispatched", "status_recorded", "directory_changed"} == set(kinds)
    dispatched = {line["body"]["kind"] for line in lines(bundle, "event") if line["body"]["event"] == "dispatched"}
    assert dispatched == {"document", "notice", "status"}

    late = await sent(exchange, ministry, province)
    with pytest.raises(Problem, match="after the newest checkpoint"):
        await proved(exchange, str(late.id))


async def test_hubs_custody_and_slips_are_told_as_they_were(exchange: Exchange) -> None:
    ministry, hub = await exchange.add("BO"), await exchange.add("HUB", "hub")
    commune = await exchange.add("XA", "commune", has_mailbox=False, hub=hub)
    office = await exchange.add("SO", "department")
    office = await _kept_by_the_exchange(exchange, office)
    letter = await sent(exchange, ministry, office)
    other = exchange.letter(ministry, [commune])
    await exchange.send(other, ministry)
    held = await exchange.document_at(hub, other)
    await forwarded(exchange, ministry, await report(exchange, office, item(letter, "01")))
    await forwarded(exchange, ministry, await report(exchange, hub, item(other, "01", for_=commune.code)))
    await settled(exchange)

    by_custody = good(exchange, await proved(exchange, str(letter.id))).signatures
    assert [one.custody for one in by_custody if one.type == "status"] == ["broker"]
    assert "custody broker" in next(one for one in by_custody if one.type == "status").verdict.policy.why

    bundle = await proved(exchange, str(other.id))
    through_hub = good(exchange, bundle)
    assert [(one.recipient, one.owner, one.state) for one in through_hub.story[0].deliveries] == [
        (commune.code, hub.code, "arrived")
    ]
    assert all(one.verdict.policy.answer is Answer.good for one in through_hub.signatures)

    # The slip says to the byte what the recipient's slip says; ECDSA signs anew each time.
    assert held.slip_signed is not None
    assert [standalone.b64url(line["jws"].split(".")[1]) for line in lines(bundle, "slip")] == [
        held.slip_signed.payload
    ]
    assert lines(bundle, "slip")[0]["jws"] != held.message.slip


async def _kept_by_the_exchange(exchange: Exchange, office: End) -> End:
    """The office with a key that the exchange keeps, in the place of its own."""
    key = new_private_key("P-256")
    pem = issue(exchange.home, code=office.code, public_key=key.public_key(), now=datetime.now(UTC))
    async with exchange.pool.acquire() as connection:
        roots = load_roots(exchange.settings.roots_dir)
        await enrol_certificate(connection, office.code, pem, roots=roots, custody="broker", author=AUTHOR)
    await exchange.refresh()
    certificate = load_certificate(pem)
    return End(
        id=office.id,
        code=office.code,
        key=key,
        certificate=certificate,
        thumbprint=thumbprint(certificate),
        password=office.password,
        has_mailbox=True,
    )


async def test_one_recipients_story_leaves_the_others_out(exchange: Exchange) -> None:
    ministry = await exchange.add("BO")
    one, two = await exchange.add("MOT", "province"), await exchange.add("HAI", "province")
    letter = await sent(exchange, ministry, one, two)
    await forwarded(exchange, ministry, await report(exchange, one, item(letter, "01")))
    await forwarded(exchange, ministry, await report(exchange, two, item(letter, "01")))
    await settled(exchange)

    bundle = await proved(exchange, str(letter.id), recipient=two.code)

    checked = good(exchange, bundle)
    assert [one.recipient for one in checked.story[0].deliveries] == [two.code]
    assert [signed.speaker for signed in checked.signatures if signed.type == "status"] == [two.code]
    assert len(bundle) < len(await proved(exchange, str(letter.id)))


async def test_a_recall_is_part_of_the_documents_story(exchange: Exchange) -> None:
    ministry, province = await exchange.add("BO"), await exchange.add("TINH", "province")
    letter = await sent(exchange, ministry, province)
    await forwarded(exchange, ministry, await report(exchange, province, item(letter, "01")))
    recall = exchange.letter(
        ministry, [province], parts=None, action="recall", concerns=[letter.reference()], reason="sai số liệu"
    )
    await exchange.send(recall, ministry)
    await exchange.document_at(province, recall)
    answer = item(letter, "15", 2, answers=recall.reference())
    await forwarded(exchange, ministry, await report(exchange, province, answer))
    await eventually(exchange, "SELECT bool_or(recalled) FROM delivery")
    await settled(exchange)
    assert (await delivery(exchange, letter, province))["recalled"]

    checked = good(exchange, await proved(exchange, str(letter.id)))

    assert [told.action for told in checked.story] == ["new", "recall"]
    assert [one.state for one in checked.story[0].deliveries] == ["recalled"]


async def test_recipients_that_an_update_added_are_proved_like_the_first_ones(exchange: Exchange) -> None:
    ministry, hub = await exchange.add("BO"), await exchange.add("HUB", "hub")
    one, added = await exchange.add("MOT", "province"), await exchange.add("THEM", "province")
    commune = await exchange.add("XA", "commune", has_mailbox=False, hub=hub)
    letter = await sent(exchange, ministry, one)
    changes = {"metadata": True, "added": [added.code, commune.code]}
    concerns = [letter.reference()]
    update = exchange.letter(ministry, [], parts=None, action="update", concerns=concerns, changes=changes)
    await exchange.send(update, ministry)
    await exchange.document_at(added, letter)
    await exchange.document_at(hub, letter)
    await forwarded(exchange, ministry, await report(exchange, added, item(letter, "01")))
    await forwarded(exchange, ministry, await report(exchange, hub, item(letter, "01", for_=commune.code)))
    await settled(exchange)

    whole = good(exchange, await proved(exchange, str(letter.id)))
    states = {one.recipient: one.state for one in whole.story[0].deliveries}
    assert states == {one.code: "dispatched", added.code: "arrived", commune.code: "arrived"}
    alone = good(exchange, await proved(exchange, str(letter.id), recipient=commune.code))
    assert [one.recipient for one in alone.story[0].deliveries] == [commune.code]


async def test_an_older_checkpoint_is_continued_and_years_are_told_apart(exchange: Exchange) -> None:
    ministry, province = await exchange.add("BO"), await exchange.add("TINH", "province")
    letter = await sent(exchange, ministry, province)
    older = await settled(exchange)
    await forwarded(exchange, ministry, await report(exchange, province, item(letter, "01")))
    next_year = datetime.now(UTC) + timedelta(days=366)
    await eventually(exchange, "SELECT count(*) = 0 FROM outgoing WHERE published_at IS NULL")
    await exchange.pool.execute("UPDATE keeper_lease SET expires_at = now()")
    await log_now(exchange, clock=lambda: next_year)

    bundle = await proved(exchange, str(letter.id), since=older)

    checked = good(exchange, bundle, since=older)
    this_year = exchange.settings.log_origin
    assert [anchor.origin for anchor in checked.anchors] == [
        f"{this_year}/{datetime.now(UTC).year}",
        f"{this_year}/{next_year.year}",
    ]
    assert checked.anchors[0].since is not None
    with pytest.raises(Problem, match="No log here"):
        await proved(exchange, str(letter.id), since=older.replace(b"/20", b"/19"))


async def test_go_takes_a_bundle_and_the_logs_files_that_were_made_here(exchange: Exchange, tmp_path: Path) -> None:
    program = await asyncio.to_thread(built, tmp_path)
    from broker.evidence.publishing import FilePublisher

    ministry, province = await exchange.add("BO"), await exchange.add("TINH", "province")
    letter = await sent(exchange, ministry, province)
    older = await settled(exchange)
    await forwarded(exchange, ministry, await report(exchange, province, item(letter, "01")))
    await exchange.pool.execute("UPDATE keeper_lease SET expires_at = now()")
    await settled(exchange)
    bundle = tmp_path / "bundle"
    bundle.write_bytes(await proved(exchange, str(letter.id), since=older))
    (key,) = keys_of(exchange)
    assert (await asyncio.to_thread(verified, program, "bundle", bundle, key.encode()))[0] == 0

    await FilePublisher(exchange.pool, keys_of(exchange), exchange.settings.log_dir).publish()
    (checkpoint,) = exchange.settings.log_dir.rglob("checkpoint")
    code, said = await asyncio.to_thread(verified, program, "log", checkpoint.parent, key.encode())
    assert (code, said.split()[0]) == (0, "entries"), said


async def test_the_command_line_proves_and_checks(exchange: Exchange, tmp_path: Path) -> None:
    ministry, province = await exchange.add("BO"), await exchange.add("TINH", "province")
    letter = await sent(exchange, ministry, province)
    await settled(exchange)
    configured = {
        "LIENTHONG_HOME": str(exchange.settings.home),
        "LIENTHONG_DATABASE_URL": str(exchange.settings.database_url),
        "LIENTHONG_AMQP_URL": str(exchange.settings.amqp_url),
    }
    bundle, key = tmp_path / "bundle.jsonl", vkey_file(exchange.settings.log_key_file)
    code, said = await _command(configured, "prove", str(letter.id), "-o", str(bundle))
    assert code == 0, said

    check_it = ("check", str(bundle), "--key", str(key), "--root", str(exchange.home.root))
    code, said = await _command({}, *check_it, "--lang", "vi")
    assert code == 0 and "ĐẠT." in said and "trục tiếp nhận" in said
    speaks_vietnamese = {"LC_ALL": "", "LC_MESSAGES": "", "LANG": "vi_VN.UTF-8"}
    assert await _command(speaks_vietnamese, *check_it) == (0, said), "the terminal's language, unless it is told"
    assert not re.search(r"\b(GOOD|recipient|mailbox|state|signature|cryptography|document|log entry)\b", said), said
    bundle.write_bytes(bundle.read_bytes().replace(b'"count":1', b'"count":2', 1))
    code, said = await _command(speaks_vietnamese, *check_it)
    assert code == 1 and "KHÔNG ĐẠT: " in said and "NOT GOOD" not in said and " found " not in said
    code, said = await _command({}, *check_it, "--json")
    assert code == 1
    assert json.loads(said)["faults"][0]["reason"] == "inclusion"


async def _command(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Run `lienthong audit …` in an environment with nothing of the exchange in it but what is given."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "broker.cli",
        "audit",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        env=bare | environment,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_a_timestamp_of_a_checkpoint_that_covers_everything_is_enclosed(
    exchange: Exchange, authority: Path
) -> None:
    ministry, province = await exchange.add("BO"), await exchange.add("TINH", "province")
    letter = await sent(exchange, ministry, province)
    note = await settled(exchange)
    token = await asyncio.to_thread(_stamp, authority, note)
    await exchange.pool.execute(
        """INSERT INTO checkpoint_timestamp
           SELECT origin_id, size, now(), 'test', $1 FROM checkpoint WHERE note = $2""",
        token,
        note,
    )
    await sent(exchange, ministry, province)
    await exchange.pool.execute("UPDATE keeper_lease SET expires_at = now()")
    await settled(exchange)

    checked = good(exchange, await proved(exchange, str(letter.id)))

    (anchor,) = checked.anchors
    assert (anchor.note.encode(), anchor.timestamps) == (note, (token,))
    roots = load_certificates((authority / "root.pem").read_bytes())
    (stamped,), faults = stamps_of(checked, roots)
    assert (stamped.size, faults) == (anchor.size, [])
    assert abs(stamped.at - datetime.now(UTC)) < timedelta(minutes=5)
    _, (fault,) = stamps_of(checked, roots_of(exchange))
    assert fault.reason == "timestamp"


def _stamp(authority: Path, note: bytes) -> bytes:
    (authority / "note").write_bytes(note)
    openssl("ts", "-query", "-data", f"{authority}/note", "-sha256", "-cert", "-out", f"{authority}/query")
    openssl("ts", "-reply", "-config", f"{authority}/tsa.cnf", "-queryfile", f"{authority}/query",
            "-out", f"{authority}/reply")  # fmt: skip
    return (authority / "reply").read_bytes()
