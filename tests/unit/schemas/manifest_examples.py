"""Example manifests for the tests: good ones, and bad ones with the code and the field that the refusal must name."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

ID: Final = "0198f2a4-7c11-7d2e-9b1a-3f5e8c7d6a21"
OTHER_ID: Final = "0198f2a4-7c11-7d2e-9b1a-000000000001"
DIGEST: Final = "0f" * 32
REFERENCE: Final = {"from": "G22", "id": OTHER_ID, "digest": DIGEST}
KEY: Final = {"from": "G22", "issued_on": "2026-03-10", "number": "07", "notation": "CV-TƯ"}

JsonObject = dict[str, Any]


def _with(base: JsonObject, **fields: Any) -> JsonObject:
    return deepcopy(base) | deepcopy(fields)


DOCUMENT: Final[JsonObject] = {
    "spec": "lienthong/1",
    "kind": "document",
    "id": ID,
    "from": "G22",
    "sent_at": "2026-03-12T08:30:00.250+07:00",
    "action": "new",
    "to": ["H53", "H53.31.20", "000.00.31.H53", "group:provinces"],
    "document": {
        "number": "12",
        "notation": "BTTTT-THH",
        "issued_on": "2026-03-12",
        "place": "Hà Nội",
        "type": "Công văn",
        "subject": "Về việc kết nối, liên thông văn bản điện tử",
        "signer": {"name": "Trần Thị B", "position": "Cục trưởng", "authority": "TL."},
        "priority": 1,
        "due_on": "2026-04-01",
        "pages": 2,
        "copies": 1,
        "appendixes": ["Danh sách đầu mối"],
        "filed_to": ["Như trên", "Lưu: VT"],
        "steering": 2,
    },
    "replies_to": [REFERENCE, KEY],
    "parts": [
        {"name": "12-BTTTT.pdf", "media_type": "application/pdf", "size": 644_000, "sha256": DIGEST,
         "role": "document"},
        {"name": "Phụ lục 1.xlsx", "media_type": "application/vnd.ms-excel; charset=utf-8", "size": 0, "sha256": DIGEST,
         "role": "attachment"},
    ],
}  # fmt: skip
RECALL: Final = _with(DOCUMENT, action="recall", to=[], parts=[], concerns=[REFERENCE], reason="Gửi nhầm nơi nhận")
UPDATE: Final = _with(
    DOCUMENT,
    action="update",
    to=[],
    parts=[],
    concerns=[KEY],
    changes={"metadata": True, "added": ["H17"], "removed": ["H53.31"]},
)
REPLACE: Final = _with(DOCUMENT, action="replace", concerns=[REFERENCE, KEY], reason="Sai số liệu")
TIMED: Final = _with(DOCUMENT, document={"priority": 4, "deliver_by": "2026-03-12T10:00:00+07:00"})
LEAST: Final[JsonObject] = {
    "spec": "lienthong/1",
    "kind": "document",
    "id": ID,
    "from": "H53",
    "sent_at": "2026-03-12T01:30:00Z",
    "action": "new",
    "to": ["G22"],
    "document": {},
    "parts": DOCUMENT["parts"][:1],
}
FROM_THE_FUTURE: Final = _with(
    LEAST, unheard_of={"a": [1]}, document={"unheard_of": 1}, must_understand=["document.subject"], test=True, via=None
)

_ITEM: Final = {"concerns": REFERENCE, "code": "01", "at": "2026-03-12T08:31:00+07:00"}
STATUS: Final[JsonObject] = {
    "spec": "lienthong/1",
    "kind": "status",
    "id": ID,
    "from": "H53",
    "sent_at": "2026-03-12T08:31:00+07:00",
    "items": [
        _ITEM,
        _ITEM | {"for": "H53.31.20", "code": "02", "reason": "Không thuộc thẩm quyền"},
        _ITEM | {"code": "03", "staff": {"name": "Lê Văn C", "department": "Văn thư", "phone": "0276 000 000"}},
        _ITEM | {"code": "15", "answers": REFERENCE},
        _ITEM | {"code": "16", "answers": {"from": "G22", "id": ID}, "reason": "Đã xử lý xong"},
    ],
}
TAKE_BACK: Final = _with(STATUS, items=[_ITEM | {"code": "13", "to": ["H53", "H17"], "reason": "Gửi nhầm"}])

NOTICE: Final[JsonObject] = {
    "spec": "lienthong/1",
    "kind": "notice",
    "id": ID,
    "from": "LT.EXCHANGE",
    "sent_at": "2026-03-12T01:30:01Z",
    "items": [
        {
            "event": "accepted",
            "concerns": REFERENCE,
            "at": "2026-03-12T01:30:01Z",
            "first_accepted_at": "2026-03-12T01:30:01Z",
            "recipients": {"count": 1, "list": [{"code": "H53.31", "addressed_as": "000.00.31.H53", "owner": "H53"}]},
            "unresolved": ["H99"],
            "warnings": [{"error": "LT-DUP-NATURAL", "earlier": OTHER_ID}],
            "leaf": DIGEST,
            "log_by": "2026-03-12T01:31:01Z",
        },
        {
            "event": "rejected",
            "concerns": {"message_id": "m-1"},
            "error": "LT-SHAPE",
            "detail": {"field": "message", "found": "\\xff", "expected": "UTF-8", "en": "…", "vi": "…"},
            "at": "2026-03-12T01:30:01Z",
        },
        {"event": "mailbox-reset", "at": "2026-03-12T01:30:01Z"},
    ],
}
REQUEST: Final[JsonObject] = {
    "spec": "lienthong/1",
    "kind": "request",
    "id": ID,
    "from": "H53",
    "sent_at": "2026-03-12T01:30:01Z",
    "request": "replay",
    "since": "2026-03-01T00:00:00+07:00",
}

GOOD: Final[dict[str, JsonObject]] = {
    "document": DOCUMENT,
    "recall": RECALL,
    "update": UPDATE,
    "replace": REPLACE,
    "timed": TIMED,
    "least": LEAST,
    "from the future": FROM_THE_FUTURE,
    "status": STATUS,
    "take-back": TAKE_BACK,
    "notice": NOTICE,
    "request": REQUEST,
}


@dataclass(frozen=True, slots=True)
class Bad:
    """A manifest that must be refused, with this code, naming this field."""

    name: str
    manifest: JsonObject
    field: str
    code: str = "LT-SCHEMA"
    in_json_schema: bool = True
    """Whether a JSON Schema can say it too."""


def _changed(base: JsonObject, change: Callable[[JsonObject], object]) -> JsonObject:
    # Not deepcopy: it would keep objects shared that a message writes out one by one.
    manifest = json.loads(json.dumps(base))
    change(manifest)
    return manifest


def _set(base: JsonObject, path: str, value: Any) -> JsonObject:
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))

    def change(manifest: Any) -> None:
        for step in way:
            manifest = manifest[step]
        manifest[last] = value

    return _changed(base, change)


def _without(base: JsonObject, path: str) -> JsonObject:
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))

    def change(manifest: Any) -> None:
        for step in way:
            manifest = manifest[step]
        del manifest[last]

    return _changed(base, change)


def _value(name: str, base: JsonObject, path: str, value: Any, *, field: str | None = None, **more: Any) -> Bad:
    return Bad(f"{name}: {path} = {str(value)[:40]!r}", _set(base, path, value), field or path, **more)


def _missing(base: JsonObject, path: str, **more: Any) -> Bad:
    return Bad(f"{base['kind']} without {path}", _without(base, path), path, **more)


_LONG_NAME: Final = "ă" * 126 + ".pdf"

BAD: Final[tuple[Bad, ...]] = (
    # Common fields.
    _value("another version", DOCUMENT, "spec", "lienthong/2", code="LT-VERSION"),
    _missing(DOCUMENT, "spec", code="LT-VERSION"),
    _missing(DOCUMENT, "kind"),
    _value("an unknown kind", DOCUMENT, "kind", "letter"),
    *(_missing(DOCUMENT, path) for path in ("id", "from", "sent_at", "action", "document")),
    *(
        _value("not an id", DOCUMENT, "id", value)
        for value in (ID.upper(), f"{{{ID}}}", ID.replace("-", ""), f"urn:uuid:{ID}", f" {ID}", "", 7, None)
    ),
    *(
        _value("not a canonical code", DOCUMENT, "from", value)
        for value in ("g22", "G22 ", "G22.", "G22..1", "Đ22", "group:provinces", "G" * 36, "", 22)
    ),
    *(
        _value("not a moment", DOCUMENT, "sent_at", value)
        for value in ("2026-03-12T08:30:00", "2026-03-12", "2026-03-12 08:30:00Z", 1773279000, "2026-03-12T08:30Z")
    ),
    _value("an impossible moment", DOCUMENT, "sent_at", "2026-02-30T08:30:00Z", in_json_schema=False),
    _value("not a bool", DOCUMENT, "test", "true"),
    _value("not a bool", DOCUMENT, "test", 1),
    _value("not a list", DOCUMENT, "must_understand", {"a": 1}),
    _value(
        "a demand that is not understood", DOCUMENT, "must_understand", ["escrow"],
        field="must_understand.0", code="LT-MUST-UNDERSTAND", in_json_schema=False,
    ),
    # Documents.
    _value("an unknown action", DOCUMENT, "action", "cancel"),
    _value("nobody", DOCUMENT, "to", []),
    _missing(DOCUMENT, "to"),
    _value("too many", DOCUMENT, "to", ["H53"] * 5001),
    _value("one recipient as a text", DOCUMENT, "to", "H53"),
    _value("a blank recipient", DOCUMENT, "to", ["H53", " "], field="to.1"),
    _value("a recipient with a control character", DOCUMENT, "to", ["H5\n3"], field="to.0"),
    _value("a long recipient", DOCUMENT, "to", ["H" * 256], field="to.0"),
    _value("a number", DOCUMENT, "document.number", 12),
    _value("a long subject", DOCUMENT, "document.subject", "x" * 501),
    _value("a priority beyond", DOCUMENT, "document.priority", 5),
    _value("a priority below", DOCUMENT, "document.priority", -1),
    _value("a priority in words", DOCUMENT, "document.priority", "khẩn"),
    _value("a bool for a number", DOCUMENT, "document.priority", True),
    _value("no hour appointed", DOCUMENT, "document.priority", 4, field="document.deliver_by"),
    _value("a date in another order", DOCUMENT, "document.issued_on", "12/03/2026"),
    _value("seconds for a date", DOCUMENT, "document.issued_on", "1773279000"),
    _value("a number for a date", DOCUMENT, "document.due_on", 1773279000),
    _value("an impossible date", DOCUMENT, "document.issued_on", "2026-02-30"),
    _value("a moment for a date", DOCUMENT, "document.due_on", "2026-03-12T00:00:00Z"),
    _value("a naive deadline", DOCUMENT, "document.deliver_by", "2026-03-12T10:00:00"),
    _value("fewer than no pages", DOCUMENT, "document.pages", -1),
    _value("a fraction of a page", DOCUMENT, "document.pages", 1.5),
    _value("steering beyond", DOCUMENT, "document.steering", 4),
    _value("a filing list as a text", DOCUMENT, "document.filed_to", "Lưu: VT"),
    _value("a signer as a text", DOCUMENT, "document.signer", "Trần Thị B"),
    _value("something changed by a new document", DOCUMENT, "concerns", [REFERENCE]),
    _value("changes by a new document", DOCUMENT, "changes", {"metadata": True}),
    _value("no parts", DOCUMENT, "parts", []),
    _missing(DOCUMENT, "parts"),
    _value("no parts", REPLACE, "parts", []),
    _value("too many parts", DOCUMENT, "parts", [DOCUMENT["parts"][0]] * 101),
    *(_value("nothing changed", base, "concerns", []) for base in (RECALL, UPDATE, REPLACE)),
    _missing(RECALL, "concerns"),
    *(
        Bad(f"{base['action']} with reason {reason!r}", _set(base, "reason", reason), "reason", "LT-REASON-MISSING")
        for base in (RECALL, REPLACE)
        for reason in ("", " \n", None)
    ),
    _missing(RECALL, "reason", code="LT-REASON-MISSING"),
    _missing(REPLACE, "reason", code="LT-REASON-MISSING"),
    _missing(UPDATE, "changes"),
    _value("an alias", UPDATE, "changes.added", ["h17"], field="changes.added.0"),
    _value("a reference without digest", RECALL, "concerns", [{"from": "G22", "id": ID}], field="concerns.0.digest"),
    _value(
        "a digest in capitals", RECALL, "concerns", [REFERENCE | {"digest": DIGEST.upper()}], field="concerns.0.digest"
    ),
    _value("a key without a date", RECALL, "concerns", [KEY, {"from": "G22"}], field="concerns.1.issued_on"),
    _value("a reference as a text", RECALL, "concerns", [ID], field="concerns.0"),
    _value("an alias in a reference", DOCUMENT, "replies_to", [REFERENCE | {"from": "g22"}], field="replies_to.0.from"),
    # Parts.
    *(_missing(DOCUMENT, f"parts.0.{name}") for name in ("name", "media_type", "size", "sha256", "role")),
    *(
        _value("not a plain file name", DOCUMENT, "parts.1.name", name)
        for name in ("", ".", "..", "a/b.pdf", "..\\b.pdf", "a\u0085b", "a\tb", "\u202efdp.exe", "a\u2028b", "x" * 256)
    ),
    _value("a name too long in bytes", DOCUMENT, "parts.0.name", _LONG_NAME, in_json_schema=False),
    *(
        _value("not a media type", DOCUMENT, "parts.0.media_type", value)
        for value in ("", "pdf", "application/", "/pdf", "application/p\ndf", "a b/c", "application/pdf; x", "văn/bản")
    ),
    _value("less than nothing", DOCUMENT, "parts.0.size", -1),
    _value("a size as a text", DOCUMENT, "parts.0.size", "644000"),
    _value("no SHA-256", DOCUMENT, "parts.0.sha256", "0f" * 20),
    _value("an unknown role", DOCUMENT, "parts.0.role", "cover"),
    # Statuses.
    _missing(STATUS, "items"),
    _value("no items", STATUS, "items", []),
    _value("too many items", STATUS, "items", [_ITEM] * 501),
    *(_value("an unknown code", STATUS, "items.0.code", code) for code in ("07", "1", 1, "14", "")),
    *(_missing(STATUS, f"items.0.{name}") for name in ("concerns", "code", "at")),
    _value("a naive time", STATUS, "items.0.at", "2026-03-12T08:31:00"),
    _value("an alias", STATUS, "items.1.for", "000.20.31.H53 "),
    _missing(STATUS, "items.1.reason", code="LT-REASON-MISSING"),
    _missing(STATUS, "items.4.reason", code="LT-REASON-MISSING"),
    _missing(TAKE_BACK, "items.0.reason", code="LT-REASON-MISSING"),
    _missing(TAKE_BACK, "items.0.to"),
    _value("nobody asked", TAKE_BACK, "items.0.to", []),
    _missing(STATUS, "items.3.answers"),
    _missing(STATUS, "items.4.answers"),
    _value("half an answer", STATUS, "items.3.answers", {"from": "G22"}, field="items.3.answers.id"),
    _value("documents of two senders", STATUS, "items.2.concerns.from", "G09", in_json_schema=False),
    # Notices and requests.
    _value("an unknown event", NOTICE, "items.0.event", "lost"),
    _value("no items", NOTICE, "items", []),
    _value("a list of too many", NOTICE, "items.0.recipients.list",
           [{"code": "H53", "addressed_as": "H53", "owner": "H53"}] * 501),
    _value("a leaf of another length", NOTICE, "items.0.leaf", "0f"),
    _value("an unknown request", REQUEST, "request", "everything"),
    _missing(REQUEST, "since"),
    _value("a naive time", REQUEST, "since", "2026-03-01T00:00:00"),
)  # fmt: skip
