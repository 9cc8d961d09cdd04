"""What an exception says of itself reaches people without its number and its object."""

from __future__ import annotations

import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from schemas.problem import said

KEY = ConnectionKey("127.0.0.1", 1, False, True, None, None, None)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "Connection refused"),
        (aiohttp.ClientConnectorError(KEY, OSError(111, "Connect call failed ('127.0.0.1', 1)")), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 111] b"), "Multiple exceptions: a, b"),
        (FileNotFoundError(2, "No such file or directory", "x.pem"), "No such file or directory"),
        (
            ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
            "[SSL: WRONG_VERSION_NUMBER] wrong version number",
        ),
        (TimeoutError(), "TimeoutError"),
        (ValueError("two\nlines"), "two lines"),
    ],
)
def test_errors_in_words(error: BaseException, words: str) -> None:
    assert said(error) == words
