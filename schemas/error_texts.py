"""The entries of the error catalogue (contract §8), as a literal table.

Texts only: one entry a code, each text a whole sentence that a records clerk can read without a programmer beside
them. `schemas.errors` is the door through which the rest of the project reads this table.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Fault(StrEnum):
    """Who has to act so that it works next time."""

    SENDER = "sender"
    """The agency that made the message: its software or its clerk."""
    TRUST = "trust"
    """Keys, certificates, enrolment and mandates."""
    ADDRESSING = "addressing"
    """The codes, aliases and groups that were written."""
    RECIPIENT = "recipient"
    """The agency at the other end."""
    BROKER = "broker"
    """The exchange itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEntry:
    """One code of the catalogue.

    `retryable`: sending *the same bytes* again, later, can succeed without anybody changing the message.
    `http` is the status of the HTTP interfaces, `vxp` the `ErrorCode` for software that speaks the older REST
    protocol: 0 ok, 10 invalid file, 15 wrong system id or secret, 18 receiver does not exist, 19 sender not
    registered, 20 internal error, 21 file processing error, 22 edXML format wrong, 23 receiver locked.
    """

    code: str
    fault: Fault
    retryable: bool
    en: str
    vi: str
    remedy_en: str
    remedy_vi: str
    http: int
    vxp: int


