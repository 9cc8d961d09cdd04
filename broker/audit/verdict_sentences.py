"""Why an answer about a signature is what it is, in Vietnamese. Pure data: English sentences with their places.

The English ones are made where signatures are judged: `schemas.verdict`, and for bundles `broker.evidence.bundle.judging`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TIMES: Final[Mapping[str, str]] = {
    "the certificate was revoked on {at}": "chứng thư đã bị thu hồi lúc {at}",
    "when the message was signed, {at}, the certificate was not yet valid; it is from {day}": "khi ký, lúc {at}, chứng thư chưa có hiệu lực; hiệu lực từ {day}",
    "when it was received, {at}, the certificate was not yet valid; it is from {day}": "khi nhận, lúc {at}, chứng thư chưa có hiệu lực; hiệu lực từ {day}",
    "when the message was signed, {at}, the certificate had expired; it was valid until {day}": "khi ký, lúc {at}, chứng thư đã hết hạn; hiệu lực đến {day}",
    "when it was received, {at}, the certificate had expired; it was valid until {day}": "khi nhận, lúc {at}, chứng thư đã hết hạn; hiệu lực đến {day}",
}
"""What `schemas.verdict.trust_at` says of a certificate that is not good at a time."""

JUDGED: Final[Mapping[str, str]] = {
    "no certificate {thumbprint} in the bundle": "gói không có chứng thư {thumbprint}",
    "{found} with a key of the kind {expected}": "{found} với khóa loại {expected}",
    "the signature does not fit the bytes and the certificate's key": "chữ ký không khớp với nội dung và khóa của chứng thư",
    "{alg} by certificate {thumbprint}…": "{alg} bằng chứng thư {thumbprint}…",
    "without its certificate nothing can be said": "không có chứng thư thì không thể kết luận",
    "no event of the log in this bundle enrols the certificate": "không sự kiện nào của nhật ký trong gói đăng ký chứng thư này",
    "enrolled at {at}, after it was received": "được đăng ký lúc {at}, sau khi nhận thông điệp",
    "no event of the log says whose certificate it is": "không sự kiện nào của nhật ký nói chứng thư này của ai",
    "no event of the log says that {code} is the exchange": "không sự kiện nào của nhật ký nói {code} là trục",
    "the certificate is {code}'s, and nothing lets it sign for {speaker}": "chứng thư là của {code}, không có gì cho phép ký thay {speaker}",
    "mandate of {hub} for {agency}, log entry {number}": "{hub} được ủy quyền cho {agency}, mục nhật ký {number}",
    "{who} took over from {agency}, log entry {number}": "{who} kế thừa {agency}, mục nhật ký {number}",
    "mandate of {who} for {agency}, on the exchange's sealed word alone": "{who} được ủy quyền cho {agency}, chỉ dựa trên lời niêm phong của trục",
    "succession of {who} for {agency}, on the exchange's sealed word alone": "{who} kế thừa {agency}, chỉ dựa trên lời niêm phong của trục",
    "{clause}; custody broker: the exchange keeps this key for the office": "{clause}; trục giữ khóa này hộ cơ quan",
    "{code} submitted it, and nothing lets it speak for {speaker}": "{code} đã gửi, không có gì cho phép nói thay {speaker}",
}
"""What a bundle's check says of a signature (`broker.evidence.bundle.judging`)."""
