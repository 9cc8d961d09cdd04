"""The words of the demonstration's papers: kinds, abbreviations and subjects as offices write them. Pure data.

Invented documents: no number, name or decision here belongs to a real one.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of document: its name, its abbreviation in a notation ('' for a letter), and subjects that fit it."""

    name: str
    abbreviation: str
    subjects: tuple[str, ...]


KINDS: tuple[Kind, ...] = (
    Kind(
        "Công văn",
        "",
        (
            "Về việc rà soát thủ tục hành chính sau khi sắp xếp đơn vị hành chính",
            "Đôn đốc báo cáo tình hình giải ngân vốn đầu tư công quý III",
            "Về việc cập nhật mã định danh điện tử của các cơ quan, đơn vị",
            "Góp ý dự thảo Nghị định về công tác văn thư điện tử",
            "Về việc tăng cường phòng, chống dịch bệnh trên đàn gia súc, gia cầm",
            "Hướng dẫn kết nối Trục liên thông văn bản quốc gia",
            "Về việc cung cấp số liệu phục vụ xây dựng kế hoạch năm sau",
            "Trả lời kiến nghị của cử tri gửi đến kỳ họp",
        ),
    ),
    Kind(
        "Quyết định",
        "QĐ",
        (
            "Về việc ban hành Quy chế gửi, nhận văn bản điện tử",
            "Về việc phê duyệt Kế hoạch chuyển đổi số năm sau",
            "Về việc thành lập Tổ công tác rà soát hạ tầng số cấp xã",
        ),
    ),
    Kind(
        "Báo cáo",
        "BC",
        (
            "Kết quả công tác cải cách hành chính 9 tháng đầu năm",
            "Tình hình thiệt hại do bão và công tác khắc phục",
            "Kết quả thực hiện chính quyền địa phương hai cấp",
        ),
    ),
    Kind(
        "Kế hoạch",
        "KH",
        ("Triển khai số hóa hồ sơ tại bộ phận một cửa", "Tập huấn sử dụng chữ ký số cho cán bộ, công chức"),
    ),
    Kind("Thông báo", "TB", ("Kết luận cuộc họp giao ban trực tuyến", "Về lịch tiếp công dân định kỳ tháng tới")),
    Kind(
        "Tờ trình",
        "TTr",
        (
            "Đề nghị phê duyệt chủ trương đầu tư hệ thống thông tin",
            "Về việc bổ sung kinh phí khắc phục hậu quả thiên tai",
        ),
    ),
    Kind(
        "Giấy mời", "GM", ("Họp trực tuyến đánh giá công tác liên thông văn bản", "Dự hội nghị sơ kết công tác quý III")
    ),
)

TELEGRAM_SUBJECT = "Công điện về việc tập trung ứng phó bão và mưa lũ trên diện rộng"

PARAGRAPHS: tuple[str, ...] = (
    "Căn cứ Quyết định số 28/2018/QĐ-TTg ngày 12 tháng 7 năm 2018 của Thủ tướng Chính phủ về việc gửi, nhận văn bản điện tử "
    "giữa các cơ quan trong hệ thống hành chính nhà nước; căn cứ Nghị định số 30/2020/NĐ-CP về công tác văn thư;",
    "Thực hiện ý kiến chỉ đạo của cấp có thẩm quyền, đề nghị các cơ quan, đơn vị khẩn trương rà soát, tổng hợp và gửi kết quả "
    "qua Trục liên thông văn bản quốc gia trước thời hạn nêu tại văn bản này.",
    "Các cơ quan bố trí cán bộ văn thư trực tiếp nhận, vào sổ và phản hồi trạng thái xử lý ngay trong ngày; trường hợp văn bản "
    "gửi nhầm hoặc không bảo đảm tính toàn vẹn thì từ chối tiếp nhận và nêu rõ lý do.",
    "Trong quá trình thực hiện, nếu có khó khăn, vướng mắc, đề nghị phản ánh kịp thời để được hướng dẫn, tháo gỡ. Văn bản này "
    "được lập để trình diễn hệ thống, không phải văn bản thật của cơ quan nào.",
)
