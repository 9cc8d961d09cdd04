"""`python -m schemas.publish [--check]`: writes what is generated from the schemas, or says what of it is stale.

The one module of this package that touches files: schemas/json/*.schema.json, docs/reference/errors.md and
docs/reference/delivery-states.md. With `--check` nothing is written, and the exit code is 1 when a file is stale.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from schemas.problem import GOOD, NOT_GOOD
from schemas.reference_pages import PUBLISHED_MODELS, error_page, json_schema, state_page

REPOSITORY: Final = Path(__file__).resolve().parent.parent


def generated() -> Mapping[str, str]:
    """Every generated file: path below the repository → text."""
    return {f"schemas/json/{stem}.schema.json": json_schema(stem) for stem in PUBLISHED_MODELS} | {
        "docs/reference/errors.md": error_page(),
        "docs/reference/delivery-states.md": state_page(),
    }


def stale(root: Path) -> list[str]:
    """The generated files below `root` that are missing or say something else than the schemas do now."""
    return [path for path, text in generated().items() if _text_of(root / path) != text]


def publish(root: Path) -> list[str]:
    """Write the stale files below `root` and return their paths."""
    paths = stale(root)
    texts = generated()
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(texts[path], encoding="utf-8")
    return paths


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m schemas.publish", description="Write what the schemas generate.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file is stale")
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="the checkout (default: where this module lies)")
    options = parser.parse_args(arguments)
    if not options.check:
        for path in publish(options.root):
            print(f"written: {path}")
        return GOOD
    paths = stale(options.root)
    for path in paths:
        print(f"stale: {path}; run `python -m schemas.publish` and commit what it writes", file=sys.stderr)
    return NOT_GOOD if paths else GOOD


def _text_of(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
