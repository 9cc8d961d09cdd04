"""A path or a method that the gateway does not have is answered in the form that whoever asks understands."""

from __future__ import annotations

import aiohttp
import pytest

from tests.kit.gateway import Running

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("method", "path", "status", "field", "found", "expected"),
    [
        ("GET", "/nothing", 404, "path", "GET /nothing", "/v1/content/{sha256}"),
        ("POST", "/v2/getEdoc", 404, "path", "POST /v2/getEdoc", "/v1/agencies"),
        ("GET", f"/{'x' * 4000}", 404, "path", f"GET /{'x' * 99}", "/v1/agencies"),
        ("POST", "/readyz", 405, "method", "POST /readyz", "GET"),
        ("DELETE", "/v1/agencies/G22", 405, "method", "DELETE /v1/agencies/G22", "GET, HEAD"),
        ("POST", f"/v1/content/{'0' * 64}", 405, "method", f"POST /v1/content/{'0' * 64}", "GET, HEAD, PUT"),
    ],
)
async def test_a_program_gets_the_exchanges_own_form_in_both_languages(
    gateway: Running, method: str, path: str, status: int, field: str, found: str, expected: str
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, gateway.url + path, data=b"a body that nobody wants") as answer,
    ):
        told = await answer.json()
        assert (answer.status, told["error"]) == (status, "LT-NOT-FOUND")
        assert (told["field"], told["found"]) == (field, found[:105]) and expected in told["expected"]
        assert told["en"].endswith(".") and told["vi"].endswith(".") and "detail" not in told
        assert answer.headers["Cache-Control"] == "no-store"
        if status == 405:
            assert answer.headers["Allow"] == expected == told["expected"]


async def test_the_path_that_was_probably_meant_is_named(gateway: Running) -> None:
    async with aiohttp.ClientSession() as http:
        for path, near in (("/v1/agency", "/v1/agencies"), ("/GetAgenciesList", "/getAgenciesList")):
            async with http.get(gateway.url + path) as answer:
                assert (await answer.json())["candidates"] == [near]


async def test_existing_software_gets_an_answer_of_its_protocol(gateway: Running) -> None:
    """HTTP 200, an error code, both languages: the official client reads nothing else."""
    asked: tuple[tuple[str, str, dict[str, str], str], ...] = (
        ("POST", "/getagencieslist", {"XroadVnpt-systemid": "00.53.W00"}, "/getAgenciesList"),
        ("GET", "/v1/getEdocs", {"X-SystemId": "00.53.W00"}, "/v1/getEdoc"),
        ("PUT", "/sendEdoc", {}, "GET, HEAD, POST"),
        ("POST", "/api/nothing", {"XroadVnpt-systemid": "00.53.W00"}, "/api/nothing"),
    )
    async with aiohttp.ClientSession() as http:
        for method, path, headers, named in asked:
            async with http.request(method, gateway.url + path, data=b"x" * 10_000, headers=headers) as answer:
                told = await answer.json()
                assert (answer.status, told["status"], told["ErrorCode"], told["DocId"]) == (200, "FAIL", "21", "")
                vi, en = told["ErrorDesc"].split(" / ")
                assert named in vi and named in en and vi != en


async def test_a_person_gets_a_page_in_the_language_that_was_chosen(gateway: Running) -> None:
    async with aiohttp.ClientSession() as http:
        for method, path, status, words in (
            ("GET", "/nothing", 404, "Không tìm thấy"),
            ("GET", "/sign-out", 405, "Không mở được"),
        ):
            async with http.request(method, gateway.url + path, headers=BROWSER, allow_redirects=False) as answer:
                page = await answer.text()
                assert (answer.status, answer.content_type) == (status, "text/html"), path
                assert words in page and "Content-Security-Policy" in answer.headers
        async with http.get(gateway.url + "/nothing", headers=BROWSER | {"Cookie": "lt-language=en"}) as answer:
            assert "Not found" in await answer.text()
