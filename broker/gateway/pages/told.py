"""What other rooms tell in English only, in Vietnamese for the pages: problems, verdicts' reasons, clauses of refusals.

A table of sentences with their places; pure. Those rooms speak to operators at a terminal and to programs, so that they
have one language; an auditor reads his own. A test goes through their source and fails for a sentence that has no line
here. Where nothing is known of a text, the pages say what the error catalogue says of its code, in both languages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from broker.audit.record import RejectionRecord
from broker.audit.verdict_sentences import TIMES
from broker.audit.words import PROCESSING
from schemas.errors import CATALOGUE
from schemas.languages import Language, Sentences
from schemas.refusal_sentences import CLAUSES
from schemas.verdict import Finding

TOLD: Final[Mapping[str, str]] = {
    # ── Questions (broker.audit) ──
    "No agency is or was known as “{text}”": "Không có cơ quan nào mang mã “{text}”, nay cũng như trước đây",
    "an agency's code or one of its aliases": "mã định danh của một cơ quan, hoặc một tên khác của mã",
    "Look for it with `lienthong agency list`": "Hãy tìm trên bản đồ, trong báo cáo theo cơ quan, hoặc bằng lệnh `lienthong agency list`",
    "{code} is not a recipient of document {id}": "{code} không phải là nơi nhận của văn bản {id}",
    "the code of one of its recipients": "mã của một trong các nơi nhận",
    "See them all with `lienthong document trace {id}`": "Xem tất cả bằng lệnh `lienthong document trace {id}`",
    "No accepted document is known under “{text}” of {sender}": "Không có văn bản nào của {sender} đã được tiếp nhận dưới “{text}”",
    "No accepted document is known under “{text}”": "Không có văn bản nào đã được tiếp nhận dưới “{text}”",
    "a document id (UUID), a digest of 64 hex digits, or number/notation": "mã văn bản (UUID), mã băm 64 chữ số thập lục phân, hoặc số/ký hiệu",
    "Look for it with `lienthong audit search`. A message that was refused {known}: `lienthong audit search --refused`. If it was sent, it has not reached us yet": "Hãy dùng trang Tra cứu. Thông điệp bị từ chối được biết theo mã, ở trang Bị từ chối. Nếu đã gửi, thông điệp chưa đến trục",
    "Look for it with `lienthong audit search`": "Hãy dùng trang Tra cứu",
    "“{text}” fits {count} documents: {listed}": "“{text}” ứng với {count} văn bản: {listed}",
    "exactly one document": "đúng một văn bản",
    "Give the id, and the sender with --from": "Hãy ghi mã văn bản và nơi gửi",
    "No document and no refused message is known under “{text}” of {sender}": "Không có văn bản hay thông điệp bị từ chối nào của {sender} dưới “{text}”",
    "No document and no refused message is known under “{text}”": "Không có văn bản hay thông điệp bị từ chối nào dưới “{text}”",
    "“{number}/{notation}” was said by {count} messages, all refused: {listed}": "“{number}/{notation}” có trong {count} thông điệp, tất cả đều bị từ chối: {listed}",
    "exactly one message": "đúng một thông điệp",
    "Give its id instead; they are listed by `lienthong audit search --refused`": "Hãy ghi mã của thông điệp; trang Bị từ chối liệt kê các thông điệp này",
    "the page mark “{text}”": "dấu trang “{text}”",
    "the mark that the page before ended with": "dấu mà trang trước đã kết thúc",
    "Begin at the first page": "Hãy bắt đầu lại từ trang đầu",
    # ── Days ──
    "the day “{text}”": "ngày “{text}”",
    "a day such as 22/11/2026": "một ngày, ví dụ 22/11/2026",
    "Write it in this way": "Hãy ghi theo cách này",
    "a period from {first} to {last}": "khoảng thời gian từ {first} đến {last}",
    "a first day not after the last": "ngày đầu không sau ngày cuối",
    "Turn them round": "Hãy đổi chỗ hai ngày",
    # ── Signing in ──
    "the identity provider at {host} does not answer as it should": "nhà cung cấp định danh tại {host} không trả lời đúng cách",
    "an OpenID Connect provider": "một nhà cung cấp OpenID Connect",
    "Sign in with a password, or try again later": "Hãy đăng nhập bằng mật khẩu, hoặc thử lại sau",
    "an identity provider that calls itself {name}": "nhà cung cấp định danh tự xưng là {name}",
    "Correct oidc_issuer": "Hãy sửa thiết lập oidc_issuer",
    # ── What operators do ──
    "a document that has been held since {at} UTC": "văn bản đã bị tạm giữ từ {at} UTC",
    "one that is not held": "văn bản không bị tạm giữ",
    "release it, or cancel it": "Hãy cho đi tiếp, hoặc hủy",
    "a document whose {count} deliveries have all been handed over, or ended": "văn bản mà cả {count} lượt đều đã được chuyển hoặc đã kết thúc",
    "at least one delivery that has not gone out": "ít nhất một lượt chưa được chuyển",
    "have its sender recall it, or ask for it back with a status 13": "Nơi gửi cần thu hồi văn bản, hoặc yêu cầu lấy lại bằng trạng thái 13",
    "a document held for {seconds} seconds": "văn bản mới bị tạm giữ {seconds} giây",
    "one held for {seconds} seconds, so that no worker has a copy in hand": "văn bản đã bị tạm giữ {seconds} giây, để chắc rằng không tiến trình nào còn đang chuyển",
    "try again in {seconds} seconds": "Hãy thử lại sau {seconds} giây",
    "a document that is held": "văn bản đang bị tạm giữ",
    "one that may go out": "văn bản được phép chuyển",
    "release it; then it goes out": "Hãy cho đi tiếp; khi đó văn bản được chuyển",
    "{count} deliveries, none of which needs a further copy; {copies} copies are on their way": "{count} lượt chuyển, không lượt nào cần thêm bản; {copies} bản đang trên đường",
    "{count} deliveries, none of which needs a further copy": "{count} lượt chuyển, không lượt nào cần thêm bản",
    "at least one recipient without 01, or one that is named": "ít nhất một nơi nhận chưa có trạng thái 01, hoặc nơi nhận được ghi mã",
    "name the recipients that need it again": "Hãy ghi mã những nơi cần nhận lại",
    "{code}: no recipient of it": "{code}: không phải nơi nhận",
    "{code}: recalled": "{code}: đã thu hồi",
    "{code}: refused": "{code}: từ chối tiếp nhận",
    "{code}: completed": "{code}: hoàn thành",
    "{code}: cancelled": "{code}: bị người vận hành hủy",
    "codes of recipients whose delivery is open": "mã những nơi nhận mà lượt chuyển còn mở",
    "leave it out; `lienthong document trace` lists them all": "Hãy bỏ mã này; trang văn bản liệt kê mọi nơi nhận",
    "a document that is not held": "văn bản không bị tạm giữ",
    "one that is held": "văn bản đang bị tạm giữ",
    "hold it first: `document hold`": "Hãy tạm giữ trước",
    "no quarantined message {number}": "không có thông điệp cách ly số {number}",
    "the number of one": "số của một thông điệp cách ly",
    "see them with `lienthong quarantine list --settled`": "Xem ở trang Cách ly, cả những trường hợp đã kết luận",
    "quarantined message {number}, settled on {at} UTC": "thông điệp cách ly số {number}, đã kết luận lúc {at} UTC",
    "one that waits for a decision": "thông điệp đang chờ quyết định",
    "see those with `lienthong quarantine list`": "Xem ở trang Cách ly",
    "a reason of {count} characters": "lý do dài {count} ký tự",
    "why this is done, in at most {count} characters: it is kept with the action": "lý do của việc này, nhiều nhất {count} ký tự: lý do được lưu cùng thao tác",
    "say why": "Hãy ghi lý do",
    "“{text}” names {count} dead letters": "“{text}” ứng với {count} thông điệp lỗi",
    "“{text}” names {count} dead letter": "Không có thông điệp lỗi nào mang mã “{text}”",
    "the id of one dead letter, or its first characters ({count} at least)": "mã của một thông điệp lỗi, hoặc các ký tự đầu của mã (ít nhất {count})",
    "See them with `lienthong dead list`": "Xem ở trang Thông điệp lỗi",
    "RabbitMQ did not take the message: {why}": "RabbitMQ không nhận thông điệp: {why}",
    "a confirmed publish to lt.submit": "việc chuyển vào lt.submit được xác nhận",
    "Run `lienthong topology plan`, then try again; the message is still in lt.dead": "Hãy chạy `lienthong topology plan` rồi thử lại; thông điệp vẫn còn trong lt.dead",
    "given up by RabbitMQ after too many deliveries": "RabbitMQ đã bỏ sau quá nhiều lần chuyển",
    "no agency “{text}” in the directory": "không có cơ quan “{text}” trong danh bạ",
    "the code or an alias of an agency": "mã hoặc tên khác của một cơ quan",
    "did you mean {codes}?": "có phải bạn muốn ghi {codes}?",
    "look it up with `lienthong agency list`": "Hãy tìm bằng lệnh `lienthong agency list`",
    "“{text}”, an alias of several agencies, among them {one} and {other}": "“{text}” là tên khác của nhiều cơ quan, trong đó có {one} và {other}",
    "a code or alias that names one agency": "mã hoặc tên khác chỉ đúng một cơ quan",
    "write the code itself": "Hãy ghi chính mã định danh",
    "{code} {name}, closed on {day}": "{code} {name}, đã kết thúc ngày {day}",
    "an agency that exists": "cơ quan đang tồn tại",
    "name its successor: {codes}": "Hãy ghi cơ quan kế thừa: {codes}",
    # ── Proofs and the log ──
    "Document {id} was accepted at {at}, after the newest checkpoint": "Văn bản {id} được tiếp nhận lúc {at} (UTC), sau điểm kiểm tra mới nhất",
    "a checkpoint that covers it; the log has promised one by {at}": "một điểm kiểm tra bao gồm văn bản này; sổ đã hứa có trước {at} (UTC)",
    "Try again in a moment; if it stays so, let the keeper run (`lienthong keeper`)": "Hãy thử lại sau giây lát; nếu vẫn vậy, người vận hành cần chạy tiến trình giám sát (`lienthong keeper`)",
    "Every message under “{text}” was refused: there is no document to prove": "Mọi thông điệp dưới “{text}” đều bị từ chối: không có văn bản nào để chứng minh",
    "a document that the exchange accepted": "một văn bản mà trục đã tiếp nhận",
    "See why with `lienthong document trace`": "Xem lý do ở trang Bị từ chối",
    "No log here is called {name}": "Ở đây không có sổ nào tên {name}",
    "a checkpoint of {names}": "một điểm kiểm tra của {names}",
    "Name the file of an older checkpoint of this very exchange": "Hãy dùng điểm kiểm tra cũ của chính trục này",
    "This exchange has signed no checkpoint yet": "Trục chưa ký điểm kiểm tra nào",
    "a log with at least one checkpoint": "một sổ có ít nhất một điểm kiểm tra",
    "Let the keeper run (`lienthong keeper`), and look at `lienthong audit checkpoint`": "Người vận hành cần chạy tiến trình giám sát (`lienthong keeper`) và xem `lienthong audit checkpoint`",
    "The exchange's own certificate is not enrolled in this database": "Chứng thư của chính trục chưa được đăng ký trong cơ sở dữ liệu này",
    "the certificate with which bundles are sealed": "chứng thư dùng để niêm phong hồ sơ chứng minh",
    "Enrol it: `lienthong run`, `lienthong worker` and `lienthong pki init` do it when they start": "Hãy đăng ký: `lienthong run`, `lienthong worker` và `lienthong pki init` làm việc này khi khởi động",
    "The older checkpoint covers {old} entries, and the newest one only {new}": "Điểm kiểm tra cũ bao gồm {old} mục, điểm mới nhất chỉ có {new}",
    "a checkpoint from before": "một điểm kiểm tra có trước",
    "Compare the log with `lienthong audit verify`: a log never shrinks": "Hãy đối chiếu sổ bằng `lienthong audit verify`: sổ không bao giờ ngắn đi",
    "no verifier key of the log in {file}": "không có khóa công khai của sổ trong {file}",
    "one line name+hash+base64 for each key that the log ever had": "mỗi khóa sổ từng có là một dòng tên+mã băm+base64",
    "Make the log's key with `lienthong pki init`, or name a file with --key": "Hãy tạo khóa của sổ bằng `lienthong pki init`",
    "{file} cannot be read: {why}": "không đọc được {file}: {why}",
    "verifier keys of the log, one a line: name+hash+base64": "các khóa công khai của sổ, mỗi khóa một dòng: tên+mã băm+base64",
    "Bring the file back, or name another one with --key": "Hãy khôi phục tệp",
    # ── Servers ──
    "PostgreSQL at {place} did not let us in: {why}": "PostgreSQL tại {place} không cho kết nối: {why}",
    "a running PostgreSQL 15 or newer with the exchange's database and login": "một máy chủ PostgreSQL 15 trở lên đang chạy, có cơ sở dữ liệu và tài khoản của trục",
    "start it with `lienthong services up`, or set LIENTHONG_DATABASE_URL to an existing database": "Người vận hành cần khởi động máy chủ, hoặc đặt LIENTHONG_DATABASE_URL đến một cơ sở dữ liệu có sẵn",
    # ── Verdicts ──
    **TIMES,
    "the certificate with this thumbprint is not enrolled": "chứng thư có dấu vân này chưa được đăng ký",
    "there is no signature to ask about": "không có chữ ký nào để xét",
    "the stored bytes are no signed message: {why}": "nội dung đã lưu không phải là thông điệp có chữ ký: {why}",
    "the stored bytes are {digest}, the record says {other}": "nội dung đã lưu có mã băm {digest}, hồ sơ ghi {other}",
    # ── Clauses of refusals ──
    **CLAUSES,
}
"""English, as other rooms say it and without a full stop at the end, to Vietnamese; `{…}` are places."""

ANSWERS: Final = {one.en: one.vi for one in PROCESSING.values()} | {name: one.vi for name, one in PROCESSING.items()}
_LETTER: Final = re.compile(r"[^\x00-\x7f]")


def _in_place(name: str, value: str) -> str:
    known = ANSWERS.get(value) or in_vietnamese(value)
    # A reason that another program gave is an English sentence; anything else is a name, a number or a code.
    return known or ("" if name == "why" else value)


_SENTENCES: Final = Sentences(TOLD, place=_in_place)


def in_vietnamese(text: str) -> str | None:
    """`text` in Vietnamese, None if it is not known. What stands in its places is put over likewise."""
    known = _SENTENCES.vietnamese(text.strip().removesuffix("."))
    return None if known is None else known.removesuffix(": ")


def clause(text: object, language: Language) -> str:
    """A clause of a problem or refusal in the visitor's language; empty if it is a sentence that is not known in it.

    A single word, and what is written with Vietnamese letters, is what somebody wrote: it is repeated as it is.
    """
    told = str(text or "")
    if language == "en" or not told:
        return told
    known = in_vietnamese(told)
    if known is not None:
        return known
    return told if " " not in told.strip() or _LETTER.search(told) else ANSWERS.get(told, "")


def refused(rejection: RejectionRecord, language: Language) -> RejectionRecord:
    """A refused message with its details in the visitor's language."""
    if language == "en":
        return rejection
    details = {name: clause(rejection.detail.get(name), language) for name in ("found", "expected")}
    return replace(rejection, detail={**rejection.detail, **details})


def why(finding: Finding, language: Language) -> str:
    """Why an answer about a signature is not good."""
    if language == "en":
        return finding.why
    known = in_vietnamese(finding.why)
    if known is not None:
        return known
    return CATALOGUE[finding.code].vi if finding.code is not None and finding.code in CATALOGUE else ""


def dead(reason: str, language: Language) -> str:
    """Why a message is a dead letter: the error catalogue's sentence where the reason begins with one of its codes."""
    if language == "en":
        return reason
    code = reason.partition(":")[0]
    if code in CATALOGUE:
        return f"{code}: {CATALOGUE[code].vi}"
    return in_vietnamese(reason) or ""
