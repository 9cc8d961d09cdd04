"""What the pages compute without asking anybody: delays, days, charts, maps, texts, files."""

from __future__ import annotations

import io
import math
import re
from datetime import date, timedelta
from importlib.resources import files
from itertools import pairwise
from string import Formatter

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.audit.terms import words_of
from broker.gateway.pages import accounts
from broker.gateway.pages.catalogue import TEXTS
from broker.gateway.pages.cells import province_sheet
from broker.gateway.pages.charts import LETTER, bar_chart, nice_step
from broker.gateway.pages.country import compact, country_sheet, figure_of, step_of
from broker.gateway.pages.days import read_day, read_period, write_day
from broker.gateway.pages.geography import SHEET, Spot, geography, short_name
from broker.gateway.pages.guard import local_path
from broker.gateway.pages.hexes import country
from broker.gateway.pages.naming import fits
from broker.gateway.pages.patience import LADDERS, Subject, delay_after, network_of, subject_key
from broker.gateway.pages.render import Renderer, number
from broker.gateway.pages.tables import as_csv, as_xlsx
from schemas.problem import Problem


@given(st.sampled_from(Subject), st.integers(0, 10_000))
def test_delays_grow_and_never_beyond_their_limit(subject: Subject, failures: int) -> None:
    assert delay_after(subject, failures) <= delay_after(subject, failures + 1) <= LADDERS[subject].longest
    assert delay_after(subject, LADDERS[subject].free) == timedelta(0)


def test_an_account_attacked_from_everywhere_is_never_kept_waiting_for_long() -> None:
    assert delay_after(Subject.account, 1_000_000) <= timedelta(seconds=30)


def test_failures_are_counted_by_network_and_kept_without_addresses() -> None:
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::9") != network_of("2001:db8:1:3::9")
    assert network_of("10.1.2.3") == "10.1.2.3"
    assert b"10.1.2.3" not in subject_key(Subject.address, "10.1.2.3")


def test_passwords_are_hashed_as_rfc_9106_says() -> None:
    stored = accounts.new_hasher().hash("phòng họp số bảy")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    for easy in ("short", "a" * 20, "nguyenvana-2026"):
        with pytest.raises(Problem):
            accounts.check_password_policy(easy, login="nguyenvana")


@pytest.mark.parametrize(
    ("target", "led_to"),
    [
        ("/map?a=1", "/map?a=1"),
        ("//evil", "/"),
        ("/\\evil", "/"),
        ("https://evil", "/"),
        ("map", "/"),
        (None, "/"),
        ("/a\r\nSet-Cookie: x", "/"),
    ],
)
def test_no_address_leads_to_another_site(target: str | None, led_to: str) -> None:
    assert local_path(target) == led_to


@given(st.dates(date(2019, 1, 1), date(2099, 12, 31)))
def test_a_day_is_read_as_it_is_written(day: date) -> None:
    assert read_day(write_day(day)) == day == read_day(day.isoformat())


@pytest.mark.parametrize("text", ["31/02/2026", "2026", "mai", "1/1/26", "99/99/9999", "01/01/0001", "31/12/9999"])
def test_what_is_no_day_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Problem, match="22/11/2026"):
        read_day(text)


def test_a_period_does_not_end_before_it_begins() -> None:
    with pytest.raises(Problem):
        read_period("02/01/2026", "01/01/2026")


@given(st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), max_size=60))
def test_bars_are_as_tall_as_their_values_and_stay_inside(values: list[tuple[int, int]]) -> None:
    chart = bar_chart(("a", "b"), [(str(n), pair) for n, pair in enumerate(values)])
    for bar in chart.bars:
        assert bar.y >= 0
        assert bar.x + bar.width <= chart.width + 1
        assert (bar.height == 0) == (bar.value == 0)
    assert 2 <= len(chart.ticks) <= 12
    tallest = max(chart.bars, key=lambda bar: bar.value, default=None)
    assert tallest is None or all(bar.height <= tallest.height for bar in chart.bars)


