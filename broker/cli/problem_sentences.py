"""Problems that an auditor's command can meet, in Vietnamese. Pure data: English sentences with their places.

The English ones stand where a problem is raised; a test goes through them. What auditors ask on the pages as well has
its Vietnamese there (`broker.gateway.pages.told`); here is what only the command line says, or says of its commands.
Operators' commands tell of their problems in English.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from broker.evidence.finding_sentences import FOUND
from broker.gateway.pages.told import TOLD
from schemas.languages import Sentences

PROBLEMS: Final[Mapping[str, str]] = {
    # ── Questions ──
    "Look for it with `lienthong agency list`": "Hãy tìm bằng `lienthong agency list`",
    "Look for it with `lienthong audit search`. A message that was refused {known}: `lienthong audit search --refused`. If it was sent, it has not reached us yet": "Hãy tìm bằng `lienthong audit search`. Thông điệp bị từ chối có thể chỉ được biết theo mã: `lienthong audit search --refused`. Nếu đã gửi, thông điệp chưa đến trục",
    "Look for it with `lienthong audit search`": "Hãy tìm bằng `lienthong audit search`",
    "Give the id, and the sender with --from": "Hãy ghi mã văn bản, và nơi gửi bằng --from",
    "Give its id instead; they are listed by `lienthong audit search --refused`": "Hãy ghi mã của thông điệp; `lienthong audit search --refused` liệt kê các thông điệp này",
    "the page mark “{text}”": "dấu trang “{text}”",
    "See why with `lienthong document trace`": "Xem lý do bằng `lienthong document trace`",
    "{option} is “{text}”": "{option} là “{text}”",
    "a day ({day}), a time ({time}), or a time ago ({ago})": "một ngày ({day}), một thời điểm ({time}), hoặc khoảng thời gian trước đây ({ago})",
    "a day ({day}), a time ({time})": "một ngày ({day}), một thời điểm ({time})",
    "Write it in one of these ways": "Hãy ghi theo một trong các cách này",
    "--since {since} is not before --until {until}": "--since {since} không trước --until {until}",
    "a beginning before the end": "lúc bắt đầu trước lúc kết thúc",
    "Exchange or correct them": "Hãy đổi chỗ hoặc sửa",
    "a day, such as 2026-11-20": "một ngày, ví dụ 2026-11-20",
    "Figures count whole days": "Số liệu tính theo ngày trọn vẹn",
    "one of {names}": "một trong {names}",
    "one of them": "một trong số đó",
    "Choose one of them": "Hãy chọn một trong số đó",
    "--code without --refused": "--code không kèm --refused",
    "an error code goes with refused messages": "mã lỗi đi với thông điệp bị từ chối",
    "Add --refused": "Hãy thêm --refused",
    "more than one of --json, --csv and --xlsx": "nhiều hơn một trong --json, --csv và --xlsx",
    "Ask once for each": "Hãy hỏi riêng từng dạng",
    "--bom without --csv": "--bom không kèm --csv",
    "a byte order mark goes with CSV": "dấu thứ tự byte đi với CSV",
    "Add --csv": "Hãy thêm --csv",
    # ── Bundles and archives ──
    "there is no folder {folder}": "không có thư mục {folder}",
    "a folder that exists": "một thư mục đã có",
    "Make it, or name another with -o": "Hãy tạo thư mục, hoặc chọn thư mục khác với -o",
    "{file} is an archive, and --since-checkpoint or --tsa-root was given": "{file} là kho lưu trữ, mà có --since-checkpoint hoặc --tsa-root",
    "a single bundle with these options: an archive proves nothing from your checkpoint on": "một gói đơn khi dùng các tùy chọn này: kho lưu trữ không chứng minh gì từ điểm kiểm tra của bạn",
    "Leave them out, or ask for a document's own bundle (`lienthong audit prove --since-checkpoint`)": "Hãy bỏ các tùy chọn này, hoặc lấy gói riêng của văn bản (`lienthong audit prove --since-checkpoint`)",
    "{file} is no file, or one of more than {size} bytes": "{file} không phải tệp, hoặc lớn hơn {size} byte",
    "a bundle that fits into memory": "một gói vừa với bộ nhớ",
    "Ask for bundles of single documents (`lienthong audit prove`)": "Hãy lấy gói của từng văn bản (`lienthong audit prove`)",
    "--key {text} is neither a verifier key nor a file": "--key {text} không phải khóa công khai, cũng không phải tệp",
    "name+hash+base64, or a file with such lines": "tên+mã băm+base64, hoặc tệp gồm các dòng như vậy",
    "Ask the exchange for its log's key: it is printed by `lienthong pki init` and kept in log.vkey": "Hãy hỏi trục khóa công khai của nhật ký: `lienthong pki init` in khóa và lưu trong log.vkey",
    "{text} is no public key of a log: {clause}": "{text} không phải khóa công khai của nhật ký: {clause}",
    "Name the roots' PEM file": "Hãy chọn tệp PEM của các chứng thư gốc",
    "Give a verifier key, or a file with one a line": "Hãy cho một khóa công khai, hoặc tệp mỗi dòng một khóa",
    "{folder} is not empty": "{folder} không trống",
    "an empty or new folder": "một thư mục trống hoặc mới",
    "Name another folder with -o, or the same period and subtree": "Hãy chọn thư mục khác với -o, hoặc cùng khoảng thời gian và phạm vi",
    "Name another folder with -o": "Hãy chọn thư mục khác với -o",
    "{file} is empty: the export was killed before it began": "{file} trống: việc xuất đã bị dừng trước khi bắt đầu",
    "the record of an export": "bản ghi của một lần xuất",
    "Remove the folder {folder} and begin again": "Hãy xóa thư mục {folder} rồi bắt đầu lại",
    "{folder} holds a finished archive": "{folder} có kho lưu trữ đã hoàn tất",
    "{folder} holds the beginning of another archive: {wanted}": "{folder} có phần đầu của một kho lưu trữ khác: {wanted}",
    "{wanted}, or an empty folder": "{wanted}, hoặc một thư mục trống",
    "Part {number} would have {size} bytes": "Phần {number} sẽ có {size} byte",
    "at most {size}, which checkers read": "nhiều nhất {size}, mức mà chương trình kiểm tra đọc được",
    "Look at document {id}: `lienthong audit search` finds who has reported so much about it": "Hãy xem văn bản {id}: `lienthong audit search` cho biết ai đã báo nhiều như vậy",
    "Log entry {number} is not what its event should look like": "Mục {number} của nhật ký không đúng dạng của sự kiện",
    "canonical JSON": "JSON chuẩn tắc",
    "Somebody changed the database: `lienthong audit verify` says what": "Có người đã sửa cơ sở dữ liệu: `lienthong audit verify` cho biết sửa gì",
    # ── The log's keys and files ──
    "the files of {origin} hold {count} signed entries, the database {other}": "các tệp của {origin} có {count} mục đã ký, cơ sở dữ liệu có {other}",
    "a database that knows everything that was signed": "cơ sở dữ liệu biết mọi thứ đã ký",
    "Nothing was repaired: the files are what is left of the log. Run `lienthong db restored`": "Chưa sửa gì: các tệp là phần còn lại của nhật ký. Hãy chạy `lienthong db restored`",
    "the rows of {origin} are not what was signed: {why}": "các dòng của {origin} không đúng như đã ký: {why}",
    "rows from which the files can be made": "các dòng đủ để tạo lại tệp",
    "Nothing was repaired. Look with `lienthong audit verify` which rows were changed, and bring them back": "Chưa sửa gì. Hãy xem bằng `lienthong audit verify` dòng nào bị sửa, rồi khôi phục",
    "no verifier key of the log in {file}": "không có khóa công khai của nhật ký trong {file}",
    "Make the log's key with `lienthong pki init`, or name a file with --key": "Hãy tạo khóa của nhật ký bằng `lienthong pki init`, hoặc chọn tệp bằng --key",
    "Bring the file back, or name another one with --key": "Hãy khôi phục tệp, hoặc chọn tệp khác bằng --key",
    "root certificates in PEM": "chứng thư gốc dạng PEM",
    "Correct log_timestamp_roots_file": "Hãy sửa log_timestamp_roots_file",
    # ── Servers and files ──
    "{server} cannot be used: {why}": "không dùng được {server}: {why}",
    "a server that answers and lets this program in": "máy chủ có trả lời và cho chương trình này vào",
    "Check it with `lienthong doctor`; start private servers with `lienthong services up`": "Hãy kiểm tra bằng `lienthong doctor`; khởi động máy chủ riêng bằng `lienthong services up`",
    "PostgreSQL answers: {why}": "PostgreSQL trả lời: {why}",
    "a database login that has the role for this command": "tài khoản cơ sở dữ liệu có vai trò cho lệnh này",
    "Take another login; docs/operators.md has a table of who needs which (“What runs where”)": "Hãy dùng tài khoản khác; docs/operators.md có bảng ai cần tài khoản nào (“What runs where”)",
    "a database that has every migration": "cơ sở dữ liệu đã được nâng cấp đủ",
    "Run `lienthong db migrate` as the database's owner": "Hãy chạy `lienthong db migrate` với tư cách chủ cơ sở dữ liệu",
    "start it with `lienthong services up`, or set LIENTHONG_DATABASE_URL to an existing database": "Hãy khởi động bằng `lienthong services up`, hoặc đặt LIENTHONG_DATABASE_URL đến một cơ sở dữ liệu có sẵn",
    "no {name} is configured and no servers of this checkout are running": "chưa cấu hình {name} và không có máy chủ nào của bản này đang chạy",
    "{name} in {file}, or {variable} in the environment": "{name} trong {file}, hoặc {variable} trong môi trường",
    "Start private servers with `lienthong services up`, or name the ones to use": "Hãy khởi động máy chủ riêng bằng `lienthong services up`, hoặc chỉ ra máy chủ cần dùng",
    "a file or folder that can be used": "tệp hoặc thư mục dùng được",
    "Check its path, permissions and disk": "Hãy kiểm tra đường dẫn, quyền và đĩa",
    "“{text}” as {field}": "“{text}” ở {field}",
    "Correct it and run the command again": "Hãy sửa rồi chạy lại lệnh",
}
"""English to Vietnamese, without a full stop at the end; `{…}` are places, `{clause}` is a sentence itself."""

SENTENCES: Final = Sentences(
    {**PROBLEMS, **{key: one for key, one in {**TOLD, **FOUND}.items() if key not in PROBLEMS}}
)
