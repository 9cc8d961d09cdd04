"""What 80 MB of hostile edXML cost: seconds until the refusal, and memory beyond the file's own size.

`python -m tests.bench.edxml_hostile [--json] [--runs 3]`: each file in a process of its own, processor time (reading
has one thread and waits for nothing), the best of the runs. The files are those of tests/unit/edxml/test_bounds.py,
which holds the memory bound in every run of the suite; seconds are not asserted anywhere. Ends with 1 if a file takes a
second or 64 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.unit.edxml.test_bounds import BUDGET, CHILD, DATA, HEAD, HOSTILE, SIZE

SECOND: Final = 1.0
TIMED: Final = CHILD.replace("reading = read(data)", "began = time.process_time()\nreading = read(data)").replace(
    "print(reading.good, len(data), peak() - before)",
    "print(reading.good, len(data), peak() - before, time.process_time() - began, reading.errors[0].en)",
)


def measured(name: str, folder: Path) -> dict[str, Any]:
    """One file in a fresh process."""
    code = "import time\n" + TIMED.format(head=HEAD.encode(), data=DATA.encode(), size=SIZE, expression=HOSTILE[name])
    path = folder / "hostile"
    ran = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    path.unlink()
    good, size, used, seconds, why = ran.stdout.split(maxsplit=4)
    assert good == "False", name
    return {
        "file": name,
        "bytes": int(size),
        "seconds": round(float(seconds), 3),
        "beyond_mb": round(max(int(used) - int(size), 0) / 1e6, 1),
        "refused": why.strip(),
    }


def main() -> None:
    """Measure every file and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    told = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in HOSTILE:
            runs = [measured(name, Path(folder)) for _ in range(told.runs)]
            found.append(min(runs, key=lambda one: one["seconds"]))
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    if told.json:
        print(json.dumps({"machine": machine, "files": found}, indent=2))
    else:
        print(f"{machine}; {SIZE / 1e6:.0f} MB each, best of {told.runs}\n")
        print("| file | seconds | MB beyond itself |\n|---|---|---|")
        for one in sorted(found, key=lambda one: -one["seconds"]):
            print(f"| {one['file']} | {one['seconds']:.3f} | {one['beyond_mb']:.1f} |")
    if any(one["seconds"] >= SECOND or one["beyond_mb"] * 1e6 >= BUDGET for one in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
