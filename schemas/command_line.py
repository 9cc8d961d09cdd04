"""How a command ends, for both command lines: what it raised becomes a paragraph, a value with --json and an exit code.

Which words fit an error is decided by each (`adapters.cli.failing`, `broker.cli.failing`); what they have in common is
here, because neither may import the other.
"""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Final

import typer

from schemas.errors import Refusal
from schemas.languages import Language, LanguageOrBoth, Sentences, Words, language_of
from schemas.problem import BAD_INPUT, GOOD, INTERRUPTED, USAGE, Problem, said

OUR_FAULT: Final = 70
"""Exit code when the program itself is at fault (EX_SOFTWARE of sysexits.h)."""

CLOSED: Final = 141
"""Exit code when whoever was to read the output has closed it, as a shell reports it (128 + SIGPIPE)."""

TYPED: Final = ("LT-SCHEMA", "LT-SHAPE")
"""Refusals that mean a badly written value; at a terminal a person has typed it, and no message has to be sent anew."""

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)

USAGE_ERROR: Final = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
"""What the command line's library raises about a command that was not written as it must be."""


_LANGUAGE_HELP: Final = "Language of the text; by default the terminal's (LC_ALL, LC_MESSAGES, LANG)."
LanguageOption = Annotated[Language | None, typer.Option("--lang", help=_LANGUAGE_HELP)]
"""The `--lang` of every command that tells people something in one language; see `terminal_language`."""
BothOption = Annotated[LanguageOrBoth | None, typer.Option("--lang", help=_LANGUAGE_HELP)]
"""The `--lang` of commands whose text also exists in both languages at once."""