ENTRIES: Final[tuple[ErrorEntry, ...]] = (
    # ── The message itself ───────────────────────────────────────────────────────────────────────────────────────
    ErrorEntry(
        code="LT-SHAPE",
        fault=Fault.SENDER,
        retryable=False,
        en="The message is not a well-formed signed message.",
        vi="Thông điệp không đúng khuôn dạng của một thông điệp đã ký.",
        remedy_en="Correct the software that makes the message (contract, section 1), then sign and send it anew.",
        remedy_vi="Sửa phần mềm tạo thông điệp (hợp đồng kết nối, mục 1), sau đó ký và gửi lại.",
        http=400,
        vxp=10,
    ),
    ErrorEntry(
        code="LT-SIZE",
        fault=Fault.SENDER,
        retryable=False,
        en="The message, or what it carries inline, is too large.",
        vi="Thông điệp hoặc phần nội dung kèm theo trong thông điệp vượt quá dung lượng cho phép.",
        remedy_en="Put the parts into the content store and name them by digest instead of carrying them inline.",
        remedy_vi="Tải các tệp lên kho nội dung và chỉ nêu mã băm của tệp, không kèm tệp trong thông điệp.",
        http=413,
        vxp=10,
    ),
    ErrorEntry(
        code="LT-VERSION",
        fault=Fault.SENDER,
        retryable=False,
        en="The message follows a version of the contract that this exchange does not speak.",
        vi="Thông điệp theo một phiên bản hợp đồng kết nối mà trục liên thông không hỗ trợ.",
        remedy_en='Send a manifest whose "spec" is "lienthong/1".',
        remedy_vi='Gửi bản kê có trường "spec" là "lienthong/1".',
        http=400,
        vxp=22,
    ),
    ErrorEntry(
        code="LT-MUST-UNDERSTAND",
        fault=Fault.SENDER,
        retryable=False,
        en="The message demands that a field be understood which this exchange does not know.",
        vi="Thông điệp yêu cầu phải hiểu một trường thông tin mà trục liên thông chưa biết.",
        remedy_en='Take the field out of "must_understand", or wait until the exchange supports it.',
        remedy_vi='Bỏ trường đó khỏi "must_understand", hoặc chờ đến khi trục liên thông hỗ trợ.',
        http=400,
        vxp=22,
    ),
    ErrorEntry(
        code="LT-SCHEMA",
        fault=Fault.SENDER,
        retryable=False,
        en="A field of the message is missing or has a value that is not allowed.",
        vi="Một trường thông tin của thông điệp bị thiếu hoặc có giá trị không hợp lệ.",
        remedy_en="Correct the named field, then sign and send the message with a new id.",
        remedy_vi="Sửa trường thông tin được nêu, sau đó ký và gửi lại thông điệp với mã (id) mới.",
        http=422,
        vxp=22,
    ),
    ErrorEntry(
        code="LT-REASON-MISSING",
        fault=Fault.SENDER,
        retryable=False,
        en="This message must give a reason, and gives none.",
        vi="Thông điệp này bắt buộc phải nêu lý do nhưng chưa có lý do.",
        remedy_en='Write in "reason" why the document is refused, recalled, replaced or asked back.',
        remedy_vi='Ghi lý do từ chối, thu hồi, thay thế hoặc lấy lại văn bản vào trường "reason".',
        http=422,
        vxp=22,
    ),
    ErrorEntry(
        code="LT-EDXML",
        fault=Fault.SENDER,
        retryable=False,
        en="The edXML file does not follow the national message format.",
        vi="Tệp edXML không đúng định dạng gói tin theo quy chuẩn quốc gia.",
        remedy_en="Correct the named element of the edXML file and send it again.",
        remedy_vi="Sửa phần tử được nêu trong tệp edXML rồi gửi lại.",
        http=422,
        vxp=22,
    ),
    ErrorEntry(
        code="LT-TIME",
        fault=Fault.SENDER,
        retryable=False,
        en="The time of signing is too far in the past or lies in the future.",
        vi="Thời điểm ký gửi quá cũ hoặc nằm ở tương lai so với giờ của trục liên thông.",
        remedy_en="Set the clock of the sending machine, then sign and send the message anew.",
        remedy_vi="Chỉnh lại đồng hồ của máy gửi, sau đó ký và gửi lại thông điệp.",
        http=422,
        vxp=21,
    ),
    # ── Who speaks ───────────────────────────────────────────────────────────────────────────────────────────────
    ErrorEntry(
        code="LT-USER",
        fault=Fault.TRUST,
        retryable=False,
        en="The connection's user may not submit this message.",
        vi="Tài khoản kết nối không được phép gửi thông điệp này.",
        remedy_en="Publish with the validated user id of the sending agency, or of a hub with a mandate for it.",
        remedy_vi="Gửi bằng tài khoản của chính cơ quan gửi, hoặc của đầu mối được ủy quyền cho cơ quan đó.",
        http=403,
        vxp=15,
    ),
    ErrorEntry(
        code="LT-ROUTING-KEY",
        fault=Fault.SENDER,
        retryable=False,
        en="The routing key does not fit the message's kind, lane or submitter.",
        vi="Khóa định tuyến không khớp với loại, mức độ khẩn hoặc bên gửi của thông điệp.",
        remedy_en="Publish priority 1 and above as document.urgent.<code>, priority 0 as document.normal.<code>, "
        "statuses as status.<code> and requests as request.<code>.",
        remedy_vi="Gửi văn bản khẩn (mức 1 trở lên) với document.urgent.<mã>, văn bản thường với "
        "document.normal.<mã>, trạng thái với status.<mã> và yêu cầu với request.<mã>.",
        http=400,
        vxp=21,
    ),
    ErrorEntry(
        code="LT-SIGNER-UNKNOWN",
        fault=Fault.TRUST,
        retryable=True,
        en="The signer's certificate is not enrolled at the exchange.",
        vi="Chứng thư số của người ký chưa được đăng ký trên trục liên thông.",
        remedy_en="Have the operator enrol the certificate, then send the same message again.",
        remedy_vi="Đề nghị đơn vị vận hành đăng ký chứng thư số, sau đó gửi lại chính thông điệp này.",
        http=403,
        vxp=19,
    ),
    ErrorEntry(
        code="LT-SIGNER-EXPIRED",
        fault=Fault.TRUST,
        retryable=False,
        en="The signer's certificate was not valid at the time of signing, or is not valid now.",
        vi="Chứng thư số của người ký không còn hiệu lực hoặc chưa có hiệu lực tại thời điểm ký hay hiện tại.",
        remedy_en="Renew the certificate, have it enrolled, and sign the message with the new key.",
        remedy_vi="Gia hạn chứng thư số, đăng ký lại và ký thông điệp bằng khóa mới.",
        http=403,
        vxp=19,
    ),
    ErrorEntry(
        code="LT-SIGNER-REVOKED",
        fault=Fault.TRUST,
        retryable=False,
        en="The signer's certificate has been revoked.",
        vi="Chứng thư số của người ký đã bị thu hồi.",
        remedy_en="Have a new certificate issued and enrolled, and sign the message with its key.",
        remedy_vi="Xin cấp và đăng ký chứng thư số mới, sau đó ký thông điệp bằng khóa mới.",
        http=403,
        vxp=19,
    ),
    ErrorEntry(
        code="LT-SIGNER-NOT-ALLOWED",
        fault=Fault.TRUST,
        retryable=False,
        en="The certificate is known, but it may not speak for this agency.",
        vi="Chứng thư số đã được đăng ký nhưng không có quyền ký thay cho cơ quan này.",
        remedy_en='Sign with the agency\'s own key, or have the operator record the mandate "sign" for the hub.',
        remedy_vi="Ký bằng khóa của chính cơ quan gửi, hoặc đề nghị đơn vị vận hành ghi nhận ủy quyền ký cho đầu mối.",
        http=403,
        vxp=19,
    ),
    ErrorEntry(
        code="LT-SIGNATURE",
        fault=Fault.TRUST,
        retryable=False,
        en="The signature does not verify: the bytes are not those that were signed.",
        vi="Chữ ký số không hợp lệ: nội dung nhận được không đúng với nội dung đã ký.",
        remedy_en="Find what changes the message after signing, or which key was used; then sign and send anew.",
        remedy_vi="Kiểm tra điều gì đã làm thay đổi thông điệp sau khi ký hoặc khóa đã dùng, sau đó ký và gửi lại.",
        http=400,
        vxp=10,
    ),
    ErrorEntry(
        code="LT-ALGORITHM",
        fault=Fault.TRUST,
        retryable=False,
        en="The signature's algorithm or key is not accepted.",
        vi="Thuật toán ký hoặc khóa ký không được chấp nhận.",
        remedy_en="Sign with ES256, ES384, RS256, PS256 (RSA of 2048 bits or more) or EdDSA, as fits the certificate.",
        remedy_vi="Ký bằng ES256, ES384, RS256, PS256 (RSA từ 2048 bit trở lên) hoặc EdDSA, phù hợp với chứng thư số.",
        http=400,
        vxp=10,
    ),
    # ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────
    ErrorEntry(
        code="LT-PART-MISSING",
        fault=Fault.SENDER,
        retryable=True,
        en="A part that the document names is neither inline nor among the content that its sender or its hub has "
        "stored, sent or received.",
        vi="Một tệp được nêu trong văn bản không có trong thông điệp và cũng không nằm trong nội dung mà bên gửi hoặc "
        "đầu mối của bên gửi đã tải lên, đã gửi hoặc đã nhận.",
        remedy_en="Upload the part completely under the sender's own code (or its hub's), then send the same message "
        "again.",
        remedy_vi="Tải đầy đủ tệp lên bằng mã của chính cơ quan gửi (hoặc của đầu mối), sau đó gửi lại chính thông "
        "điệp này.",
        http=422,
        vxp=10,
    ),
    ErrorEntry(
        code="LT-PART-DIGEST",
        fault=Fault.SENDER,
        retryable=False,
        en="The bytes of a part do not have the digest or the size that the document gives for it.",
        vi="Nội dung của một tệp không khớp với mã băm hoặc dung lượng ghi trong văn bản.",
        remedy_en="Compute SHA-256 and size from the file as it is sent, then sign and send the document anew.",
        remedy_vi="Tính lại mã băm SHA-256 và dung lượng từ đúng tệp được gửi, sau đó ký và gửi lại văn bản.",
        http=422,
        vxp=10,
    ),
    ErrorEntry(
        code="LT-PART-NOT-ALLOWED",
        fault=Fault.SENDER,
        retryable=False,
        en="The sender may not use this content: it has neither stored it nor received it.",
        vi="Bên gửi không có quyền sử dụng nội dung này vì chưa từng tải lên hoặc nhận được nội dung đó.",
        remedy_en="Upload the part under the sender's own code (or its hub's), then send the document again.",
        remedy_vi="Tải tệp lên bằng mã của chính cơ quan gửi (hoặc của đầu mối), sau đó gửi lại văn bản.",
        http=403,
        vxp=21,
    ),
    # ── The gateway ──────────────────────────────────────────────────────────────────────────────────────────────
    ErrorEntry(
        code="LT-AUTH",
        fault=Fault.TRUST,
        retryable=False,
        en="The request does not prove who sends it.",
        vi="Yêu cầu không chứng minh được cơ quan gửi.",
        remedy_en="Send a token made for this very request, signed with an enrolled key (contract, section 6), and "
        "keep the clock right.",
        remedy_vi="Gửi mã xác thực tạo riêng cho yêu cầu này, ký bằng khóa đã đăng ký (hợp đồng kết nối, mục 6), và "
        "giữ đồng hồ hệ thống chính xác.",
        http=401,
        vxp=15,
    ),
    ErrorEntry(
        code="LT-NOT-FOUND",
        fault=Fault.SENDER,
        retryable=True,
        en="There is nothing at this address that this agency may read.",
        vi="Tại địa chỉ này không có nội dung mà cơ quan được phép đọc.",
        remedy_en="Content can be read by who has stored it, and by sender and recipients of an accepted document that "
        "names it; check the digest.",
        remedy_vi="Nội dung chỉ được đọc bởi cơ quan đã tải lên và bởi bên gửi, bên nhận của văn bản đã được tiếp nhận "
        "có nêu nội dung đó; hãy kiểm tra lại mã băm.",
        http=404,
        vxp=10,
    ),
    ErrorEntry(
        code="LT-QUOTA",
        fault=Fault.SENDER,
        retryable=True,
        en="The agency has stored as much as it may have waiting to be sent.",
        vi="Cơ quan đã tải lên hết dung lượng được phép chờ gửi.",
        remedy_en="Send the documents that name what is stored, or wait until unused content has gone, then upload "
        "again; the operator can raise the quota.",
        remedy_vi="Gửi các văn bản có nêu nội dung đã tải lên, hoặc chờ nội dung không dùng được xóa rồi tải lên lại; "
        "đơn vị vận hành có thể tăng hạn mức.",
        http=507,
        vxp=20,
    ),
    ErrorEntry(
        code="LT-BUSY",
        fault=Fault.BROKER,
        retryable=True,
        en="There are too many requests of this kind at the moment.",
        vi="Hiện có quá nhiều yêu cầu loại này.",
        remedy_en="Try again a little later.",
        remedy_vi="Hãy thử lại sau ít phút.",
        http=503,
        vxp=20,
    ),
    # ── Recipients ───────────────────────────────────────────────────────────────────────────────────────────────
    ErrorEntry(
        code="LT-RECIPIENT-UNKNOWN",
        fault=Fault.ADDRESSING,
        retryable=False,
        en="A recipient's code, alias or group is not in the directory.",
        vi="Mã định danh, bí danh hoặc nhóm nơi nhận không có trong danh bạ.",
        remedy_en='Look the code up in the directory (see the suggestions), or set "partial" to send to the others.',
        remedy_vi='Tra lại mã trong danh bạ (xem các mã gợi ý), hoặc đặt "partial" để gửi cho các nơi nhận còn lại.',
        http=422,
        vxp=18,
    ),
    ErrorEntry(
        code="LT-RECIPIENT-CLOSED",
        fault=Fault.ADDRESSING,
        retryable=False,
        en="A recipient no longer exists and has no single successor.",
        vi="Cơ quan nhận đã kết thúc hoạt động và không có duy nhất một cơ quan kế thừa.",
        remedy_en="Address the document to the right one of the named successors.",
        remedy_vi="Gửi văn bản đến đúng cơ quan kế thừa trong danh sách được nêu.",
        http=422,
        vxp=18,
    ),
    ErrorEntry(
        code="LT-RECIPIENT-SUSPENDED",
        fault=Fault.RECIPIENT,
        retryable=True,
        en="A recipient is suspended at present and receives nothing.",
        vi="Cơ quan nhận đang bị tạm ngừng kết nối nên không nhận được văn bản.",
        remedy_en="Send the document again when the recipient has been resumed, or reach it by another way.",
        remedy_vi="Gửi lại văn bản khi cơ quan nhận được kết nối trở lại, hoặc gửi bằng phương thức khác.",
        http=409,
        vxp=23,
    ),
    ErrorEntry(
        code="LT-RECIPIENT-NONE",
        fault=Fault.ADDRESSING,
        retryable=False,
        en="No recipient is left: what was written names nobody but the sender.",
        vi="Không còn nơi nhận nào: danh sách nơi nhận chỉ gồm chính cơ quan gửi hoặc nhóm rỗng.",
        remedy_en='Name at least one other agency in "to".',
        remedy_vi='Ghi ít nhất một cơ quan khác vào trường "to".',
        http=422,
        vxp=18,
    ),
    # ── Duplicates ───────────────────────────────────────────────────────────────────────────────────────────────
    ErrorEntry(
        code="LT-DUP-CONFLICT",
        fault=Fault.SENDER,
        retryable=False,
        en="This id was already used by the same sender for a message with other bytes; the first stays in force.",
        vi="Mã (id) này đã được chính bên gửi dùng cho một thông điệp khác; thông điệp đầu tiên vẫn có hiệu lực.",
        remedy_en="Give every new message a new id; repeat a message only byte for byte.",
        remedy_vi="Mỗi thông điệp mới phải có mã (id) mới; khi gửi lại phải giữ nguyên từng byte.",
        http=409,
        vxp=21,
    ),
    ErrorEntry(
        code="LT-DUP-NATURAL",
        fault=Fault.SENDER,
        retryable=False,
        en="Warning: a document with the same number, notation and year was already sent under another id.",
        vi="Cảnh báo: đã có văn bản cùng số, ký hiệu và năm ban hành được gửi với mã (id) khác.",
        remedy_en="If it is the same document, recall one of them; if not, check number and notation.",
        remedy_vi="Nếu là cùng một văn bản, hãy thu hồi một bản; nếu không, hãy kiểm tra lại số và ký hiệu.",
        http=200,
        vxp=0,
    ),
    # ── What a message concerns ──────────────────────────────────────────────────────────────────────────────────
    ErrorEntry(
        code="LT-CONCERNS-UNKNOWN",
        fault=Fault.SENDER,
        retryable=True,
        en="The document that this message concerns is not known to the exchange.",
        vi="Trục liên thông không có văn bản mà thông điệp này đề cập.",
        remedy_en="Check sender, id or number in the reference; if the document is on its way, send again later.",
        remedy_vi="Kiểm tra lại cơ quan gửi, mã (id) hoặc số ký hiệu; nếu văn bản đang được gửi, hãy gửi lại sau.",
        http=404,
        vxp=21,
    ),
    ErrorEntry(
        code="LT-CONCERNS-AMBIGUOUS",
        fault=Fault.SENDER,
        retryable=False,
        en="The number, notation and year fit several documents.",
        vi="Số, ký hiệu và năm ban hành ứng với nhiều văn bản khác nhau.",
        remedy_en="Name the document by sender, id and digest; the candidates are listed.",
        remedy_vi="Chỉ rõ văn bản bằng cơ quan gửi, mã (id) và mã băm theo danh sách được nêu.",
        http=409,
        vxp=21,
    ),
    ErrorEntry(
        code="LT-CONCERNS-DIGEST",
        fault=Fault.SENDER,
        retryable=False,
        en="The reference names bytes that are not those of the accepted document.",
        vi="Mã băm trong tham chiếu không phải của văn bản đã được tiếp nhận trên trục.",
        remedy_en="Use the digest of the manifest that was delivered; if yours differs, report it to the operator.",
        remedy_vi="Dùng mã băm của bản kê đã nhận được; nếu bản của quý cơ quan khác, hãy báo cho đơn vị vận hành.",
        http=409,
        vxp=21,
    ),
    ErrorEntry(
        code="LT-CHANGE-NOT-ALLOWED",
        fault=Fault.SENDER,
        retryable=False,
        en="This document cannot be changed in this way by this sender.",
        vi="Cơ quan này không được thu hồi, cập nhật hoặc thay thế văn bản theo cách đã yêu cầu.",
        remedy_en="Only the document's sender or its registered successor may change it, and only while it is in "
        "force; ask the sender to do it.",
        remedy_vi="Chỉ cơ quan ban hành văn bản hoặc cơ quan kế thừa đã đăng ký mới được thay đổi, và chỉ khi văn bản "
        "còn hiệu lực; hãy đề nghị cơ quan ban hành thực hiện.",
        http=403,
        vxp=21,
    ),
    ErrorEntry(
        code="LT-STATUS-NOT-ALLOWED",
        fault=Fault.SENDER,
        retryable=False,
        en="This status may not be reported by this agency for this document.",
        vi="Cơ quan này không được cập nhật trạng thái này cho văn bản được nêu.",
        remedy_en="Statuses 01 to 06, 15 and 16 come from a recipient (or who answers for it), 13 from the sender.",
        remedy_vi="Trạng thái 01 đến 06, 15 và 16 do bên nhận (hoặc đơn vị được ủy quyền) gửi, 13 do bên gửi văn bản.",
        http=403,
        vxp=21,
    ),
    ErrorEntry(
        code="LT-OVERDUE",
        fault=Fault.RECIPIENT,
        retryable=False,
        en="The recipient has not confirmed the document's arrival, or has not answered a change, by its deadline.",
        vi="Bên nhận chưa xác nhận văn bản đã đến hoặc chưa trả lời yêu cầu thay đổi trong thời hạn.",
        remedy_en="Nothing is lost and there is no need to send again; the operator has been told and follows it up.",
        remedy_vi="Văn bản không bị mất và không cần gửi lại; đơn vị vận hành đã được thông báo và đang theo dõi.",
        http=504,
        vxp=20,
    ),
    # ── The exchange ─────────────────────────────────────────────────────────────────────────────────────────────
    ErrorEntry(
        code="LT-BROKER",
        fault=Fault.BROKER,
        retryable=True,
        en="The exchange could not process the message; the message itself may be good.",
        vi="Trục liên thông không xử lý được thông điệp; bản thân thông điệp có thể vẫn hợp lệ.",
        remedy_en="Send the same message again later; if it happens again, tell the operator.",
        remedy_vi="Gửi lại chính thông điệp này sau; nếu vẫn lỗi, hãy báo cho đơn vị vận hành.",
        http=503,
        vxp=20,
    ),
)
