"""Agency codes: both forms, their conversion, and what is met in the wild."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.agency_codes import CODE_LIMIT, canonical_code, from_qcvn102, is_canonical, is_qcvn102, to_qcvn102
from schemas.errors import Refusal

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def groups(width: int) -> st.SearchStrategy[str]:
    return st.text(ALPHABET, min_size=width, max_size=width) | st.just("0" * width)


old_codes = st.builds(
    lambda v, z, y, m, xx: f"{v}.{z}.{y}.{m}{xx:02}",
    groups(3),
    groups(2),
    groups(2),
    st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    st.integers(0, 99),
)
new_codes = st.lists(st.text(ALPHABET, min_size=1, max_size=8), min_size=1, max_size=4).map(".".join)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("000.00.00.H53", "H53"),
        ("000.00.31.H53", "H53.31"),
        ("000.20.31.H53", "H53.31.20"),
        ("001.20.31.H53", "H53.31.20.001"),
        ("000.05.00.H53", "H53.00.05"),
        ("000.00.00.G22", "G22"),
    ],
)
def test_the_older_form_is_the_newer_one_from_right_to_left(old: str, new: str) -> None:
    assert from_qcvn102(old) == new
    assert to_qcvn102(new) == old


@pytest.mark.parametrize("wild", ["28.22.H17", "01.02.G22", "000.A53.000", "H37.DN.001", "00.53.W00", "000.1137.H53"])
def test_codes_in_the_wild_are_codes_but_not_of_the_older_form(wild: str) -> None:
    assert canonical_code(wild) == wild
    assert not is_qcvn102(wild)
    with pytest.raises(Refusal) as refused:
        from_qcvn102(wild)
    assert refused.value.code == "LT-SCHEMA"
    assert refused.value.found == wild


@pytest.mark.parametrize(
    ("written", "code"), [("vxp.saas.03", "VXP.SAAS.03"), (" h53.31.20\n", "H53.31.20"), ("G22", "G22")]
)
def test_a_code_is_trimmed_and_raised_to_capitals(written: str, code: str) -> None:
    assert canonical_code(written) == code


@pytest.mark.parametrize(
    "written",
    ["", " ", ".", "H53.", ".H53", "H53..20", "H53 20", "H53-20", "group:provinces", "Đ01", "ß1", "H53.*", "H53.#",
     "H" * (CODE_LIMIT + 1), "H53\x0031", "ſ1", "H５３"],
)  # fmt: skip
def test_what_is_no_code_is_refused_with_what_was_expected(written: str) -> None:
    with pytest.raises(Refusal) as refused:
        canonical_code(written, field="from")
    assert refused.value.code == "LT-SCHEMA"
    assert refused.value.field == "from"
    assert refused.value.expected is not None
    assert "H53.31.20" in refused.value.expected


def test_a_newer_code_without_an_older_form_has_none() -> None:
    for new in ("H53.31.20.001.07", "H53.ABC", "H53.31.2", "VXP.SAAS.03", "H53.00", "53H", "G2"):
        assert to_qcvn102(new) is None


@given(old_codes)
def test_an_older_code_survives_the_way_there_and_back(old: str) -> None:
    new = from_qcvn102(old)
    assert is_canonical(new)
    assert to_qcvn102(new) == old


@given(new_codes)
def test_a_newer_code_that_has_an_older_form_survives_the_way_there_and_back(new: str) -> None:
    old = to_qcvn102(new)
    assert old is None or (is_qcvn102(old) and len(old) == 13 and from_qcvn102(old) == new)


@given(st.text(max_size=40))
def test_a_canonical_code_is_canonical_and_stays_as_it_is(written: str) -> None:
    try:
        code = canonical_code(written)
    except Refusal:
        return
    assert is_canonical(code)
    assert canonical_code(code) == code


@given(new_codes)
def test_every_text_of_the_right_letters_is_taken(written: str) -> None:
    assert canonical_code(written.lower()) == written
