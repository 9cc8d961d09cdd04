"""Records of invented traffic, written straight into the tables: for questions that need many documents.

The directory is the national one; senders, fan-out, subjects, times and states are drawn so that lists are as skewed as
real ones: a few ministries write most, a few words are in most subjects, a telegram goes to everybody. The same seed
makes the same traffic. Statuses, events and the log's entries follow from documents and deliveries, in SQL. Signatures
and digests are invented: this is for finding and counting, not for verifying.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg

DIRECTORY = Path(__file__).resolve().parents[2] / "deploy" / "directory"
FILES = ("central.csv", "provinces.csv", "closed_provinces.csv", "departments.csv", "communes.csv")
BATCH = 20_000
TIERS = {"ministry": 1, "province": 1, "department": 2, "district": 2, "commune": 3}

BEGINNINGS = (
    "Về việc", "V/v", "Công văn về việc", "Thông báo về việc", "Báo cáo kết quả", "Kế hoạch", "Quyết định về việc",
    "Công điện về việc", "Giấy mời họp", "Tờ trình về việc",
)  # fmt: skip
DEEDS = (
    "triển khai", "tăng cường", "phối hợp", "hướng dẫn", "báo cáo", "rà soát", "kiểm tra", "ban hành", "điều chỉnh",
    "phê duyệt", "cung cấp thông tin", "lấy ý kiến", "tổ chức", "giải quyết", "đôn đốc", "góp ý dự thảo", "cử cán bộ",
    "bổ sung kinh phí", "thực hiện", "ứng phó",
)  # fmt: skip
MATTERS = (
    "công tác phòng chống thiên tai", "bão số 3", "cải cách hành chính", "chuyển đổi số", "dịch tả lợn châu Phi",
    "an toàn giao thông", "bầu cử đại biểu Quốc hội", "kế hoạch đầu tư công", "thu ngân sách nhà nước",
    "quy hoạch sử dụng đất", "giải phóng mặt bằng", "an toàn thực phẩm", "tuyển dụng viên chức", "thi đua khen thưởng",
    "phòng cháy chữa cháy", "bảo hiểm y tế", "hộ nghèo và cận nghèo", "nước sạch nông thôn", "cháy rừng", "hạn mặn",
    "đề án vị trí việc làm", "khiếu nại tố cáo", "tiếp công dân", "chương trình nông thôn mới", "xuất khẩu gạo",
    "sắp xếp đơn vị hành chính", "lưu trữ điện tử", "kiểm kê tài sản công", "năm học mới", "giá xăng dầu",
)  # fmt: skip
ENDINGS = (
    "trên địa bàn tỉnh", "năm 2026", "quý III", "6 tháng đầu năm", "theo chỉ đạo của Thủ tướng Chính phủ",
    "tại các địa phương", "giai đoạn 2026-2030", "theo Nghị quyết của Quốc hội", "", "", "",
)  # fmt: skip
FATES = (
    ("completed", 44.0), ("received", 25.0), ("arrived", 12.0), ("processing", 10.0), ("assigned", 3.5),
    ("dispatched", 2.0), ("refused", 1.4), ("overdue", 1.0), ("recalled", 0.7), ("cancelled", 0.35), ("held", 0.05),
)  # fmt: skip
FAN_OUTS = ((1, 1, 58.0), (2, 3, 24.0), (4, 10, 14.0), (11, 40, 3.6), (60, 200, 0.38), (3_321, 3_321, 0.004))
"""Recipients from … to …, and how often; about three and a half a document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """An agency of the directory."""

    agency_id: int
    code: str
    name: str
    level: str
    parent_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """How much there is now."""

    documents: int
    deliveries: int
    offices: tuple[Office, ...]


