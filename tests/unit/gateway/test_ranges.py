"""Which bytes a request means (RFC 9110 §14), and which form of a certificate it takes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.gateway.directory import DER, JSON, PEM, PKCS7, form_of
from broker.gateway.measures import Measures
from broker.gateway.ranges import Span, Unsatisfiable, names, span_of

ETAG = '"abc"'


def span(header: str | None, size: int = 100, if_range: str | None = None) -> Span:
    return span_of(size, range_header=header, if_range=if_range, etag=ETAG)


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=10-19", 10, 20), ("bytes=90-", 90, 100), ("bytes=-5", 95, 100),
     ("bytes=-500", 0, 100), ("bytes=5-1000", 5, 100), ("bytes= 5-6 ", 5, 7)],
)  # fmt: skip
def test_a_single_range_is_served(header: str, start: int, stop: int) -> None:
    assert span(header) == Span(start=start, stop=stop, partial=True)


@pytest.mark.parametrize(
    "header", ["bytes=0-1,4-5", "lines=1-2", "bytes=", "bytes=-", "bytes=5-4", "bytes=a-b", "x", "bytes=٣-٤"]
)
def test_what_is_no_single_range_gets_the_whole(header: str) -> None:
    assert span(header) == Span(start=0, stop=100, partial=False)


@pytest.mark.parametrize(("header", "size"), [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-1", 0)])
def test_what_lies_outside_is_refused(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        span(header, size)


def test_a_range_of_something_else_is_the_whole() -> None:
    assert span("bytes=1-2", if_range=ETAG).partial
    for other in ('"other"', f"W/{ETAG}", "Thu, 12 Mar 2026 08:00:00 GMT"):
        assert not span("bytes=1-2", if_range=other).partial


@given(st.text(max_size=30), st.integers(0, 10**12))
def test_no_header_leads_outside_the_content(header: str, size: int) -> None:
    for asked in (header, f"bytes={header}"):
        try:
            found = span(asked, size)
        except Unsatisfiable:
            continue
        assert 0 <= found.start <= found.stop <= size and (found.length > 0 or not found.partial)


def test_what_a_client_has_is_not_sent_again() -> None:
    assert names(ETAG, ETAG) and names(f'"x", W/{ETAG}', ETAG) and names("*", ETAG)
    assert not names(None, ETAG) and not names('"x"', ETAG) and not names("abc", ETAG)


@pytest.mark.parametrize(
    ("accept", "form"),
    [(None, PEM), ("*/*", PEM), (JSON, JSON), (f"{DER};q=0.5, {PKCS7}", PKCS7), ("application/*", PEM),
     ("text/html", None), (f"text/html, {DER};q=0.1", DER), (f"{PEM};q=0, */*;q=0.1", PEM), (f"{DER};q=x", None)],
)  # fmt: skip
def test_the_form_of_a_certificate_follows_accept(accept: str | None, form: str | None) -> None:
    assert form_of(accept) == form


def test_counts_are_written_as_prometheus_reads_them() -> None:
    measures = Measures()
    measures.took(0.02, (("path", '/a"b'),))
    measures.took(100, (("path", '/a"b'),))
    text = measures.text([("x_seconds", "A gauge.", 1.5)])
    assert 'lienthong_gateway_request_seconds_bucket{path="/a\\"b",le="0.025"} 1' in text
    assert 'lienthong_gateway_request_seconds_bucket{path="/a\\"b",le="+Inf"} 2' in text
    assert 'lienthong_gateway_request_seconds_count{path="/a\\"b"} 2' in text
    assert text.endswith("# TYPE x_seconds gauge\nx_seconds 1.5\n")
