"""A check's result for people: text in Vietnamese or English, and plain values for --json. Pure."""

from __future__ import annotations

import unicodedata
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from broker.audit.words import Words
from broker.evidence.bundle.archive_check import CheckedArchive
from broker.evidence.bundle.check import Checked
from broker.evidence.bundle.judging import Judged
from broker.evidence.bundle.lines import Fault
from broker.evidence.bundle.sentences import clause, place, sentence
from broker.evidence.bundle.story import Told, state_words
from schemas.languages import Language
from schemas.times import rfc3339, rfc3339_or_none
from schemas.verdict import Answer

VIETNAM: Final = timezone(timedelta(hours=7))
SHOWN: Final = 40
"""Rows of a table for people; all are in --json."""

REASONS: Final[dict[str, Words]] = {
    "encoding": Words("not the one spelling of a bundle", "không đúng cách viết duy nhất của gói chứng cứ"),
    "shape": Words("a line or message of another form", "một dòng hoặc thông điệp sai cấu trúc"),
    "order": Words("lines out of order, or one twice", "các dòng sai thứ tự hoặc lặp lại"),
    "checkpoint": Words("the checkpoint does not hold under your key", "điểm kiểm tra không khớp với khóa đã cho"),
    "consistency": Words("no continuation of the older checkpoint", "không nối tiếp điểm kiểm tra cũ"),
    "inclusion": Words("an event is not in the log as said", "một sự kiện không nằm trong nhật ký như đã nêu"),
    "certificate": Words("a certificate cannot be read", "không đọc được một chứng thư"),
    "mismatch": Words("a signed message and the log differ", "thông điệp đã ký và nhật ký không khớp nhau"),
    "missing": Words("something that belongs here is missing", "thiếu một phần thuộc về gói này"),
    "unused": Words("something that does not belong here", "có phần không thuộc về gói này"),
    "signature": Words("a signature does not hold", "một chữ ký không đúng"),
    "trust": Words("a certificate was not good at that time", "một chứng thư không có hiệu lực vào lúc đó"),
    "policy": Words("the signer was not allowed to say this", "người ký không có quyền nói điều này"),
    "seal": Words("the seal does not fit the content", "niêm phong không khớp với nội dung"),
    "timestamp": Words("a timestamp does not hold", "một dấu thời gian không đúng"),
    "archive": Words("the archive is not complete", "kho lưu trữ không đầy đủ"),
}
"""Every reason in both languages; docs/evidence-bundle.md has the same table."""

_ANSWERS: Final = {
    Answer.good: Words("good", "đạt"),
    Answer.bad: Words("bad", "không đạt"),
    Answer.unknown: Words("unknown", "không rõ"),
}

_SCOPE: Final = {
    "since": Words("since", "từ"),
    "until": Words("until", "đến"),
    "subtree": Words("subtree", "thuộc"),
    "part": Words("part", "phần"),
}

_MARKS: Final = {Answer.good: "✔", Answer.bad: "✘", Answer.unknown: "?"}


def as_value(checked: Checked) -> dict[str, Any]:
    """For --json."""
    return {
        "good": checked.good,
        "faults": [fault_value(fault) for fault in checked.faults],
        "scope": dict(checked.scope),
        "made_at": checked.made_at,
        "root_given": checked.root_given,
        "entries": checked.entries,
        "withheld": checked.withheld,
        "checkpoints": [
            {
                "origin": anchor.origin,
                "size": anchor.size,
                "root": anchor.root.hex(),
                "signed_by": sorted(one.key.name for one in anchor.signatures),
                "unknown_signatures": anchor.unknown,
                "continues_size": anchor.since,
                "timestamps_enclosed": len(anchor.timestamps),
            }
            for anchor in checked.anchors
        ],
        "signatures": [
            {
                "line": one.line,
                "type": one.type,
                "from": one.speaker,
                "signed_by": one.signer,
                "custody": one.custody,
                "signed_at": rfc3339(one.signed_at),
                "digest": one.digest,
                "verdict": one.verdict.as_dict(),
            }
            for one in checked.signatures
        ],
        "documents": [_told_value(told) for told in checked.story],
    }


def fault_value(fault: Fault) -> dict[str, Any]:
    """One fault for --json."""
    return {
        "reason": fault.reason,
        "line": fault.line,
        "what": fault.what,
        "found": fault.found,
        "expected": fault.expected,
        "en": REASONS[fault.reason].en,
        "vi": REASONS[fault.reason].vi,
    }