async def load_directory(connection: asyncpg.Connection) -> tuple[Office, ...]:
    """The national directory, with a certificate (of no use but as a row) for everybody."""
    offices: list[Office] = []
    by_code: dict[str, Office] = {}
    agencies, certificates = [], []
    for name in FILES:
        with (DIRECTORY / name).open(encoding="utf-8") as file:
            for row in csv.DictReader(file):
                parent = by_code.get(row.get("parent") or "")
                until = date.fromisoformat(row["valid_until"]) if row.get("valid_until") else None
                office = Office(
                    agency_id=len(offices) + 1,
                    code=row["code"],
                    name=row["name"],
                    level=row["level"],
                    parent_id=parent.agency_id if parent else None,
                )
                offices.append(office)
                by_code.setdefault(office.code, office)
                agencies.append(
                    (
                        office.agency_id,
                        office.code,
                        office.name,
                        office.level,
                        TIERS[office.level],
                        office.parent_id,
                        "closed" if until else "active",
                        row.get("has_mailbox") == "true",
                        True,
                        row.get("nso_code") or None,
                        date(2019, 3, 12),
                        until,
                    )
                )
                always = (datetime(2019, 3, 12, tzinfo=UTC), datetime(2039, 3, 12, tzinfo=UTC))
                thumbprint = office.agency_id.to_bytes(32, "big")
                certificates.append((thumbprint, office.agency_id, b"", *always))
    await connection.copy_records_to_table(
        "agency",
        columns=(
            "agency_id", "code", "name", "level", "tier", "parent_id", "state", "has_mailbox", "derived", "nso_code",
            "valid_from", "valid_until",
        ),
        records=agencies,
    )  # fmt: skip
    columns = ("thumbprint", "agency_id", "der", "not_before", "not_after")
    await connection.copy_records_to_table("certificate", columns=columns, records=certificates)
    await connection.execute("SELECT setval(pg_get_serial_sequence('agency', 'agency_id'), $1)", len(offices))
    return tuple(offices)


async def offices_of(connection: asyncpg.Connection) -> tuple[Office, ...]:
    """The directory of a database that was made before."""
    rows = await connection.fetch("SELECT agency_id, code, name, level, parent_id FROM agency ORDER BY agency_id")
    return tuple(Office(**dict(row)) for row in rows)


async def generate(
    connection: asyncpg.Connection,
    offices: Sequence[Office],
    *,
    deliveries: int,
    first: date = date(2026, 1, 1),
    days: int = 365,
    copies: int = 1,
    seed: int = 1,
    advance: Callable[[int], None] = lambda count: None,
) -> Volume:
    """At least so many deliveries over `days` from `first`, with statuses, events and log entries.

    The tables must hold no documents yet. With `copies` only the first part of the time is drawn, and repeated that
    often with other ids, one after the other: much is made sooner so. `advance` is told of every delivery written.
    """
    deliveries, days = deliveries // copies, days // copies
    await connection.execute("SET session_replication_role = replica")  # foreign keys hold by the way this is made
    made = documents = 0
    drawn = _Drawing(offices, seed=seed)
    expected = deliveries / drawn.mean
    start = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(hours=7)
    document_rows: list[tuple[object, ...]] = []
    delivery_rows: list[tuple[object, ...]] = []
    while made < deliveries:
        documents += 1
        at = start + timedelta(days=days * min(1.0, made / deliveries)) + timedelta(seconds=documents / expected)
        document, to = drawn.document(documents, at)
        document_rows.append(document)
        delivery_rows.extend(to)
        made += len(to)
        if len(delivery_rows) >= BATCH or made >= deliveries:
            await connection.copy_records_to_table("document", columns=DOCUMENT, records=document_rows)
            await connection.copy_records_to_table("delivery", columns=DELIVERY, records=delivery_rows)
            advance(len(delivery_rows))
            document_rows, delivery_rows = [], []
    for copy in range(1, copies):
        for statement in (COPY_DOCUMENTS, COPY_DELIVERIES):
            await connection.execute(statement, documents, copy, timedelta(days=days * copy))
        advance(made)
    documents, made = documents * copies, made * copies
    await connection.execute("SELECT setval(pg_get_serial_sequence('document', 'document_id'), $1)", documents)
    for statement in FOLLOWING:
        await connection.execute(statement)
    await connection.execute("SET session_replication_role = origin")
    return Volume(documents=documents, deliveries=made, offices=tuple(offices))


DOCUMENT = (
    "document_id", "sender_id", "id", "digest", "jws", "action", "priority", "test", "number", "notation", "issued_on",
    "type", "subject", "thumbprint", "submitter_id", "sent_at", "accepted_at", "leaf", "log_by", "recipients",
)  # fmt: skip
DELIVERY = (
    "document_id", "recipient_id", "owner_id", "addressed_as", "processing", "recalled", "due_arrival", "overdue_at",
    "dispatched_at", "arrived_at", "closed_at", "sends", "last_sent_at",
)  # fmt: skip


