"""The faults of a file that passes a bound or is in another encoding: each ends the reading."""

from schemas.edxml.faults import EdxmlFault, Kind, Place, Text, quoted


def too_large(place: Place, size: int, limit: int) -> EdxmlFault:
    """More bytes than a bound allows."""
    return EdxmlFault(
        kind=Kind.TOO_LARGE,
        place=place,
        found=Text(f"{size} bytes or more", f"từ {size} byte trở lên"),
        expected=Text(f"at most {limit} bytes", f"tối đa {limit} byte"),
    )


def too_many(place: Place, limit: int) -> EdxmlFault:
    """More things of a kind than a bound allows."""
    return EdxmlFault(
        kind=Kind.TOO_LARGE,
        place=place,
        found=Text(f"more than {limit}", f"nhiều hơn {limit}"),
        expected=Text(f"at most {limit} of them", f"tối đa {limit}"),
    )


def too_deep(place: Place, limit: int) -> EdxmlFault:
    """Elements inside each other beyond the bound."""
    return EdxmlFault(
        kind=Kind.TOO_DEEP,
        place=place,
        found=Text(f"more than {limit} levels", f"hơn {limit} cấp"),
        expected=Text(f"at most {limit} levels", f"tối đa {limit} cấp"),
    )


def wrong_encoding(name: str) -> EdxmlFault:
    """Another encoding than UTF-8."""
    return EdxmlFault(
        kind=Kind.ENCODING,
        place=Place(1, 1, "file"),
        found=quoted(name),
        expected=Text("UTF-8, in the declaration and in the bytes", "UTF-8, cả trong khai báo lẫn dữ liệu"),
    )
