"""The words in which delivery states and statuses are told, English and Vietnamese. Pure data."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.languages import Words

__all__ = ["CHANGE", "CHANGE_STATE", "LEVELS", "PRIORITY", "PROCESSING", "STATUS", "TIERS", "Words"]

PROCESSING: Mapping[str, Words] = {
    "accepted": Words("accepted, not handed over yet", "đã tiếp nhận vào trục, chưa chuyển"),
    "dispatched": Words(
        "handed to the mailbox, not confirmed by the recipient", "đã chuyển vào hộp thư, chưa có xác nhận"
    ),
    "arrived": Words("arrived", "đã đến"),
    "received": Words("received and registered", "đã tiếp nhận, vào sổ"),
    "assigned": Words("assigned", "đã phân công"),
    "processing": Words("being processed", "đang xử lý"),
    "completed": Words("completed", "hoàn thành"),
    "refused": Words("refused", "từ chối tiếp nhận"),
    "held": Words("held by an operator", "bị người vận hành tạm giữ"),
    "cancelled": Words("cancelled by an operator", "bị người vận hành hủy"),
    "recalled": Words("recalled", "đã thu hồi"),
    "moved": Words("moved to the successor of a closed agency", "đã chuyển sang cơ quan kế thừa"),
}

STATUS: Mapping[str, Words] = {
    "01": Words("01 arrived", "01 đã đến"),
    "02": Words("02 refused", "02 từ chối tiếp nhận"),
    "03": Words("03 received", "03 đã tiếp nhận, vào sổ"),
    "04": Words("04 assigned", "04 phân công"),
    "05": Words("05 processing", "05 đang xử lý"),
    "06": Words("06 completed", "06 hoàn thành"),
    "13": Words("13 take-back asked", "13 yêu cầu lấy lại"),
    "15": Words("15 change agreed", "15 đồng ý"),
    "16": Words("16 change refused", "16 từ chối"),
}

CHANGE: Mapping[str, Words] = {
    "recall": Words("recall", "thu hồi"),
    "update": Words("update", "cập nhật"),
    "replace": Words("replacement", "thay thế"),
    "take-back": Words("take-back", "lấy lại"),
}

CHANGE_STATE: Mapping[str, Words] = {
    "asked": Words("asked", "đã yêu cầu"),
    "agreed": Words("agreed", "đồng ý"),
    "refused_change": Words("refused", "từ chối"),
}

TIERS: Mapping[str, Words] = {
    "1": Words("ministries and provinces", "bộ, ngành, tỉnh, thành phố"),
    "2": Words("departments and districts", "cục, vụ, sở, ngành, quận, huyện"),
    "3": Words("communes", "phường, xã"),
    "-": Words("no tier", "không phân cấp"),
}

LEVELS: Mapping[str, Words] = {
    "ministry": Words("ministries and central bodies", "bộ, ngành trung ương"),
    "province": Words("provinces", "tỉnh, thành phố"),
    "department": Words("departments", "cục, vụ, sở, ngành"),
    "district": Words("districts", "quận, huyện"),
    "commune": Words("communes", "xã, phường, đặc khu"),
    "hub": Words("hubs", "đầu mối kết nối"),
    "exchange": Words("the exchange", "trục liên thông"),
}

PRIORITY: tuple[Words, ...] = (
    Words("normal", "thường"),
    Words("urgent", "khẩn"),
    Words("very urgent", "thượng khẩn"),
    Words("express", "hỏa tốc"),
    Words("express by the hour", "hỏa tốc hẹn giờ"),
)