COPY_DOCUMENTS = """
INSERT INTO document (document_id, sender_id, id, digest, jws, action, priority, test, number, notation, issued_on,
                      type, subject, thumbprint, submitter_id, sent_at, accepted_at, leaf, log_by, recipients)
OVERRIDING SYSTEM VALUE
SELECT d.document_id + $1::bigint * $2::bigint, d.sender_id, encode(substr(k.digest, 1, 16), 'hex')::uuid, k.digest,
       d.jws, d.action, d.priority, d.test, d.number, d.notation, (d.issued_on + $3::interval)::date, d.type, d.subject,
       d.thumbprint, d.submitter_id, d.sent_at + $3, d.accepted_at + $3, k.digest, d.log_by + $3, d.recipients
FROM document d CROSS JOIN LATERAL (SELECT sha256(d.digest || int8send($2)) AS digest) k
WHERE d.document_id <= $1
ORDER BY d.document_id
"""
COPY_DELIVERIES = """
INSERT INTO delivery (document_id, recipient_id, owner_id, addressed_as, processing, recalled, due_arrival, overdue_at,
                      dispatched_at, arrived_at, closed_at, sends, last_sent_at)
SELECT v.document_id + $1::bigint * $2::bigint, v.recipient_id, v.owner_id, v.addressed_as, v.processing, v.recalled,
       v.due_arrival + $3::interval, v.overdue_at + $3, v.dispatched_at + $3, v.arrived_at + $3, v.closed_at + $3,
       v.sends, v.last_sent_at + $3
FROM delivery v WHERE v.document_id <= $1
ORDER BY v.document_id, v.recipient_id
"""


class _Drawing:
    def __init__(self, offices: Sequence[Office], *, seed: int) -> None:
        self._random = random.Random(seed)
        open_ones = [o for o in offices if not o.name.startswith("—")]
        self._by_level = {level: [o for o in open_ones if o.level == level] for level in TIERS}
        self._everybody = [o.agency_id for o in offices]
        self._by_id = {o.agency_id: o for o in offices}
        senders = [("ministry", 45.0), ("province", 26.0), ("department", 27.5), ("commune", 1.5)]
        self._senders, weights = [], []
        for level, share in senders:
            members = self._by_level[level]
            ranks = [1 / (n + 3) for n in range(len(members))]
            self._senders += members
            weights += [share * r / sum(ranks) for r in ranks]
        self._weights = _cumulated(weights)
        receiving = [("province", 40.0), ("department", 35.0), ("commune", 15.0), ("ministry", 10.0)]
        self._recipients, weights = [], []
        for level, share in receiving:
            members = self._by_level[level]
            ranks = [1 / (n + 20) for n in range(len(members))]
            self._recipients += members
            weights += [share * r / sum(ranks) for r in ranks]
        self._receiving = _cumulated(weights)
        self._communes = [o for o in self._by_level["commune"]]
        self._fan_outs = _cumulated([share for _, _, share in FAN_OUTS])
        self._fates = _cumulated([share for _, share in FATES])
        total = sum(share for _, _, share in FAN_OUTS)
        self.mean = sum((low + high) / 2 * share for low, high, share in FAN_OUTS) / total * 0.97

    def document(self, number: int, at: datetime) -> tuple[tuple[object, ...], list[tuple[object, ...]]]:
        draw = self._random
        sender = draw.choices(self._senders, cum_weights=self._weights)[0]
        low, high, _ = draw.choices(FAN_OUTS, cum_weights=self._fan_outs)[0]
        count = draw.randint(low, high)
        if count > 1_000 or number == 1:  # there is always a telegram to all communes
            chosen = [o.agency_id for o in self._communes]
        else:
            chosen = [o.agency_id for o in draw.choices(self._recipients, cum_weights=self._receiving, k=count)]
        to = sorted(set(chosen) - {sender.agency_id}) or [1 if sender.agency_id != 1 else 2]
        priority = draw.choices((0, 1, 2, 3, 4), cum_weights=(80, 92, 96, 99.5, 100))[0]
        digest = draw.randbytes(32)
        accepted = at + timedelta(seconds=1)
        row = (
            number, sender.agency_id, UUID(bytes=digest[:16]), digest, b"", "new", priority, draw.random() < 0.004,
            str(draw.randint(1, 4_000)), f"{sender.code}-{draw.choice(('VP', 'TH', 'KT', 'NC', 'VX'))}",
            at.date(), draw.choice(("Công văn", "Công văn", "Quyết định", "Báo cáo", "Giấy mời")), self._subject(),
            sender.agency_id.to_bytes(32, "big"), sender.agency_id, at, accepted, digest, accepted, len(to),
        )  # fmt: skip
        return row, [self._delivery(number, recipient, accepted) for recipient in to]

    def _subject(self) -> str:
        draw = self._random
        words = [draw.choice(BEGINNINGS), draw.choice(DEEDS), draw.choice(MATTERS), draw.choice(ENDINGS)]
        if draw.random() < 0.1:
            words.append(draw.choice(self._communes).name)
        return " ".join(word for word in words if word)

    def _delivery(self, number: int, recipient: int, accepted: datetime) -> tuple[object, ...]:
        draw = self._random
        fate = FATES[draw.choices(range(len(FATES)), cum_weights=self._fates)[0]][0]
        sent = None if fate in ("cancelled", "held") else accepted + timedelta(milliseconds=300)
        came = sent is not None and fate not in ("dispatched", "overdue", "refused")
        arrived = accepted + timedelta(seconds=draw.randint(1, 900)) if came else None
        closed = accepted + timedelta(hours=30) if fate in ("completed", "refused", "recalled", "cancelled") else None
        due = accepted + timedelta(hours=4)
        state = {"overdue": "dispatched", "recalled": "received"}.get(fate, fate)
        # The owner is the agency itself: the hub of a commune makes no difference to any figure.
        return (
            number, recipient, recipient, self._by_id[recipient].code, state, fate == "recalled", due,
            due if fate == "overdue" else None, sent, arrived, closed, 0 if sent is None else 1, sent,
        )  # fmt: skip