@pytest.mark.parametrize("rows", [7, 14, 20, 60, 366])
def test_labels_under_a_chart_do_not_touch_and_many_groups_are_lines(rows: int) -> None:
    chart = bar_chart(("a", "b"), [(f"{n % 28:02}/11", (n, 2 * n)) for n in range(rows)], width=600)
    gaps = [after.x - before.x for before, after in pairwise(chart.labels)]
    assert all(gap >= 5 * LETTER for gap in gaps)
    assert rows > 14 or len(chart.labels) == rows, "two weeks have a label each"
    assert all(label.x + len(label.text) * LETTER / 2 <= chart.width for label in chart.labels)
    assert bool(chart.bars) != bool(chart.lines)
    assert [len(line.split()) for line in chart.lines] in ([], [rows, rows])
    assert bool(chart.lines) == (rows > 60)


@given(st.integers(1, 10**9))
def test_ticks_are_numbers_that_people_count_in(greatest: int) -> None:
    step = nice_step(greatest)
    assert str(step).rstrip("0") in ("1", "2", "5")
    assert greatest / step <= 10


def test_every_province_is_on_the_map_with_both_archipelagos() -> None:
    regions = country()
    assert len(regions) == 34
    assert all(region.path.startswith("M") and region.path.endswith("z") for region in regions)
    assert len({region.name for region in regions}) == 34
    for code, name in (("H17.20333", "Hoàng Sa"), ("H32.22736", "Trường Sa")):
        spot = geography().communes[code]
        assert spot.name == name
        region = next(region for region in regions if region.code == spot.province)
        points = [tuple(map(float, point)) for point in re.findall(r"M(\d+) (\d+)", region.path)]
        assert any(math.dist(point, (spot.x, spot.y)) < 20 for point in points), f"{name} is drawn"
    width, height = SHEET
    assert all(0 < s.x < width and 0 < s.y < height for s in geography().communes.values())


def test_outlines_are_closed_and_every_province_has_its_land() -> None:
    for region in country():
        for loop in region.path.split("z")[:-1]:
            steps = [int(n) for n in re.findall(r"-?\d+", loop.partition("l")[2])]
            assert len(steps) >= 2 * 5, "a hexagon at least"
            assert abs(sum(steps[0::2])) <= 12
            assert abs(sum(steps[1::2])) <= 12


def test_each_commune_lies_in_its_own_cell_and_islands_stand_apart() -> None:
    sheet = province_sheet(geography().communes_of["H26"])
    assert len(sheet.cells) == 126
    assert not sheet.apart
    assert all(0 <= cell.x <= sheet.width and 0 <= cell.y <= sheet.height for cell in sheet.cells)
    assert [spot.name for spot in province_sheet(geography().communes_of["H17"]).apart] == ["Hoàng Sa"]


def test_communes_at_one_place_or_none_at_all_still_make_a_sheet() -> None:
    twin = {"name": "Xã", "province": "H", "x": 100.0, "y": 100.0, "radius": 2.0}
    assert len(province_sheet((Spot(code="a", **twin), Spot(code="b", **twin))).cells) == 2  # type: ignore[arg-type]
    assert province_sheet(()).cells == ()


def test_a_place_without_deliveries_is_hatched_and_one_is_never_called_complete_too_early() -> None:
    assert step_of(None, "arrived", 0) == "none"
    assert all(region.step == "none" and not region.figure for region in country_sheet(()).regions)
    assert figure_of(None, "volume") == ""
    assert [compact(n) for n in (950, 12_345, 3_200_000)] == ["950", "12k", "3M"]


def test_names_of_places_are_bare() -> None:
    assert short_name("UBND tỉnh An Giang") == "An Giang"
    assert short_name("UBND đặc khu Phú Quốc") == "Phú Quốc"


def test_numbers_are_written_as_each_language_writes_them() -> None:
    assert number(1234567, "vi") == "1.234.567"
    assert number(1234567, "en") == "1,234,567"


def test_a_cell_never_runs_as_a_formula() -> None:
    rows = [["=HYPERLINK(1)", "+1", "-1", "@x", "＝1+1", " =1+1", "bình thường"]]
    heads = list("abcdefg")
    text = as_csv(heads, rows).decode("utf-8-sig")
    assert text.splitlines()[1] == "'=HYPERLINK(1),'+1,'-1,'@x,'＝1+1,' =1+1,bình thường"
    sheet = openpyxl.load_workbook(io.BytesIO(as_xlsx(heads, rows))).active
    assert sheet is not None
    assert all(cell.data_type == "s" for cell in sheet[2])


