"""What an office is told besides documents: refusals of what it sent, statuses about it, requests to give it back.

Functions of an open SQLite transaction. They mark what they have turned into a mail as handed over, for the offices of
[[mail.office]] only: what concerns other codes is left to whoever reads it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from adapters import heard
from adapters.letter import Ref
from adapters.mail import queue
from adapters.mail.facts import Fact, one_line
from adapters.mail.settings import MailSettings
from schemas.jws import parse_message, parse_stored
from schemas.manifest import DocumentManifest, parse_manifest

log = logging.getLogger("lienthong.mail")

STATUS_WORDS: Mapping[str, tuple[str, str]] = {
    "01": ("Đã đến", "Arrived"),
    "02": ("Từ chối tiếp nhận", "Refused"),
    "03": ("Đã tiếp nhận", "Received"),
    "04": ("Phân công xử lý", "Assigned"),
    "05": ("Đang xử lý", "In progress"),
    "06": ("Hoàn thành", "Completed"),
    "15": ("Đồng ý", "Agreed"),
    "16": ("Không đồng ý", "Declined"),
}
NOTICE_WORDS: Mapping[str, tuple[str, str]] = {
    "rejected": ("Trục liên thông KHÔNG NHẬN văn bản của cơ quan", "The exchange did NOT take your document"),
    "quarantined": ("Văn bản của cơ quan bị giữ lại để kiểm tra", "Your document is held for examination"),
    "overdue": ("Văn bản của cơ quan quá hạn mà chưa đến nơi nhận", "Your document is overdue at a recipient"),
}


def gather(
    connection: sqlite3.Connection, settings: MailSettings, *, codes: Collection[str], domain: str, now: float
) -> int:
    """Turn what has come for the offices into mails; returns how many rows were dealt with.

    `codes` are all agencies that this program speaks for, those with a mailbox and those without.
    """
    return (
        _statuses(connection, settings, domain=domain, now=now)
        + _take_backs(connection, settings, codes, domain=domain, now=now)
        + _notices(connection, settings, domain=domain, now=now)
    )


def _statuses(connection: sqlite3.Connection, settings: MailSettings, *, domain: str, now: float) -> int:
    codes = tuple(settings.offices)
    rows = connection.execute(
        "SELECT no, sender, id, digest, agency, code, body FROM status WHERE handed_at IS NULL AND audience = 'sender'"
        f" AND sender IN ({_marks(codes)}) ORDER BY no LIMIT 100",
        codes,
    ).fetchall()
    for no, sender, id, digest, agency, code, body in rows:
        if code in settings.tell_statuses:
            vi, en = STATUS_WORDS.get(code, (code, code))
            item = json.loads(body)
            facts = [
                Fact("Trạng thái", "Status", f"{code} {vi}", f"{code} {en}"),
                Fact("Cơ quan nhận", "Recipient", agency),
                Fact("Lý do", "Reason", one_line(str(item.get("reason") or ""))),
                *_sent_facts(connection, Ref(sender, id, digest)),
            ]
            _put(
                connection,
                "told",
                sender,
                row=f"status {no}",
                subject=f"[{vi}] {agency}: {_title(facts)}",
                vi=f"Cơ quan {agency} báo trạng thái văn bản của {sender}.",
                en=f"{agency} reports the status of a document of {sender}.",
                facts=facts,
                agencies=(agency, sender),
                domain=domain,
                now=now,
            )
        connection.execute("UPDATE status SET handed_at = ? WHERE no = ?", (now, no))
    return len(rows)


def _take_backs(
    connection: sqlite3.Connection, settings: MailSettings, codes: Collection[str], *, domain: str, now: float
) -> int:
    numbers = connection.execute(
        "SELECT no FROM status s WHERE handed_at IS NULL AND audience = 'recipient' AND NOT EXISTS"
        " (SELECT 1 FROM mail m WHERE m.kind = 'asked' AND json_extract(m.about, '$.row') = s.no) ORDER BY no"
    ).fetchall()
    done = 0
    for (no,) in numbers:
        row = heard.status_row(connection, no)
        asked = heard.take_back(row, frozenset(settings.offices))
        if not asked.recipients:
            continue
        for office in asked.recipients:
            facts = [
                Fact("Cơ quan xin lấy lại", "Asked by", asked.document.sender),
                Fact("Lý do", "Reason", one_line(asked.reason or "")),
                *_come_facts(connection, asked.document),
            ]
            _put(
                connection,
                "asked",
                office,
                row=no,
                subject=f"[Lấy lại văn bản] {asked.document.sender}: {_title(facts)}",
                vi=f"Cơ quan {asked.document.sender} xin lấy lại văn bản đã gửi cho {office}.",
                en=f"{asked.document.sender} asks {office} to give a document back.",
                facts=facts,
                agencies=(asked.document.sender, office),
                domain=domain,
                now=now,
            )
        if not set(row.item.get("to") or ()) & (set(codes) - set(settings.offices)):
            connection.execute("UPDATE status SET handed_at = ? WHERE no = ?", (now, no))
        done += 1
    return done


def _notices(connection: sqlite3.Connection, settings: MailSettings, *, domain: str, now: float) -> int:
    rows = connection.execute(
        "SELECT n.no, n.event, n.body FROM notice n WHERE n.handed_at IS NULL AND n.ours = 1"
        f" AND json_extract(n.body, '$.concerns.from') IN ({_marks(tuple(settings.offices))}) ORDER BY n.no LIMIT 100",
        tuple(settings.offices),
    ).fetchall()
    for no, event, body in rows:
        item = json.loads(body)
        concerns = item["concerns"]
        if event in NOTICE_WORDS:
            vi, en = NOTICE_WORDS[event]
            facts = [*_error_facts(item), *_sent_facts(connection, Ref(*(concerns[n] for n in _REFERENCE)))]
            _put(
                connection,
                "told",
                concerns["from"],
                row=f"notice {no}",
                subject=f"[{vi}] {_title(facts)}",
                vi=f"{vi}.",
                en=f"{en}.",
                facts=facts,
                domain=domain,
                now=now,
            )
        elif event not in ("accepted", "rerouted"):
            log.warning("the exchange says %s of %s %s: %s", event, concerns["from"], concerns["id"], item.get("error"))
        connection.execute("UPDATE notice SET handed_at = ? WHERE no = ?", (now, no))
    return len(rows)


_REFERENCE = ("from", "id", "digest")


def _error_facts(item: Mapping[str, Any]) -> list[Fact]:
    detail = item.get("detail") or {}
    told = [
        Fact("Mã lỗi", "Error", str(item.get("error") or "")),
        Fact("Giải thích", "Meaning", str(detail.get("vi") or detail.get("en") or ""), str(detail.get("en") or "")),
        Fact("Chỗ sai", "Where", str(detail.get("field") or "")),
        Fact("Thấy", "Found", str(detail.get("found") or "")),
        Fact("Phải là", "Expected", str(detail.get("expected") or "")),
        Fact("Gợi ý", "Candidates", ", ".join(map(str, detail.get("candidates") or ()))),
    ]
    return [Fact(one.vi, one.en, one_line(one.value, 600), one_line(one.value_en, 600)) for one in told if one.value]


def _sent_facts(connection: sqlite3.Connection, document: Ref) -> list[Fact]:
    row = connection.execute(
        "SELECT body FROM outbox WHERE speaker = ? AND id = ? AND digest = ? AND kind = 'document'", document
    ).fetchone()
    return _document_facts(None if row is None else parse_message(bytes(row[0]), slip_allowed=False).signed.payload)


def _come_facts(connection: sqlite3.Connection, document: Ref) -> list[Fact]:
    row = connection.execute("SELECT jws FROM document WHERE sender = ? AND id = ? AND digest = ?", document).fetchone()
    return _document_facts(None if row is None else parse_stored(bytes(row[0])).payload)


def _document_facts(payload: bytes | None) -> list[Fact]:
    if payload is None:
        return []
    manifest = parse_manifest(payload)
    if not isinstance(manifest, DocumentManifest):
        return []
    about = manifest.document
    number = "/".join(one for one in (about.number, about.notation) if one)
    return [
        Fact("Số, ký hiệu", "Number", one_line(number, 100)),
        Fact("Trích yếu", "Subject", one_line(about.subject or "")),
        Fact("Mã văn bản", "Document id", str(manifest.id)),
    ]


def _title(facts: list[Fact]) -> str:
    return " ".join(fact.value for fact in facts if fact.en in ("Number", "Subject"))


def _put(
    connection: sqlite3.Connection,
    kind: str,
    office: str,
    *,
    row: int | str,
    subject: str,
    vi: str,
    en: str,
    facts: list[Fact],
    agencies: Sequence[str] = (),
    domain: str,
    now: float,
) -> None:
    told = {
        "row": row,
        "office": office,
        "subject": one_line(subject, 180),
        "vi": vi,
        "en": en,
        "facts": [list(fact) for fact in facts if fact.value],
        # Codes that stand in sentences and facts: whoever shows them to a person adds names.
        "agencies": list(agencies),
    }
    queue.put(connection, kind, office, json.dumps(told, ensure_ascii=False), domain=domain, now=now)


def _marks(values: tuple[str, ...]) -> str:
    return ", ".join("?" * len(values))
