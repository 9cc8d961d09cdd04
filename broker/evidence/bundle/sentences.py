"""What does not hold of a bundle or an archive, in Vietnamese. Pure: tables of English sentences with their places.

The English ones are made where the check finds them, word for word the same in every checker (docs/evidence-bundle.md)
and in --json. What a table does not know is repeated as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from broker.audit.verdict_sentences import JUDGED, TIMES
from broker.evidence.bundle.lines import Fault
from broker.evidence.sentences import EVIDENCE, EXAMINED
from schemas.languages import Language, Sentences
from schemas.refusal_sentences import REFUSED

PLACES: Final[Mapping[str, str]] = {
    "bundle": "gói chứng cứ",
    "line": "dòng",
    "scope": "phạm vi",
    "checkpoint": "điểm kiểm tra",
    "certificate": "chứng thư",
    "statement": "lời xác nhận",
    "document": "văn bản",
    "status": "trạng thái",
    "notice": "thông báo",
    "slip": "phiếu chuyển",
    "withheld": "phần không kèm theo",
    "hashes": "các mã băm",
    "event": "sự kiện",
    "seal": "niêm phong",
    "archive": "kho lưu trữ",
    "event {index}": "sự kiện {index}",
    "timestamp of {origin} at {size}": "dấu thời gian của {origin} ở kích thước {size}",
    **EXAMINED,
    "{clause} of {agency}": "{clause} của {agency}",
}
"""Where in a bundle something does not hold: the types of its lines, and what else is named."""

FAULTS: Final[Mapping[str, str]] = {
    **TIMES,
    **JUDGED,
    # ── Lines ──
    "exactly one": "đúng một",
    "{count} lines of type {type}": "{count} dòng loại {type}",
    "a last line without a newline": "dòng cuối không có dấu xuống dòng",
    "a newline after every line": "sau mỗi dòng có dấu xuống dòng",
    "the same line once more": "cùng dòng ấy lần nữa",
    "every line once": "mỗi dòng một lần",
    "it after a line that it must precede": "đứng sau một dòng mà lẽ ra phải đứng trước",
    "the format's order": "thứ tự theo định dạng",
    "no object": "không phải đối tượng JSON",
    "a JSON object": "một đối tượng JSON",
    "another spelling": "cách viết khác",
    "canonical JSON (RFC 8785), whole numbers": "JSON chuẩn tắc (RFC 8785), số nguyên",
    "a signed message after contract §1": "thông điệp có chữ ký theo §1 của đặc tả",
    "type {type}": "loại {type}",
    "the field {name}": "trường {name}",
    "an event without {name}": "sự kiện không có {name}",
    "custody {custody}": "giữ khóa {custody}",
    "custody: agency or broker": "custody: agency hoặc broker",
    "{name}: true or false": "{name}: true hoặc false",
    "{name}: from, id and digest": "{name}: from, id và digest",
    "{name}: a text": "{name}: một đoạn chữ",
    "{name}: a list of texts": "{name}: danh sách đoạn chữ",
    "{name}: a whole number from 0": "{name}: số nguyên từ 0",
    "{name}: a whole number": "{name}: số nguyên",
    "{name}: a time of RFC 3339 in UTC with microseconds": "{name}: thời điểm theo RFC 3339, giờ UTC, đến micro giây",
    "{name}: a time of RFC 3339": "{name}: thời điểm theo RFC 3339",
    "{name}: SHA-256 in lower-case hex": "{name}: SHA-256 bằng chữ số thập lục phân thường",
    "{name}: an object": "{name}: một đối tượng",
    "{name}: pairs of recipient and mailbox owner": "{name}: các cặp nơi nhận và chủ hộp thư",
    "{name}: SHA-256 values in base64, rising, each once": "{name}: các giá trị SHA-256 bằng base64, tăng dần, mỗi giá trị một lần",
    "{name}: SHA-256 values": "{name}: các giá trị SHA-256",
    "{name}: references": "{name}: các tham chiếu",
    "{name}: pairs of what was written and how many recipients": "{name}: các cặp gồm cách ghi và số nơi nhận",
    "{name}: recipients of what is changed": "{name}: nơi nhận của văn bản được thay đổi",
    "{name}: status items": "{name}: các mục trạng thái",
    "{name}: deliveries to agencies that have closed": "{name}: các lượt gửi đến cơ quan đã kết thúc hoạt động",
    "{name}: base64 in its one spelling": "{name}: base64 đúng cách viết duy nhất",
    "{name}: a list of SHA-256 values in base64": "{name}: danh sách giá trị SHA-256 bằng base64",
    "{name}: a list of base64": "{name}: danh sách base64",
    "{name}: a list of positions in the list of hashes": "{name}: danh sách vị trí trong danh sách mã băm",
    "{name}: payload, protected and signature": "{name}: payload, protected và signature",
    "{name}: document, recipient or archive": "{name}: document, recipient hoặc archive",
    "{name}: mandate or succession": "{name}: mandate hoặc succession",
    "{name}: document or status": "{name}: document hoặc status",
    "one of {names}": "một trong {names}",
    # ── Checkpoints and inclusion ──
    "none": "không có",
    "at least one": "ít nhất một",
    "no proof from the older checkpoint that was given": "không có chứng minh từ điểm kiểm tra cũ đã cho",
    "a bundle made with --since-checkpoint and that very file": "gói làm với --since-checkpoint và chính tệp đó",
    "no event under it": "không có sự kiện nào thuộc điểm này",
    "an event": "một sự kiện",
    "log {word_number}": "nhật ký {word_number}",
    "one of {count} checkpoints, counted from 0": "một trong {count} điểm kiểm tra, đếm từ 0",
    "position {position} in its path": "vị trí {position} trong đường dẫn",
    "one of {count} hashes, counted from 0": "một trong {count} mã băm, đếm từ 0",
    "hash {word_number}, which no path uses": "mã băm {word_number}, không đường dẫn nào dùng",
    "only hashes that are needed": "chỉ những mã băm cần thiết",
    "the one spelling of a signed checkpoint": "cách viết duy nhất của điểm kiểm tra có chữ ký",
    "a proof alone": "chỉ có chứng minh",
    "an older checkpoint with it": "kèm điểm kiểm tra cũ",
    "no note": "không có điểm kiểm tra",
    "a checkpoint": "một điểm kiểm tra",
    # ── Messages and the log ──
    "another document": "văn bản khác",
    "from, id and digest": "from, id và digest",
    "no acceptance of {id} with digest {digest}": "không có việc tiếp nhận {id} với mã băm {digest}",
    "the document that is proved": "văn bản được chứng minh",
    "recipient {code}, whom no event here names": "nơi nhận {code}, không sự kiện nào ở đây nêu",
    "the event that names it": "sự kiện nêu nơi nhận này",
    "document {id}, which changes nothing here": "văn bản {id}, không thay đổi gì ở đây",
    "the document itself, and changes of it": "chính văn bản và các thay đổi của nó",
    "no event that it was accepted": "không có sự kiện tiếp nhận",
    "its acceptance in the log": "việc tiếp nhận trong nhật ký",
    "{value}, as the log says": "{value}, như nhật ký ghi",
    "parts {parts} with {count} recipients": "các phần {parts} với {count} nơi nhận",
    "{parts} parts with {count} recipients": "{parts} phần với {count} nơi nhận",
    "no event that it was recorded": "không có sự kiện ghi nhận",
    "its record in the log": "việc ghi nhận trong nhật ký",
    "the sender and id of the log": "nơi gửi và mã như trong nhật ký",
    "no event that tells of item {word_number}": "không có sự kiện nào nêu mục {word_number}",
    "every signed item in the log": "mọi mục đã ký đều có trong nhật ký",
    "one of {count} items": "một trong {count} mục",
    "item {word_number} about the delivery to {code}": "mục {word_number} về lượt gửi đến {code}",
    "item {word_number} by {speaker} about the delivery to {code}": "mục {word_number} của {speaker} về lượt gửi đến {code}",
    "item {word_number}: leaf {leaf}, accepted at {at}": "mục {word_number}: lá {leaf}, tiếp nhận lúc {at}",
    "item {word_number}: {code} at {at} about {id}": "mục {word_number}: {code} lúc {at} về {id}",
    "item {word_number}": "mục {word_number}",
    "{code} at {at} about {id}, as signed": "{code} lúc {at} về {id}, như đã ký",
    "{code}, for whom the item speaks": "{code}, là bên mà mục này nói thay",
    "the recipient, its mailbox's owner or a mandated hub": "nơi nhận, chủ hộp thư hoặc đầu mối được ủy quyền",
    "leaf {leaf}, accepted at {at}": "lá {leaf}, tiếp nhận lúc {at}",
    "nothing about a document or status here": "không nói gì về văn bản hay trạng thái ở đây",
    "a notice that belongs here": "một thông báo thuộc về gói này",
    "one promise for {digest}, as {promised}, not before {at}": "một lời hứa cho {digest}, là {promised}, không trước {at}",
    "{code} addressed as {written}": "{code} được ghi là {written}",
    "how its acceptance in the log tells": "như việc tiếp nhận trong nhật ký nêu",
    "a document of this bundle": "một văn bản của gói này",
    "another certificate": "chứng thư khác",
    "that of the document's signer": "chứng thư của bên ký văn bản",
    "no publish {attempt} that fits": "không có lần chuyển {attempt} nào khớp",
    "its dispatch in the log": "việc chuyển trong nhật ký",
    "its signed document, or why it is withheld": "văn bản đã ký, hoặc lý do không kèm theo",
    "statuses of other documents": "trạng thái của các văn bản khác",
    "its signed status message, or why it is withheld": "thông điệp trạng thái đã ký, hoặc lý do không kèm theo",
    "a message of this bundle": "một thông điệp của gói này",
    "an action on a document of this bundle": "một thao tác với văn bản của gói này",
    "an agency that speaks in this bundle": "một cơ quan có phát biểu trong gói này",
    "an event about a document of this bundle": "một sự kiện về văn bản của gói này",
    "an event {kind} that nothing goes with": "sự kiện {kind} mà không gì đi kèm",
    "an event about other recipients": "sự kiện về các nơi nhận khác",
    "events of the bundle's scope": "sự kiện thuộc phạm vi của gói",
    "certificate {thumbprint}": "chứng thư {thumbprint}",
    "only certificates of who signed something here": "chỉ chứng thư của bên đã ký trong gói này",
    "{word} of {who} for {agency}": "{word} của {who} cho {agency}",
    "only statements about who speaks here": "chỉ lời xác nhận về bên phát biểu trong gói này",
    "a message of which the log tells and that is not here": "thông điệp có trong nhật ký mà không có ở đây",
    # ── The seal ──
    "another payload": "nội dung khác",
    "a seal with from": "niêm phong có from",
    "a seal over other content ({member})": "niêm phong cho nội dung khác ({member})",
    "one over SHA-256 {digest}, as the lines are": "niêm phong cho SHA-256 {digest}, đúng như các dòng",
    "the larger of two ECDSA signatures": "chữ ký lớn hơn trong hai chữ ký ECDSA",
    "the one with the smaller s": "chữ ký có s nhỏ hơn",
    "the exchange's own seal": "niêm phong của chính trục",
    "a good signature of one who may say this": "chữ ký hợp lệ của bên được phép nói điều này",
    # ── Archives ──
    "no contents.bundle": "không có contents.bundle",
    "a finished archive": "kho lưu trữ đã hoàn tất",
    "a bundle without parts and index": "gói không có danh sách phần và chỉ mục",
    "an archive's table of contents": "mục lục của kho lưu trữ",
    "a file that the contents do not name": "tệp không có trong mục lục",
    "only what is sealed": "chỉ những gì đã được niêm phong",
    "SHA-256 {digest}, as the contents say": "SHA-256 {digest}, như mục lục ghi",
    "another index, or none": "chỉ mục khác, hoặc không có",
    "an index that says something else than the parts": "chỉ mục nói khác các phần",
    "what the parts say": "như các phần ghi",
    "scope {scope}": "phạm vi {scope}",
    "{scope}, as the contents say": "{scope}, như mục lục ghi",
    **EVIDENCE,
    **REFUSED,
    # ── What is like anything, last ──
    "{field}: {clause}": "{field}: {clause}",
    "{clause}; expected {other}": "{clause}; cần {other}",
    "document {id}": "văn bản {id}",
    "a document": "một văn bản",
    "a status": "một trạng thái",
    "a notice": "một thông báo",
    "no {word}": "không có {word}",
    "another {word}": "{word} khác",
    "{clause} (LT-{code})": "{clause} (LT-{code})",
}
"""What was found and what was expected, English to Vietnamese."""

_PLACES: Final = Sentences(PLACES)
_FAULTS: Final = Sentences(FAULTS)


def place(what: str, language: Language) -> str:
    """Where something does not hold, or the type of a line."""
    return _PLACES.told(what, language)


def clause(text: str, language: Language) -> str:
    """What was found or expected, or why an answer about a signature is not good."""
    return _FAULTS.told(text, language)


def sentence(fault: Fault, language: Language) -> str:
    """One fault for a person; its reason, in square brackets, is the same word in every language."""
    if language == "en":
        return fault.sentence()
    where = place(fault.what, language)
    where = f"dòng {fault.line}, {where}" if fault.line else where
    return f"{where}: thấy {clause(fault.found, language)}; cần {clause(fault.expected, language)} [{fault.reason}]"