def _cumulated(weights: Sequence[float]) -> list[float]:
    total, sums = 0.0, []
    for weight in weights:
        total += weight
        sums.append(total)
    return sums


FOLLOWING = (
    # One status message for each document: who signed it makes no difference here.
    """INSERT INTO status_message (status_message_id, sender_id, id, digest, jws, thumbprint, concerns_sender_id,
                                   sent_at, accepted_at, leaf, log_by)
       OVERRIDING SYSTEM VALUE
       SELECT d.document_id, d.sender_id, d.id, d.digest, '', d.thumbprint, d.sender_id, d.accepted_at, d.accepted_at,
              d.leaf, d.accepted_at
       FROM document d ORDER BY d.document_id""",
    """INSERT INTO status_entry (document_id, recipient_id, status_message_id, item, by_id, code, at, digest, reason,
                                 recorded_at)
       SELECT v.document_id, v.recipient_id, v.document_id, k.item, v.recipient_id, k.code, d.accepted_at + k.after,
              d.digest, CASE k.code WHEN '02' THEN 'Không thuộc thẩm quyền giải quyết' END, d.accepted_at + k.after
       FROM delivery v JOIN document d ON d.document_id = v.document_id
       JOIN (VALUES (1::smallint, '01', interval '1 minute',
                     ARRAY['arrived', 'received', 'assigned', 'processing', 'completed']),
                    (2::smallint, '06', interval '20 hours', ARRAY['completed']),
                    (3::smallint, '02', interval '40 minutes', ARRAY['refused'])) AS k (item, code, after, states)
         ON v.processing = ANY (k.states)
       ORDER BY v.document_id, v.recipient_id""",
    """INSERT INTO event (at, kind, body, leaf, document_id, epoch)
       SELECT d.accepted_at + k.after, k.kind,
              convert_to(format('{"at":"%s","event":"%s","v":1}', d.accepted_at, k.kind), 'UTF8'),
              sha256(d.digest || convert_to(k.kind, 'UTF8')), d.document_id, 1
       FROM document d CROSS JOIN (VALUES ('accepted', interval '0'), ('dispatched', interval '300 milliseconds'),
                                          ('status_recorded', interval '1 minute')) AS k (kind, after)
       ORDER BY d.accepted_at + k.after, d.document_id""",
    """INSERT INTO log_origin (origin, year, opened_at)
       SELECT 'lt.exchange/' || extract(year FROM now()), extract(year FROM now()), now()
       WHERE NOT EXISTS (SELECT FROM log_origin)""",
    """INSERT INTO log_entry (origin_id, position, event_at, event_id, leaf)
       SELECT 1, row_number() OVER (ORDER BY e.event_id) - 1, e.at, e.event_id, e.leaf FROM event e""",
    """INSERT INTO log_head (origin_id, size, root, changed_at, keeper_epoch)
       SELECT 1, count(*), sha256(''), now(), 1 FROM log_entry""",
    """INSERT INTO log_cursor (epoch, xid, event_id, cluster)
       SELECT 1, max(xid::text::bigint)::text::xid8, max(event_id), 1 FROM event""",
    "ANALYZE agency, document, delivery, status_message, status_entry, event, log_entry",
)
