"""No page without its test, no block that is only looked at, and a runner that notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import pages
from tests.docs.pages import BadPage, blocks, deed, differs
from tests.docs.world import PAGES, World


def test_every_page_is_run_by_a_test() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for path in PAGES.glob("*.md"):
        run = f'run_page("{path.stem}")' in tests
        assert run or not blocks(path.name, path.read_text()), f"no test in {Path(__file__).parent} runs {path.name}"


def test_every_block_has_something_done_with_it() -> None:
    for path in PAGES.glob("*.md"):
        before = None
        for block in blocks(path.name, path.read_text()):
            done = deed(block, before)
            before = done if done != "write" else None


@pytest.mark.parametrize(
    "text",
    [
        "```\nls\n```\n",
        "```yaml\na: b\n```\n",
        "```text\nalone\n```\n",
        "```console\n$ ls\n```\n",
        "<!-- run: file=a.txt -->\n```text\na\n```\n```text\nno output of a file\n```\n",
        "<!-- run: skip -->\n```sh\nls\n```\n",
        "<!-- run: exit=1 -->\nSomething else\n```sh\nls\n```\n",
        "  ```sh\n  ls\n  ```\n",
        "```sh\nnever closed\n",
    ],
)
def test_a_block_that_nothing_is_done_with_is_told(text: str) -> None:
    with pytest.raises(BadPage):
        before = None
        for block in blocks("page", text):
            before = deed(block, before)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("0198c5e2-0000-7000-8000-000000000001: ok", "01a00000-0000-7000-8000-00000000000f: ok", True),
        ("at 22/11/2026 10:00:00", "at 23/12/2026 23:59:01", True),
        ("at …, ok", "at any time, ok", True),
        ("first\n…\nlast", "first\na\nb\nlast", True),
        ("first\n…\nlast", "first\nlast", True),
        ("one line", "one line\nanother", False),
        ("exit 3", "exit 4", False),
        ("", "something", False),
    ],
)
def test_outputs_are_compared_by_what_must_be_the_same(shown: str, printed: str, same: bool) -> None:
    assert (differs(shown, printed) is None) is same


def test_names_are_put_in_and_taken_out_again() -> None:
    world = World(exchange=None, root=Path("/w"), names={"G22": "T1.G22", "H53": "T1.H53", "H53.31": "T1.H53.31"})  # type: ignore[arg-type]
    assert world.real("send --to H53 --to H53.31 group:communes/H53 12-G22-x") == (
        "send --to T1.H53 --to T1.H53.31 group:communes/T1.H53 12-G22-x"
    )
    assert world.written("T1.H53.31 from T1.G22 in /w/G22/out") == "H53.31 from G22 in out"


async def test_a_page_that_does_not_keep_its_word_fails(world: World) -> None:
    await world.run_text("page", "```sh\necho G22; test -f agency.toml\n```\n\n```text\nG22\n```\n")
    await world.run_text(
        "page", "<!-- run: exit=3 -->\n```sh\nlienthong-agency send none.pdf --to H53 --subject x\n```\n"
    )
    await world.run_text(
        "page", '```python\nimport asyncio\nawait asyncio.sleep(0)\nprint("done")\n```\n```text\ndone\n```\n'
    )
    with pytest.raises(AssertionError, match="page:1: exit code 1"):
        await world.run_text("page", "```sh\nfalse\n```\n")
    with pytest.raises(AssertionError, match="the page shows"):
        await world.run_text("page", "```sh\necho one\n```\n```text\ntwo\n```\n")


def test_directions_are_few_and_known() -> None:
    readme = (Path(__file__).parent / "README.md").read_text()
    assert all(f"`{word}" in readme for word in pages.WORDS)