NO_SENTENCES: Final = Sentences({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is told of an error: a paragraph for people, its parts for programs, and the exit code."""

    text: str
    parts: dict[str, Any]
    exit_code: int


def terminal_language() -> Language:
    """The language of this terminal; English where it names none. For whoever gave no --lang."""
    return language_of(os.environ) or "en"


def terminal_language_or_both() -> LanguageOrBoth:
    """The same for what exists in both languages at once: both where the terminal names none."""
    return language_of(os.environ) or "both"


def language_of_errors() -> Language:
    """The language in which this command tells of errors, also those before its options are read: that of its --lang,
    else the terminal's."""
    words = sys.argv[1:]
    given = [after for word, after in pairwise(words) if word == "--lang"]
    asked = [*given, *(word.removeprefix("--lang=") for word in words if word.startswith("--lang="))]
    return "vi" if "vi" in asked else "en" if "en" in asked else terminal_language()


def failure_of(
    error: BaseException,
    problem_of: Callable[[BaseException], Problem | None],
    *,
    language: Language = "en",
    sentences: Sentences = NO_SENTENCES,
) -> Failure:
    """What to tell of an exception; `problem_of` knows what one command line's own errors mean.

    The paragraph is in `language`, as far as the error catalogue and `sentences` know it; its parts are English.
    """
    if isinstance(error, Refusal) and error.code not in TYPED:
        parts: dict[str, Any] = {"code": error.code, "field": error.field, "found": error.found or error.entry.en}
        rest = {"expected": error.expected, "candidates": list(error.candidates), "remedy": error.entry.remedy_en}
        text = error.diagnostics() if language == "en" else refused(error, sentences)
        return Failure(text=text, parts=parts | rest, exit_code=BAD_INPUT)
    problem = _common_problem(error) or problem_of(error)
    if problem is None:
        remedy = "Run the command again with LIENTHONG_DEBUG=1 in the environment and report what it prints."
        found = f"This is a fault of the program: {type(error).__name__}: {said(error)}."
        parts = {"found": found, "expected": None, "remedy": remedy}
        shown = Words(
            f"{found} {remedy}",
            f"Đây là lỗi của chương trình: {type(error).__name__}: {said(error)}. Hãy chạy lại lệnh với biến môi trường"
            " LIENTHONG_DEBUG=1 và báo lại những gì được in ra.",
        )
        return Failure(text=shown.told(language), parts=parts, exit_code=OUR_FAULT)
    parts = {"found": problem.found, "expected": problem.expected, "remedy": problem.remedy}
    text = problem.diagnostics() if language == "en" else in_vietnamese(problem, sentences)
    return Failure(text=text, parts=parts, exit_code=problem.exit_code)


def in_vietnamese(problem: Problem, sentences: Sentences) -> str:
    """One paragraph for a person; a clause that `sentences` do not know stays as it is. English if they know none."""
    clauses = [clause.strip().removesuffix(".") for clause in (problem.found, problem.expected, problem.remedy)]
    if not any(sentences.vietnamese(clause) for clause in clauses):
        return problem.diagnostics()
    found, expected, remedy = (sentences.told(clause, "vi") for clause in clauses)
    return f"Thấy: {found}. Cần: {expected}. {remedy[:1].upper()}{remedy[1:]}."


def refused(refusal: Refusal, sentences: Sentences) -> str:
    """One paragraph for a person: what the catalogue says of the code, the place, and what to do."""
    told = [f"{refusal.code}: {refusal.entry.vi}"]
    place = [f"tại {refusal.field}"] if refusal.field else []
    place += [f"thấy {sentences.told(refusal.found, 'vi')}"] if refusal.found is not None else []
    place += [f"cần {sentences.told(refusal.expected, 'vi')}"] if refusal.expected is not None else []
    if place:
        clause = ", ".join(place)
        told.append(f"{clause[0].upper()}{clause[1:]}.")
    if refusal.candidates:
        told.append(f"Có thể là: {', '.join(refusal.candidates)}.")
    return " ".join([*told, refusal.entry.remedy_vi])


def first_of_group(error: BaseException) -> BaseException:
    """The error that a person should be told of when a task group collected several: a `Problem` before others."""
    while isinstance(error, BaseExceptionGroup):
        error = next((inner for inner in error.exceptions if isinstance(inner, Problem)), error.exceptions[0])
    return error


def say(text: str) -> None:
    """Tell the person at the terminal what is going on; on standard error, so that results can be piped."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def exit_code_of(
    command: Callable[[], object], *, explained: Callable[[BaseException], Failure], interrupted: str
) -> int:
    """Run `command`; return its exit code: what it returns, if that is a number.

    What it raises becomes a sentence on standard error, and with --json also a value on standard output. `explained`
    says what to tell of an exception, `interrupted` what to say after Ctrl-C. A terminal or pipe that cannot show a
    character gets its number instead: what was done is not undone by a letter.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = command()
        sys.stdout.flush()
    except SystemExit as leaving:
        if isinstance(leaving.__context__, OSError) and leaving.__context__.errno == errno.EPIPE:
            return _closed()
        return leaving.code if isinstance(leaving.code, int) else GOOD
    except (KeyboardInterrupt, asyncio.CancelledError, typer.Abort):
        say(interrupted)
        return INTERRUPTED
    except BrokenPipeError:
        return _closed()
    except Exception as error:
        return _tell(first_of_group(error), explained)
    if code == INTERRUPTED:
        say(interrupted)
    return code if isinstance(code, int) else GOOD


def _closed() -> int:
    """Nobody reads the output: whatever was to be said has not been said."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CLOSED


def _tell(error: BaseException, explained: Callable[[BaseException], Failure]) -> int:
    if isinstance(error, USAGE_ERROR):
        from typer.rich_utils import rich_format_error  # with the help that it belongs to

        error.message = error.message.removeprefix("Value error, ")  # type: ignore[attr-defined]
        rich_format_error(error)  # type: ignore[arg-type]
        failure = Failure(text="", parts={"found": error.format_message()}, exit_code=USAGE)  # type: ignore[attr-defined]
        failure.parts.update(expected="a command as its --help shows it", remedy="See its --help")
    else:
        if os.environ.get("LIENTHONG_DEBUG"):
            traceback.print_exception(error)
        failure = explained(error)
        say(failure.text)
    if "--json" in sys.argv[1:]:
        told = {"error": failure.parts | {"exit_code": failure.exit_code}}
        with suppress(BrokenPipeError):
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
            sys.stdout.flush()
    return failure.exit_code


def _common_problem(error: BaseException) -> Problem | None:
    if isinstance(error, Problem):
        return error
    if isinstance(error, Refusal):
        return Problem(
            f"“{error.found}”{f' as {error.field}' if error.field else ''}",
            error.expected or error.entry.en,
            "Correct it and run the command again",
        )
    if isinstance(error, OSError) and (error.filename is not None or error.errno in NO_ROOM):
        place = f"{error.filename}: " if error.filename is not None else ""
        return Problem(
            f"{place}{said(error)}", "a file or folder that can be used", "Check its path, permissions and disk"
        )
    return None
