"""A day of an exchange, for tests that tamper with what it left behind: played once, by real workers and a keeper.

Ministry, province (a hub), its communes (one added, the others imported), another ministry. Documents accepted,
refused, put into quarantine, recalled, asked back, answered, held and cancelled; mandates ended, narrowed and imported
again, agencies closed; a certificate revoked, accounts; enough events to fill a tile and begin another; several
checkpoints on the way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from broker.directory.changes import (
    Author,
    add_alias,
    add_mandate,
    close,
    define_group,
    end_alias,
    end_mandate,
    import_csv,
    remove_group,
    revoke_certificate,
)
from broker.directory.live import today_in_vietnam
from broker.dispatch.notices import NoticeBuilder
from broker.dispatch.notices import item as notice_item
from broker.dispatch.recording import insert_outgoing_notices
from broker.evidence.duties import KeepLog, PublishLog
from broker.gateway.pages.accounts import Role, add_account, set_enabled, set_password
from broker.gateway.vxp import systems
from broker.interventions.documents import cancel, hold, resend
from broker.interventions.quarantine import settle
from broker.upkeep.lease import Lease
from schemas.certificates import new_private_key
from schemas.delivery_events import dispatched
from schemas.manifest.common import Reference
from tests.conftest import Vhost
from tests.integration.evidence.conftest import INSERT
from tests.kit.exchange import End, Exchange, running_exchange
from tests.kit.keeping import keeping
from tests.kit.statuses import eventually, item, replay, report, sent

FILLER = 300
AUTHOR = Author(actor="an operator", reason="a reason")


@dataclass(frozen=True, slots=True)
class Story:
    """Where everything is that the day left behind."""

    database: str
    home: Path
    prefix: str


async def play(vhost: Vhost, database: str, folder: Path) -> Story:
    """Play the day."""
    async with running_exchange(vhost, database, folder) as exchange:
        await _play(exchange)
        return Story(database, exchange.settings.home, exchange.prefix)


async def _play(exchange: Exchange) -> None:
    ministry, other = await exchange.add("G01"), await exchange.add("G02")
    province = await exchange.add("H53", "province")
    commune = await exchange.add("H53.1", "commune", has_mailbox=False, hub=province, parent=province)
    await _import(exchange, province)
    await log_everything(exchange)
    first = await sent(exchange, ministry, province, other)
    hubbed = exchange.letter(other, [commune, province])
    await exchange.send(hubbed, other)
    await eventually(exchange, "SELECT count(*) = 4 FROM delivery WHERE dispatched_at IS NOT NULL")
    await report(exchange, province, item(first, "01", 1), item(first, "03", 2, staff={"name": "An"}))
    await report(exchange, other, item(first, "01", 1), item(first, "02", 3, reason="gửi nhầm"))
    await report(exchange, province, item(hubbed, "01", 1, for_=commune.code))
    await eventually(exchange, "SELECT count(*) = 5 FROM status_entry")
    await exchange.submit(b"{}", ministry)
    unknown = exchange.letter(ministry, [f"{exchange.prefix}.NOBODY"])
    await exchange.send(unknown, ministry)
    await eventually(exchange, "SELECT count(*) = 2 FROM rejection")
    last = await sent(exchange, ministry, province)
    recall = exchange.letter(
        ministry, [province], parts=None, action="recall", concerns=[last.reference()], reason="nhầm"
    )
    await exchange.send(recall, ministry)
    await eventually(exchange, "SELECT count(*) = 1 FROM document WHERE action = 'recall'")
    _, enrolled = await exchange.enrol(other.code, new_private_key("P-256"))
    async with exchange.pool.acquire() as connection:
        await revoke_certificate(connection, enrolled.thumbprint, why="lost", author=AUTHOR)
    await resend(exchange.pool, AUTHOR, str(first.id), recipients=[province.code])
    again = replay(exchange, province, datetime.now(UTC) - timedelta(hours=1))
    await exchange.submit(again.body, province, kind="request")
    async with keeping(exchange, keeper_log_seconds=3600.0):
        await eventually(exchange, "SELECT count(*) = 1 FROM request_message WHERE done_at IS NOT NULL")
        await exchange.all_published()
        await eventually(
            exchange, "SELECT bool_and(dispatched_at IS NOT NULL OR processing = 'cancelled') FROM delivery"
        )
    await _ask_back(exchange, ministry, province)
    await _address(exchange, ministry, province, other)
    await _keep_back(exchange, ministry, other)
    await _let_in(exchange, province)
    await _connect(exchange, province, ministry)
    await exchange.stop_workers()
    await log_everything(exchange)
    for count in (1, 2, FILLER - 3):
        await _fill(exchange, count)
        await log_everything(exchange)


async def _ask_back(exchange: Exchange, ministry: End, province: End) -> None:
    """A document that its recipient gives back; and another one under the same id, which is put into quarantine."""
    asked = await sent(exchange, ministry, province)
    await report(exchange, province, item(asked, "01", 4))
    await eventually(exchange, "SELECT count(*) = 6 FROM status_entry")
    taken = await report(exchange, ministry, item(asked, "13", 5, to=[province.code], reason="thiếu phụ lục"))
    await eventually(exchange, "SELECT count(*) = 2 FROM change_request")
    answers = {"from": ministry.code, "id": str(taken.id)}
    await report(exchange, province, item(asked, "15", 6, answers=answers))
    await eventually(exchange, "SELECT count(*) = 1 FROM change_request WHERE answered_at IS NOT NULL")
    await exchange.send(exchange.letter(ministry, [province], id=str(asked.id)), ministry)
    await eventually(exchange, "SELECT count(*) = 1 FROM rejection WHERE quarantined")
    await exchange.all_published()


async def _address(exchange: Exchange, ministry: End, province: End, other: End) -> None:
    """A document to a group and to nobody; one that an update gives to another; statuses that are refused; what was in
    quarantine settled."""
    await exchange.send(
        exchange.letter(ministry, [f"group:communes/{province.code}", "KHONG.CO"], partial=True), ministry
    )
    plain = await sent(exchange, ministry, province)
    more = {"metadata": True, "added": [other.code]}
    update = exchange.letter(
        ministry, [province], parts=None, action="update", concerns=[plain.reference()], changes=more
    )
    await exchange.send(update, ministry)
    await eventually(exchange, "SELECT count(*) = 1 FROM document WHERE action = 'update'")
    await exchange.all_published()
    wrong = plain.reference() | {"digest": "0" * 64}
    await report(exchange, province, item(plain, "01", 7), item(wrong, "03", 8), item(wrong, "05", 9))
    await report(exchange, province, item(wrong, "03", 10), item(wrong, "05", 11))
    await eventually(exchange, "SELECT count(*) = 4 FROM rejection WHERE kind = 'status'")
    await settle(exchange.pool, AUTHOR, await exchange.value("SELECT rejection_id FROM rejection WHERE quarantined"))
    await exchange.all_published()


async def _keep_back(exchange: Exchange, sender: End, away: End) -> None:
    """Documents to a mailbox that is lost: one is held, the other held and cancelled."""
    await exchange.lose_mailbox(away)
    for number in (1, 2):
        letter = exchange.letter(sender, [away])
        await exchange.send(letter, sender)
        await eventually(
            exchange,
            "SELECT count(*) = $1 FROM delivery WHERE processing <> 'dispatched' "
            "AND dispatched_at IS NULL AND recipient_id = $2",
            number,
            away.id,
        )
        await hold(exchange.pool, AUTHOR, str(letter.id))
    await cancel(exchange.pool, AUTHOR, str(letter.id), grace=timedelta(0))


async def _let_in(exchange: Exchange, province: End) -> None:
    """People who may look at the pages; one of them not any more, one with another password, one came back."""
    who = {"actor": AUTHOR.actor, "reason": AUTHOR.reason}
    people = (
        ("an", Role.auditor, None),
        ("binh", Role.auditor, None),
        ("chi", Role.auditor, province.code),
        ("dung", Role.operator, None),
    )
    async with exchange.pool.acquire() as connection:
        for login, role, root in people:
            await add_account(
                connection,
                login=login,
                full_name=login,
                role=role,
                root=root,
                password=None,
                oidc_subject=f"issuer {login}",
                **who,
            )
        await set_enabled(connection, "binh", False, **who)
        await set_enabled(connection, "chi", False, **who)
        await set_enabled(connection, "chi", True, **who)
        await set_password(connection, "dung", "a rather long passphrase", **who)


async def _connect(exchange: Exchange, first: End, second: End) -> None:
    """Two systems of the REST façade: one with a second secret, the other kept out."""
    settings = exchange.settings
    async with exchange.pool.acquire() as connection:
        for end, name in ((first, "00.53.W09"), (second, "00.01.W02")):
            system = systems.NewSystem(name=name, hub=end.code, addresses=("10.0.0.0/8",), fresh_seconds=300)
            await systems.add(connection, system, settings=settings, author=AUTHOR)
        await systems.rotate(connection, "00.53.W09", overlap=timedelta(days=1), settings=settings, author=AUTHOR)
        await systems.set_state(connection, "00.01.W02", "disabled", author=AUTHOR)


async def _import(exchange: Exchange, hub: End) -> None:
    """Agencies out of a file, whose mandates and states then change."""
    header = "code,name,level,has_mailbox,hub,valid_until,parent,successors,nso_code"
    served = [
        f"{hub.code}.{number},Xã {number},commune,,{hub.code},,{hub.code},,2545{number}" for number in (2, 3, 4, 5)
    ]
    heirs = f"{hub.code}.1=main part;{hub.code}.2=part"
    others = [f"{hub.code}.6,Phường,commune,true,,,,,", f"{hub.code}.7,Xã cũ,commune,,,2025-07-01,{hub.code},{heirs},"]
    data = "\n".join((header, *served, *others)).encode()
    async with exchange.pool.acquire() as connection:
        await import_csv(connection, data, what="communes.csv", author=AUTHOR)
        await end_mandate(connection, hub.code, f"{hub.code}.3", author=AUTHOR)
        await end_mandate(connection, hub.code, f"{hub.code}.4", author=AUTHOR)
        again = f"code,name,hub\n{hub.code}.4,Xã 4,{hub.code}\n".encode()
        await import_csv(connection, again, what="again.csv", author=AUTHOR)
        other = f"code,name,tier,parent\n{hub.code}.4,Xã 4,2,{hub.code}.1\n".encode()
        await import_csv(connection, other, what="other.csv", author=AUTHOR, update=True)
        await add_mandate(connection, hub.code, f"{hub.code}.5", may_receive=True, may_sign=False, author=AUTHOR)
        for alias in ("TN-1", "TN-2"):
            await add_alias(connection, f"{hub.code}.1", alias, kind="local", author=AUTHOR)
        await end_alias(connection, f"{hub.code}.1", "TN-2", author=AUTHOR)
        for group in ("bão", "lụt"):
            members = [hub.code, f"{hub.code}.1"]
            await define_group(connection, group, title=f"Phòng chống {group}", members=members, author=AUTHOR)
        await remove_group(connection, "lụt", author=AUTHOR)
        today = today_in_vietnam()
        await close(connection, f"{hub.code}.6", on=today, successors=[(f"{hub.code}.1", "whole")], author=AUTHOR)
        await close(connection, f"{hub.code}.5", on=today + timedelta(days=30), author=AUTHOR)


async def _fill(exchange: Exchange, count: int) -> None:
    """Many events: notices that went out."""
    at, owner = datetime.now(UTC), next(end for end in exchange.ends.values() if end.has_mailbox)
    events = []
    async with exchange.pool.acquire() as connection, connection.transaction():
        for number in range(count):
            notices, now = NoticeBuilder(exchange.identity), at + timedelta(microseconds=number)
            notices.add(owner.id, owner.code, notice_item("mailbox-reset", concerns=None, at=now))
            (notice,) = notices.build(now)
            (row,) = await insert_outgoing_notices(connection, [(owner.id, notice.signed.stored())], now)
            await connection.execute("UPDATE outgoing SET published_at = $2 WHERE outgoing_id = $1", row, now)
            message = Reference(from_=exchange.identity.code, id=notice.id, digest=notice.signed.digest)
            events.append(dispatched(at=now, message=message, kind="notice", attempt=1, owners=[owner.code]))
        arguments = [[getattr(event, name) for event in events] for name in ("at", "kind", "body", "leaf")]
        await connection.execute(INSERT, *arguments)


async def log_everything(exchange: Exchange) -> None:
    """Sequence, sign and publish everything there is."""
    lease = Lease(exchange.pool, seconds=60)
    await eventually(exchange, "SELECT NOT EXISTS (SELECT FROM keeper_lease WHERE expires_at > clock_timestamp())")
    assert await lease.take()
    log, files = KeepLog(exchange.pool, exchange.settings), PublishLog(exchange.pool, exchange.settings)
    while await exchange.value("SELECT count(*) FROM event") > await exchange.value("SELECT count(*) FROM log_entry"):
        await log.run(lease)
    await log.run(lease)
    await files.run(lease)
    await lease.release()
