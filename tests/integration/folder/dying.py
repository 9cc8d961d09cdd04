"""A process that watches a folder and kills itself, with SIGKILL, before or after its n-th durable step.

Steps are renames, new and removed folders, fsyncs and commits; the functions are wrapped here, nothing of this is in
the adapter. Run in a fork server, so that a death costs a tenth of a second.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import adapters.store
from adapters.settings import AgencySettings
from tests.integration.folder.offline import work

STEPS = ("rename", "replace", "mkdir", "unlink", "rmdir", "fsync")


def watch_and_die(settings: AgencySettings, root: Path, at: int, steps: Path | None = None) -> None:
    """Work, and die at that step; with `steps` live, and write down there how many steps there were."""
    count = itertools.count(1)
    last = 0

    def step() -> None:
        nonlocal last
        last = next(count)
        if last == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        def around(*arguments: Any, **named: Any) -> Any:
            step()
            done = function(*arguments, **named)
            step()
            return done

        return around

    def begin() -> None:
        for name in STEPS:
            setattr(os, name, wrapped(getattr(os, name)))
        adapters.store.commit = wrapped(adapters.store.commit)

    work(settings, root, before=begin)
    if steps is not None:
        steps.write_text(str(last))