def render(checked: Checked, lang: Language) -> RenderableType:
    """For a terminal."""
    shown: list[RenderableType] = []
    for told in checked.story:
        shown += _story(told, lang)
    if checked.good:
        shown.append(plain(_scope_line(checked, lang)))
    if checked.signatures:
        shown.append(_signatures(checked.signatures, lang))
    for anchor in checked.anchors:
        line = Words(
            f"Log {anchor.origin}: {anchor.size} entries, root {anchor.root.hex()[:16]}…",
            f"Nhật ký {anchor.origin}: {anchor.size} mục, gốc {anchor.root.hex()[:16]}…",
        )
        text = _in(line, lang)
        if anchor.since is not None:
            text += _in(Words(f"; continues {anchor.since} entries", f"; nối tiếp {anchor.since} mục"), lang)
        shown.append(plain(text, style="dim"))
        if anchor.since is None and any(one.since is not None for one in checked.anchors):
            unheld = Words(
                f"The older checkpoint says nothing about log {anchor.origin}: only a checkpoint of that log would.",
                f"Điểm kiểm tra cũ không nói gì về nhật ký {anchor.origin}: cần điểm kiểm tra của chính nhật ký đó.",
            )
            shown.append(plain(_in(unheld, lang), style="bold yellow"))
    shown.append(verdict_line(checked, lang))
    return Group(*shown)


def archive_value(found: CheckedArchive) -> dict[str, Any]:
    """For --json."""
    return {
        "good": found.good,
        "faults": [{"file": file} | fault_value(fault) for file, fault in found.faults],
        "scope": found.scope,
        "parts": found.parts,
        "documents": found.documents,
        "entries": found.entries,
        "signatures": found.signatures,
        "withheld": found.withheld,
    }


def archive_line(found: CheckedArchive, lang: Language) -> Text:
    """The one answer about an archive, with the file, the reason and the place if it is no."""
    if found.good:
        told = Words(
            f"GOOD. {found.documents} documents in {found.parts} parts: {found.entries} log entries and "
            f"{found.signatures} signatures hold; {found.withheld} messages withheld.",
            f"ĐẠT. {found.documents} văn bản trong {found.parts} phần: {found.entries} mục nhật ký và "
            f"{found.signatures} chữ ký đều đúng; {found.withheld} thông điệp không kèm theo.",
        )
        return Text(_in(told, lang), style="bold green")
    file, fault = found.faults[0]
    head = _in(Words("NOT GOOD", "KHÔNG ĐẠT"), lang)
    return plain(f"{head}: {file}: {_in(REASONS[fault.reason], lang)}. {sentence(fault, lang)}.", style="bold red")


def verdict_line(checked: Checked, lang: Language) -> Text:
    """The one answer that counts, with the reason and the place if it is no."""
    if checked.good:
        told = Words(
            f"GOOD. {checked.entries} log entries and {len(checked.signatures)} signatures hold",
            f"ĐẠT. {checked.entries} mục nhật ký và {len(checked.signatures)} chữ ký đều đúng",
        )
        text = _in(told, lang)
        if checked.withheld:
            text += _in(Words(f"; {checked.withheld} withheld", f"; {checked.withheld} không kèm theo"), lang)
        if not checked.root_given:
            no_root = Words("; no --root was given", "; chưa cho --root")
            text += _in(no_root, lang)
        return Text(f"{text}.", style="bold green")
    fault = checked.faults[0]
    reason = _in(REASONS[fault.reason], lang)
    head = _in(Words("NOT GOOD", "KHÔNG ĐẠT"), lang)
    more = len(checked.faults) - 1
    rest = _in(Words(f" ({more} more in --json)", f" (còn {more} lỗi nữa trong --json)"), lang) if more else ""
    return plain(f"{head}: {reason}. {sentence(fault, lang)}.{rest}", style="bold red")


def plain(text: str, style: str = "") -> Text:
    """A text of a stranger as it stands: no markup, and what would move the cursor or turn the writing round is shown
    by its number, so that nobody's words can pass for the verdict."""
    return Text("".join(one if _harmless(one) else f"\\u{ord(one):04x}" for one in text), style=style)


