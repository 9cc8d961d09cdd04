"""What docs/reference/content.md shows is what works: its commands run as they stand, in their order."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from schemas.certificates import private_key_pem
from tests.conftest import REPOSITORY
from tests.kit.gateway import Running

PAGE = REPOSITORY / "docs" / "reference" / "content.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_every_command_of_the_page_works(gateway: Running, tmp_path: Path) -> None:
    end = await gateway.exchange.add("G01")
    await gateway.exchange.add("H53", "province")
    await gateway.refresh()
    text = PAGE.read_text()
    for name, code in re.findall(r"```python file=(\S+)\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(code)
    (tmp_path / "key.pem").write_bytes(private_key_pem(end.key))
    (tmp_path / "certificate.pem").write_bytes(end.certificate.public_bytes(Encoding.PEM))
    data = secrets.token_bytes(300_000)
    (tmp_path / "part.pdf").write_bytes(data)
    commands = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    script = "\n".join(["set -eu", *commands])
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        script.replace("$(python ", f"$({sys.executable} "),
        cwd=tmp_path,
        env=os.environ
        | {
            "FILE": "part.pdf",
            "CODE": end.code,
            "GATEWAY": gateway.url,
            "CERTIFICATE_DIGEST": end.thumbprint.hex(),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, trouble = await process.communicate()
    assert process.returncode == 0, trouble.decode()
    assert len(commands) == 4 and b"BEGIN CERTIFICATE" in said and b'"level":"province"' in said
    assert data[:4] in said and (tmp_path / "part.pdf.copy").read_bytes() == data
