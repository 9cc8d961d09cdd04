"""What `lienthong-agency` says of documents, statuses and mails, in Vietnamese or English. Pure.

Ids, codes, times and what people wrote stand as they are. In English a state is the word that --json has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from adapters.cli.problem_sentences import SENTENCES
from adapters.folder.texts import ACTION, STATE
from schemas.errors import CATALOGUE
from schemas.languages import Language, Words

INBOX_STATES: Final[Mapping[str, str]] = {
    "waiting": "chờ nhận",
    "taken": "đang nhận",
    "done": "đã nhận",
    "refused": "đã từ chối",
}
MAIL_STATES: Final[Mapping[str, str]] = {
    "due": "chờ gửi",
    "sending": "đang gửi",
    "taken": "máy chủ thư đã nhận",
    "failed": "không gửi được",
    "bounced": "bị trả lại",
}
ANSWERS: Final[Mapping[str, str]] = {"good": "đạt", "bad": "không đạt", "unknown": "không rõ"}
QUESTIONS: Final[Mapping[str, str]] = {"cryptography": "mật mã", "trust": "tin cậy", "policy": "thẩm quyền"}

NOTHING_SENT: Final = Words("Nothing was sent.", "Chưa gửi gì.")
NOTHING_CAME: Final = Words("Nothing has come.", "Chưa có gì đến.")
NOTHING_ASIDE: Final = Words("Nothing is kept aside.", "Không có gì bị để riêng.")
NO_MAILS: Final = Words("No mails.", "Không có thư nào.")
ASKED: Final = Words(
    "Asked. `lienthong-agency receive` takes what comes.",
    "Đã yêu cầu gửi lại. Hãy chạy `lienthong-agency receive` để nhận.",
)
STOPPING: Final = Words(
    "Stopping. What was taken is recorded; what was not goes out after the next start.",
    "Đang dừng. Những gì máy chủ thư đã nhận thì đã được ghi; phần còn lại sẽ gửi sau lần khởi động tới.",
)
INTERRUPTED: Final = Words(
    "Interrupted. What was sent or received is kept.", "Đã ngắt. Những gì đã gửi hoặc đã nhận vẫn được giữ."
)
REJECTED: Final = Words("The exchange rejected the document", "Trục từ chối văn bản")


def written(files: str, language: Language) -> str:
    """What `init` has written."""
    return Words(
        f"Wrote {files}. Next: lienthong-agency keygen", f"Đã ghi {files}. Tiếp theo: lienthong-agency keygen"
    ).told(language)


def key_made(*, code: str, key: str, request: str, file: str, certificate: str, name: str, language: Language) -> str:
    """What `keygen` has made, and what to do with it."""
    commands = f"`lienthong pki issue {code} --csr {file} -o {name}`"
    enrol = f"`lienthong cert add {code} {name}`"
    return Words(
        f"Key: {key}\nRequest: {request}\nGive the request to the operator ({commands}, then {enrol}) and put the "
        f"certificate into {certificate}.",
        f"Khóa: {key}\nYêu cầu cấp chứng thư: {request}\nHãy gửi yêu cầu cho người vận hành ({commands}, rồi {enrol}) "
        f"và đặt chứng thư vào {certificate}.",
    ).told(language)


def sent(result: Mapping[str, Any], language: Language) -> str:
    """What `send` says of what it did."""
    if result["state"] == "accepted":
        warned = "".join(f"\n{warning(one, language)}" for one in result.get("warnings", ()))
        count = result["recipients"]["count"]
        told = Words(
            f"accepted for {count} recipient{'' if count == 1 else 's'}", f"trục đã tiếp nhận, gửi đến {count} nơi nhận"
        )
        return f"{result['id']}: {told.told(language)}.{warned}"
    told = Words("handed to the exchange", "đã chuyển lên trục")
    if result["state"] == "due":
        told = Words("kept in the outbox", "nằm trong hộp gửi")
    return f"{result['id']}: {told.told(language)}."


def warning(told: Mapping[str, Any], language: Language) -> str:
    """What the exchange warns of beside an acceptance: what its code means, and about which document or address."""
    entry = CATALOGUE.get(told["error"])
    meaning = Words(entry.en, entry.vi).told(language) if entry is not None else ""
    about = ", ".join(str(told[name]) for name in ("addressed_as", "id") if told.get(name))
    meant = ", ".join(told.get("candidates", ()))
    perhaps = Words(f" Perhaps meant: {meant}.", f" Có thể là: {meant}.").told(language) if meant else ""
    head = Words("Warning", "Lưu ý").told(language)
    return f"{head}: {told['error']}{f' ({about})' if about else ''}: {meaning}{perhaps}".rstrip(": ")


def letter(value: Mapping[str, Any], language: Language) -> str:
    """A document that came."""
    name = f"{value['number']}/{value['notation']}".strip("/")
    again = f" ({Words('again', 'lần nữa').told(language)})" if value["again"] else ""
    files = ", ".join(value["saved"] or [part["name"] for part in value["parts"]])
    return f"{value['id']} {value['from']} → {value['recipient']}: {name} {value['subject']}{again} [{files}]"


def reported(value: Mapping[str, Any], language: Language) -> str:
    """A status that was reported."""
    recipients = ", ".join(value["recipients"])
    told = Words(f"{value['code']} reported for {recipients}.", f"đã báo {value['code']} cho {recipients}.")
    return f"{value['id']}: {told.told(language)}"


def outbox_line(row: Mapping[str, Any], language: Language) -> str:
    """A line of `outbox`: id, time, state, what was heard, and what it was."""
    heard = ", ".join(
        f"{one['agency']} {one['code']}" + (f" “{one['reason']}”" if one["reason"] else "") for one in row["statuses"]
    )
    error = (row["answer"] or {}).get("error")
    number = "/".join(part for part in (row["number"], row["notation"]) if part)
    action = "" if row["action"] == "new" else _word(row["action"], _VIETNAMESE_ACTIONS, language)
    about = " ".join(part for part in (action, number, row["subject"]) if part)
    told = "".join(f" {part}" for part in (error, heard) if part)
    state = _word(row["state"], _VIETNAMESE_STATES, language)
    return f"{row['id']} {row['sent_at']} {state}{told}{f': {about}' if about else ''}"


def inbox_line(row: Mapping[str, Any], language: Language) -> str:
    """A line of `inbox list`."""
    state = _word(row["state"], INBOX_STATES, language)
    return f"{row['id']} {row['stored_at']} {row['from']} → {row['recipient']} {state} {row['subject']}"


def aside_line(row: Mapping[str, Any], language: Language) -> str:
    """A line of `inbox aside`."""
    times = Words(f"{row['times']} times", f"{row['times']} lần").told(language)
    why, entry = row["why"], CATALOGUE.get(row["code"])
    if language == "vi":
        # A reason in many words is told by its code: what exactly was found is in --json.
        why = SENTENCES.vietnamese(why) or (why if entry is None else entry.vi)
    return f"{row['at']} {row['code']} ({times}): {why}"


def document(found: Mapping[str, Any], language: Language) -> str:
    """What `inbox show` says of one document."""
    about = found["manifest"]["document"]
    of = Words("of", "ngày").told(language)
    size = Words("bytes", "byte").told(language)
    lines = [
        (Words("From", "Nơi gửi"), found["manifest"]["from"]),
        (
            Words("Number", "Số, ký hiệu"),
            f"{about.get('number', '')}/{about.get('notation', '')} {of} {about.get('issued_on', '?')}",
        ),
        (Words("Subject", "Trích yếu"), about.get("subject", "")),
        (Words("Accepted", "Trục nhận"), found["accepted_at"]),
        *((Words("Part", "Tệp"), f"{part['name']} ({part['size']} {size})") for part in found["parts"]),
        *((Words("Verdict", "Chữ ký"), _verdict(name, one, language)) for name, one in found["verdict"].items()),
        *(
            (Words("For", "Gửi đến"), f"{row['recipient']}: {_word(row['state'], INBOX_STATES, language)}")
            for row in found["deliveries"]
        ),
    ]
    width = max(len(name.told(language)) for name, _ in lines) + 1
    return "\n".join(f"{name.told(language) + ':':<{max(width, 9)}} {value}" for name, value in lines)


def working(
    *, offices: int, server: str, url: str, place: str, heard: tuple[str, str] | None, language: Language
) -> str:
    """For whom the mail program works, through what; `heard` is by which protocol it listens and where, if it does."""
    listening = Words("not listening for mail", "không nhận thư")
    if heard is not None:
        listening = Words(f"{heard[0]} on {heard[1]}", f"{heard[0]} tại {heard[1]}")
    count = "1 office" if offices == 1 else f"{offices} offices"
    return Words(
        f"Working for {count}: through {server}; pages at {url} from {place}; {listening.en}.",
        f"Đang làm việc cho {offices} cơ quan: qua {server}; các trang tại {url} từ {place}; {listening.vi}.",
    ).told(language)


def mail_line(row: Mapping[str, Any], about: str, language: Language) -> str:
    """A line of `mail list`."""
    answered = Words("answered", "đã trả lời").told(language)
    answer = f"; {answered}: {row['answer']} {row['answered_at']}" if row["answer"] else ""
    trouble = f"; {row['trouble']}" if row["trouble"] else ""
    return f"{row['no']} {row['office']} {_word(row['state'], MAIL_STATES, language)} {about}{trouble}{answer}"


def mail_again(number: int, language: Language) -> str:
    """That a mail goes out once more."""
    return Words(
        f"Mail {number} goes out again when `lienthong-agency mail` runs.",
        f"Thư số {number} sẽ được gửi lại khi `lienthong-agency mail` chạy.",
    ).told(language)


def mail_refused(number: int, language: Language) -> str:
    """That a document was returned."""
    return Words(f"Mail {number}: 02 reported.", f"Thư số {number}: đã báo 02.").told(language)


def lets_in(greeting: str, language: Language) -> str:
    """That the mail server has taken the sign-in."""
    return Words(f"The mail server lets us in: {greeting}.", f"Máy chủ thư chấp nhận đăng nhập: {greeting}.").told(
        language
    )


_VIETNAMESE_STATES: Final = {name: words.vi for name, words in STATE.items()}
_VIETNAMESE_ACTIONS: Final = {name: words.vi for name, words in ACTION.items()}


def _word(name: str, vietnamese: Mapping[str, str], language: Language) -> str:
    return name if language == "en" else vietnamese.get(name, name)


def _verdict(name: str, one: Mapping[str, Any], language: Language) -> str:
    """An answer about a signature, and why."""
    question, answer = _word(name, QUESTIONS, language), _word(one["answer"], ANSWERS, language)
    return f"{question}: {answer} ({SENTENCES.told(one['why'], language)})"
