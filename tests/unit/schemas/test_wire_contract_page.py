"""The page for third parties: its examples are good manifests, and its recipe makes a message that verifies."""

import json
import re
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from schemas.certificates import load_certificate, public_key_of, thumbprint
from schemas.errors import CATALOGUE
from schemas.jws import parse_message, signature_holds
from schemas.manifest import KINDS, parse_manifest
from schemas.publish import REPOSITORY
from schemas.slip import Slip

PAGE = (REPOSITORY / "docs" / "reference" / "wire-contract.md").read_text(encoding="utf-8")
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
(RECIPE,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["kind"])
def test_every_example_is_a_good_manifest(example: dict[str, Any]) -> None:
    assert str(parse_manifest(json.dumps(example).encode()).id) == example["id"]


def test_there_is_an_example_for_everything_that_an_agency_sends() -> None:
    assert {example["kind"] for example in EXAMPLES} == {"document", "status", "request"}


def test_every_field_of_the_models_is_named_on_the_page() -> None:
    for model in (*KINDS.values(), Slip):
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in PAGE, f"{model.__name__}.{name}"


def test_every_error_code_that_the_page_names_is_in_the_catalogue() -> None:
    named = set(re.findall(r"`(LT-[A-Z]+(?:-[A-Z]+)*)`", PAGE))
    assert named
    assert named <= set(CATALOGUE)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_the_recipe_with_openssl_makes_a_message_that_verifies(tmp_path: Path) -> None:
    make_key = "openssl req -x509 -newkey rsa:2048 -nodes -keyout agency.key -out agency.pem -days 2 -subj /CN=G22"
    manifest = json.dumps(EXAMPLES[0], ensure_ascii=False, indent=1).encode()
    (tmp_path / "manifest.json").write_bytes(manifest)
    subprocess.run(["sh", "-euc", f"{make_key}\n{RECIPE}"], cwd=tmp_path, check=True, capture_output=True)

    signed = parse_message((tmp_path / "message.json").read_bytes(), slip_allowed=False).signed
    certificate = load_certificate((tmp_path / "agency.pem").read_bytes())
    assert signature_holds(signed, public_key_of(certificate))
    assert signed.thumbprint == thumbprint(certificate)
    assert signed.payload == manifest
    assert (tmp_path / "digest.txt").read_text().strip() == signed.digest == sha256(manifest).hexdigest()
