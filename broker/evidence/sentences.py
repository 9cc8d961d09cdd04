"""What evidence that does not hold says of itself, in Vietnamese. Pure data: English sentences with their places.

The English ones are those of every `EvidenceFault` under broker/evidence; findings (`finding_sentences`) and faults of
bundles (`broker.evidence.bundle.sentences`) repeat them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

EVIDENCE: Final[Mapping[str, str]] = {
    # ── Proofs and trees ──
    "index {index}": "vị trí {index}",
    "an index below the tree size {size}": "vị trí nhỏ hơn kích thước cây là {size}",
    "an old tree of {size} leaves": "cây cũ có {size} lá",
    "a hash of {size} bytes": "mã băm dài {size} byte",
    "root {root}": "gốc {root}",
    "origin {origin}": "nguồn {origin}",
    "no event for position {position}": "không có sự kiện ở vị trí {position}",
    "an event for every position of log_entry": "mỗi vị trí của log_entry có một sự kiện",
    "{many} rows with hashes of {size} bytes": "{many} dòng, mỗi mã băm dài {size} byte",
    # ── Checkpoints and their signatures ──
    "origin, size and root, none of them empty": "nguồn, kích thước và gốc, không phần nào để trống",
    "size {size}": "kích thước {size}",
    "a decimal number without zeros before": "một số thập phân không có số 0 ở đầu",
    "a root of {size} bytes": "gốc dài {size} byte",
    "byte {at} is no UTF-8": "byte {at} không phải UTF-8",
    "UTF-8 text": "chữ mã hóa UTF-8",
    "control character {character}": "ký tự điều khiển {character}",
    "no control character but newline": "không có ký tự điều khiển nào ngoài dấu xuống dòng",
    "no signature lines": "không có dòng chữ ký",
    "a text, an empty line and signature lines": "nội dung, một dòng trống và các dòng chữ ký",
    "— <key name> <base64>": "— <tên khóa> <base64>",
    "a key id and a signature": "mã khóa và chữ ký",
    "name+8 hex digits+base64 of a type (01, 04) and an Ed25519 key": "tên+8 chữ số thập lục phân+base64 của loại (01, 04) và khóa Ed25519",
    "key id {id}": "mã khóa {id}",
    "signatures by {clause}": "chữ ký của {clause}",
    "nobody": "không ai",
    "no key was given": "chưa cho khóa nào",
    "one by {clause}": "chữ ký của {clause}",
    "only cosignatures": "chỉ có chữ ký của bên chứng kiến",
    "a signature by the log itself": "chữ ký của chính nhật ký",
    "an Ed25519 signature of its kind": "chữ ký Ed25519 đúng loại",
    "a signature that does not fit the text": "chữ ký không khớp với nội dung",
    "one that does": "chữ ký khớp",
    "time {seconds}": "thời điểm {seconds}",
    "a time in seconds since 1970": "thời điểm tính bằng giây từ năm 1970",
    "base64 in its canonical spelling": "base64 đúng cách viết chuẩn",
    # ── Tiles ──
    "tile/<level>/<x000/…/000>[.p/<1 to 255>]": "tile/<tầng>/<x000/…/000>[.p/<1 đến 255>]",
    "entry {word_number} up to byte {end}": "mục {word_number} đến byte {end}",
    "no file": "không có tệp",
    "the bundle": "tệp các mục",
    # ── Timestamps ──
    "a token over {digest}": "dấu thời gian cho {digest}",
    "one over {digest}": "dấu thời gian cho {digest}",
    "a token that does not verify: {why}": "dấu thời gian không đúng: {why}",
    "one by the configured authority": "dấu thời gian của bên cấp đã cấu hình",
    "answer {status}": "trả lời {status}",
    "a token": "một dấu thời gian",
    "another nonce": "số dùng một lần khác",
    "the one that was sent": "số đã gửi",
    "no token: {why}": "không có dấu thời gian: {why}",
    "an RFC 3161 response": "trả lời theo RFC 3161",
    # ── Counts ──
    "{count} hashes": "{count} mã băm",
    "{count} lines": "{count} dòng",
    "{count} signatures": "{count} chữ ký",
    "{count} entries": "{count} mục",
    "{count} rows": "{count} dòng",
    "{count} bytes": "{count} byte",
    "at most {count}": "nhiều nhất {count}",
}
"""English to Vietnamese; `{…}` are places, `{clause}` is one of these sentences itself."""

EXAMINED: Final[Mapping[str, str]] = {
    "inclusion proof": "chứng minh có mặt",
    "consistency proof": "chứng minh nhất quán",
    "checkpoint root": "gốc của điểm kiểm tra",
    "root of {origin}": "gốc của {origin}",
    "root at {size}": "gốc ở kích thước {size}",
    "signature line": "dòng chữ ký",
    "signature of {name}": "chữ ký của {name}",
    "verifier key": "khóa kiểm tra",
    "older checkpoint": "điểm kiểm tra cũ",
    "checkpoint": "điểm kiểm tra",
    "note": "điểm kiểm tra",
    "tile path": "đường dẫn tile",
    "log_node, level {level}": "log_node, tầng {level}",
    "tree of {size} leaves, hashes {first} to {last} of row {level}": "cây {size} lá, mã băm {first} đến {last} của hàng {level}",
    "{clause}, {first} to {last} of origin {origin}": "{clause}, {first} đến {last} của nguồn {origin}",
    "{path} of origin {origin}": "{path} của nguồn {origin}",
    "timestamp": "dấu thời gian",
}
"""What was examined: the first word of an `EvidenceFault`."""
