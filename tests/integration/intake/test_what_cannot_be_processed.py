"""One message that cannot be processed never stops its neighbours, and nothing is given up without a trace."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import orjson

from schemas.jws import parse_message
from schemas.wire import LT_ATTEMPT, LT_SUBMITTER
from tests.conftest import Vhost
from tests.kit.exchange import Exchange, running_exchange

POISON = "độc"
REFUSE_POISON = f"""
CREATE FUNCTION choke() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.subject = '{POISON}' THEN RAISE EXCEPTION 'this row cannot be stored'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER choke BEFORE INSERT ON document FOR EACH ROW EXECUTE FUNCTION choke();
"""


async def test_a_poisonous_message_is_isolated_tried_again_and_put_aside(
    vhost: Vhost, migrated_database: str, tmp_path: Path
) -> None:
    async with running_exchange(vhost, migrated_database, tmp_path, workers=0, max_attempts=2) as x:
        sender, recipient = await x.add("G01"), await x.add("H53", "province")
        await x.pool.execute(REFUSE_POISON)
        good = [x.letter(sender, [recipient]) for _ in range(12)]
        bad = x.letter(sender, [recipient], document={"subject": POISON})
        for letter in [*good[:5], bad, *good[5:]]:
            await x.send(letter, sender)
        await x.start_worker()
        for letter in good:
            await x.notice_at(sender, letter, "accepted")
        item = await x.notice_at(sender, bad, "quarantined")
        assert item.error == "LT-BROKER"
        dead = await x.raw("lt.dead")
        assert parse_message(dead.body, slip_allowed=False).signed.digest == bad.digest
        assert dead.headers[LT_SUBMITTER] == sender.code and dead.headers[LT_ATTEMPT] == 1
        row = await x.pool.fetchrow("SELECT code, quarantined, body, amqp_user FROM rejection")
        assert row is not None and tuple(row) == ("LT-BROKER", True, bad.body, sender.code)
        assert POISON not in orjson.dumps(item.detail).decode()
        assert await x.depth("lt.intake.normal") == 0


async def test_a_message_without_a_user_goes_to_the_dead_letters_with_its_reason(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(sender, [recipient])
    await exchange.submit(letter.body, sender, user_id=None)
    dead = await exchange.raw("lt.dead")
    assert "LT-USER" in str(dead.headers["lt-reason"])
    assert await exchange.value("SELECT code FROM rejection WHERE amqp_user IS NULL") == "LT-USER"
    assert await exchange.value("SELECT count(*) FROM document") == 0
    await exchange.submit(letter.body, sender)
    await exchange.document_at(recipient, letter)


async def test_headers_that_only_the_broker_may_set_change_nothing(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    letter = exchange.letter(sender, [recipient])
    await exchange.submit(letter.body, sender, headers={LT_SUBMITTER: recipient.code, LT_ATTEMPT: 99, "lt-from": "X"})
    copy = await exchange.document_at(recipient, letter)
    assert copy.raw.headers["lt-from"] == sender.code and LT_SUBMITTER not in copy.raw.headers
    await exchange.notice_at(sender, letter, "accepted")


async def test_while_the_database_is_away_nothing_is_lost_and_no_attempt_counts(exchange: Exchange) -> None:
    sender, recipient = await exchange.add("G01"), await exchange.add("H53", "province")
    name = await exchange.value("SELECT current_database()")
    elsewhere = await asyncpg.connect(exchange.settings.database_url.replace(name, "postgres"))
    letters = [exchange.letter(sender, [recipient]) for _ in range(10)]
    try:
        await elsewhere.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        await elsewhere.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        for letter in letters:
            await exchange.send(letter, sender)
        await exchange.until_depth("lt.intake.normal", 0)  # the worker has taken them and waits
    finally:
        await elsewhere.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
        await elsewhere.close()
    for letter in letters:
        await exchange.document_at(recipient, letter)
        await exchange.notice_at(sender, letter, "accepted")
    assert await exchange.value("SELECT count(*) FROM rejection") == 0
    assert await exchange.depth("lt.retry.5s") == 0