@pytest.mark.parametrize(
    ("written", "name", "fit"),
    [
        ("ba dinh", "UBND phường Ba Đình", True),
        ("Đình Ba", "UBND phường Ba Đình", True),
        ("BA ĐÌ", "UBND phường Ba Đình", True),
        ("bà đình", "UBND phường Ba Đình", False),
        ("ba dinh 2", "UBND phường Ba Đình", False),
        ("", "UBND phường Ba Đình", False),
        ("hoà", "UBND tỉnh Hòa Bình", True),
    ],
)
def test_an_agency_is_meant_by_the_beginnings_of_words_of_its_name(written: str, name: str, fit: bool) -> None:
    assert fits(words_of(written), name) == fit


def test_a_length_of_time_is_told_in_its_two_largest_units() -> None:
    environment = Renderer().environment
    told = [environment.from_string("{{ s | lasting }}").render(s=s, language="vi") for s in (0.4, 59, 3_660, 187_200)]
    assert told == ["0 giây", "59 giây", "1 giờ 1 phút", "2 ngày 4 giờ"]


# ── Texts ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_every_text_is_there_in_both_languages_with_the_same_places() -> None:
    for key, words in TEXTS.items():
        assert words.vi.strip() and words.en.strip(), key
        places = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (words.vi, words.en)]
        assert places[0] == places[1], key


def _sources() -> str:
    package = files("broker.gateway.pages")
    modules = [item for item in package.iterdir() if item.name.endswith(".py") and item.name != "catalogue.py"]
    templates = [item for item in package.joinpath("templates").iterdir() if item.name.endswith(".html")]
    return "\n".join(item.read_text(encoding="utf-8") for item in (*modules, *templates))


def test_every_text_that_is_asked_for_is_in_the_catalogue_and_none_is_there_in_vain() -> None:
    sources = _sources()
    asked = set(re.findall(r"""\b(?:t|say)\(\s*["']([a-z_0-9.]+[a-z_0-9])["']\s*[,)]""", sources))
    assert not asked - TEXTS.keys()
    quoted = set(re.findall(r"""["']([a-z_0-9.-]+)["']""", sources))
    beginnings = tuple(text for text in quoted if text.endswith("."))
    beginnings += tuple(set(re.findall(r"""f?["']((?:[a-z_]+\.)+)(?:{|%d)""", sources)))
    endings = (".title", ".lead", ".list")
    unused = {
        key
        for key in TEXTS.keys() - asked - quoted
        if not key.startswith((*beginnings, "map.")) and not key.endswith(endings)
    }
    assert not unused


def test_everything_that_operators_do_is_told_in_words_and_what_a_newer_version_does_as_it_is() -> None:
    """The words are those that the exchange writes down: each `change` and `action` of its modules."""
    environment = Renderer().environment
    shown = environment.from_string("{{ word | action }}")
    places = (
        "broker.directory",
        "broker.interventions",
        "broker.dispatch",
        "broker.gateway.vxp",
        "broker.gateway.pages",
    )
    modules = [item for place in places for item in files(place).iterdir() if item.name.endswith(".py")]
    written = "\n".join(item.read_text(encoding="utf-8") for item in modules if item.name != "catalogue.py")
    words = set(
        re.findall(
            r'"((?:account|agency|alias|certificate|dead|document|group|key|mandate|quarantine|system)'
            r"\.(?:add|added|closed|resumed|suspended|ended|given|enrolled|revoked|defined|removed|kept|hold"
            r'|release|cancel|resend|replay|discard|settle|rotated|released|enable|disable|password))"',
            written,
        )
    )
    words |= set(re.findall(r'"([a-z]+\.(?:imported|described))"', written)) | {"system.active", "system.disabled"}
    assert len(words) > 30
    for word in words:
        assert f"action.{word}" in TEXTS, word
        assert shown.render(word=word, language="vi") != word != shown.render(word=word, language="en")
    assert shown.render(word="planet.moved", language="vi") == "planet.moved"