def _harmless(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp", "Cs")


def _scope_line(checked: Checked, lang: Language) -> str:
    """What the bundle speaks of; whoever asked for something else, or gets nothing, sees it here."""
    archive, recipient = checked.scope.get("archive"), checked.scope.get("recipient")
    if isinstance(archive, dict):
        named = ", ".join(f"{_in(words, lang)} {archive[name]}" for name, words in _SCOPE.items() if name in archive)
        many = len(checked.story)
        return _in(Words(f"Archive: {named}; {many} documents.", f"Kho lưu trữ: {named}; {many} văn bản."), lang)
    if recipient is not None:
        return _in(Words(f"Only the delivery to {recipient}.", f"Chỉ lượt gửi đến {recipient}."), lang)
    return _in(Words("Every delivery.", "Mọi lượt gửi."), lang)


def _story(told: Told, lang: Language) -> list[RenderableType]:
    head = Text.assemble(plain(told.title or told.id, style="bold"), plain(f"  {told.sender}"))
    if told.test:
        head.append(
            _in(Words("  A REHEARSAL, no real document", "  DIỄN TẬP, không phải văn bản thật"), lang), "bold yellow"
        )
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in (
        Words("time (ICT)", "thời điểm (ICT)"),
        Words("what", "sự việc"),
        Words("who", "cơ quan"),
        Words("signed", "ký"),
        Words("log entry", "mục nhật ký"),
        Words("note", "ghi chú"),
    ):
        table.add_column(_in(column, lang))
    for moment in told.moments[: SHOWN * 2]:
        table.add_row(
            _local(moment.at),
            plain(_in(moment.what, lang)),
            plain(_in(moment.who, lang)),
            "✔" if moment.signed else "",
            moment.entry if len(moment.entry) < 40 else f"{moment.entry[:36]}…",
            plain(_in(moment.note, lang)),
        )
    deliveries = Table(box=box.SIMPLE, pad_edge=False)
    for column in (Words("recipient", "nơi nhận"), Words("mailbox", "hộp thư"), Words("state", "trạng thái")):
        deliveries.add_column(_in(column, lang))
    for delivery in told.deliveries[:SHOWN]:
        through = "" if delivery.owner == delivery.recipient else delivery.owner
        deliveries.add_row(plain(delivery.recipient), plain(through), _in(state_words(delivery.state), lang))
    if (more := len(told.deliveries) - SHOWN) > 0:
        deliveries.caption = _in(Words(f"… and {more} more in --json", f"… còn {more} dòng trong --json"), lang)
    parts: list[RenderableType] = [
        head,
        plain(told.subject),
        plain(f"id {told.id}   digest {told.digest}", style="dim"),
    ]
    return [*parts, table, deliveries]


def _signatures(signatures: tuple[Judged, ...], lang: Language) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in (
        Words("signature", "chữ ký"),
        Words("of", "của"),
        Words("cryptography", "mật mã"),
        Words("trust", "tin cậy"),
        Words("policy", "thẩm quyền"),
        Words("custody", "giữ khóa"),
        Words("basis", "căn cứ"),
    ):
        table.add_column(_in(column, lang))
    bad_first = sorted(signatures, key=lambda one: one.verdict.good)
    for one in bad_first[:SHOWN]:
        answers = (one.verdict.cryptography, one.verdict.trust, one.verdict.policy)
        bad = next((finding for finding in answers if finding.answer is not Answer.good), None)
        signer = one.speaker if one.signer == one.speaker else f"{one.signer} → {one.speaker}"
        cells = [f"{_MARKS[finding.answer]} {_in(_ANSWERS[finding.answer], lang)}" for finding in answers]
        custody = _in(Words("exchange", "trục"), lang) if one.custody == "broker" else _in(Words("own", "tự giữ"), lang)
        why = _basis(one, lang) if bad is None else clause(bad.why, lang)
        table.add_row(place(one.type, lang), plain(signer), *cells, custody, plain(why))
    if (more := len(signatures) - SHOWN) > 0:
        table.caption = _in(Words(f"… and {more} more in --json", f"… còn {more} dòng trong --json"), lang)
    return table


def _basis(one: Judged, lang: Language) -> str:
    """On what a good policy answer rests."""
    if one.signer == one.speaker:
        basis = Words(f"certificate of {one.speaker} itself", f"chứng thư của chính {one.speaker}")
    else:
        basis = Words(one.verdict.policy.why, clause(one.verdict.policy.why, "vi"))
    return _in(basis, lang)


def _told_value(told: Told) -> dict[str, Any]:
    return {
        "from": told.sender,
        "id": told.id,
        "digest": told.digest,
        "title": told.title,
        "subject": told.subject,
        "action": told.action,
        "test": told.test,
        "accepted_at": rfc3339(told.accepted_at),
        "timeline": [
            {
                "at": rfc3339(moment.at),
                "en": moment.what.en,
                "vi": moment.what.vi,
                "who": moment.who.en,
                "who_vi": moment.who.vi,
                "signed": moment.signed,
                "log_entry": moment.entry,
                "note": moment.note.en,
                "note_vi": moment.note.vi,
            }
            for moment in told.moments
        ],
        "deliveries": [
            {
                "recipient": delivery.recipient,
                "owner": delivery.owner,
                "state": delivery.state,
                "arrived_at": rfc3339_or_none(delivery.arrived_at),
            }
            for delivery in told.deliveries
        ],
    }


def stamp_line(origin: str, size: int, at: datetime, lang: Language) -> str:
    """That a timestamp authority saw a checkpoint."""
    told = Words(
        f"{origin}, {size} entries: there at {_local(at)} (ICT).",
        f"{origin}, {size} mục: đã có lúc {_local(at)} (ICT).",
    )
    return _in(told, lang)


def _in(words: Words, lang: Language) -> str:
    return words.told(lang)


def _local(at: datetime) -> str:
    try:
        return at.astimezone(VIETNAM).strftime("%Y-%m-%d %H:%M:%S")
    except OverflowError:  # the last hours of the year 9999
        return rfc3339(at)
