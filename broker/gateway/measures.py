"""What the gateway counts about itself, and how Prometheus reads it (text format 0.0.4). Counts only: no codes, no ids.

Each gateway counts for itself, since it was started.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from starlette.requests import Request

BYTES_IN: Final = "lienthong_gateway_content_received_bytes_total"
BYTES_OUT: Final = "lienthong_gateway_content_sent_bytes_total"
UPLOADS: Final = "lienthong_gateway_uploads_in_progress"
REQUESTS: Final = "lienthong_gateway_requests_total"
SECONDS: Final = "lienthong_gateway_request_seconds"
IN_PROGRESS: Final = "lienthong_gateway_requests_in_progress"

EXPLAINED: Final = {
    REQUESTS: ("counter", "Requests answered, by method, path and status."),
    SECONDS: ("histogram", "Seconds until a request was answered whole, by path."),
    IN_PROGRESS: ("gauge", "Requests being answered."),
    BYTES_IN: ("counter", "Bytes of content received from agencies."),
    BYTES_OUT: ("counter", "Bytes of content sent to agencies."),
    UPLOADS: ("gauge", "Uploads of content in progress."),
}
BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
"""Seconds."""

Labels = tuple[tuple[str, str], ...]


class Measures:
    """Counters, gauges and histograms of one gateway."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, Labels], float] = defaultdict(float)
        self._histograms: dict[Labels, list[int]] = {}
        self._sums: dict[Labels, float] = defaultdict(float)

    @staticmethod
    def of(request: Request) -> Measures:
        """Those of the gateway that answers this request."""
        measures = request.app.state.measures
        assert isinstance(measures, Measures)
        return measures

    def add(self, name: str, amount: float = 1.0, labels: Labels = ()) -> None:
        """Count."""
        self._values[name, labels] += amount

    @contextmanager
    def during(self, name: str) -> Iterator[None]:
        """Count one more for as long as the block lasts."""
        self._values[name, ()] += 1
        try:
            yield
        finally:
            self._values[name, ()] -= 1

    def took(self, seconds: float, labels: Labels) -> None:
        """One request and how long it took."""
        buckets = self._histograms.setdefault(labels, [0] * (len(BOUNDS) + 1))
        buckets[bisect_left(BOUNDS, seconds)] += 1
        self._sums[labels] += seconds

    def text(self, more: Iterable[tuple[str, str, float]] = ()) -> str:
        """Everything, for Prometheus; `more` are gauges with their explanation."""
        lines: list[str] = []
        for name, (kind, meaning) in EXPLAINED.items():
            lines += (f"# HELP {name} {meaning}", f"# TYPE {name} {kind}")
            if name == SECONDS:
                lines += self._histogram_lines()
                continue
            found = sorted((labels, value) for (one, labels), value in self._values.items() if one == name)
            lines += (
                f"{name}{_labels(labels)} {value:g}" if value < 1e6 else f"{name}{_labels(labels)} {value:.0f}"
                for labels, value in (found or [((), 0.0)])
            )
        for name, meaning, value in more:
            lines += (f"# HELP {name} {meaning}", f"# TYPE {name} gauge", f"{name} {value:g}")
        return "\n".join(lines) + "\n"

    def _histogram_lines(self) -> Iterator[str]:
        for labels, buckets in sorted(self._histograms.items()):
            below = 0
            for bound, count in zip((*(f"{bound:g}" for bound in BOUNDS), "+Inf"), buckets, strict=True):
                below += count
                yield f"{SECONDS}_bucket{_labels((*labels, ('le', bound)))} {below}"
            yield f"{SECONDS}_sum{_labels(labels)} {self._sums[labels]:.6f}"
            yield f"{SECONDS}_count{_labels(labels)} {below}"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    escaped = (
        f'{name}="{value.replace(chr(92), chr(92) * 2).replace(chr(34), chr(92) + chr(34))}"' for name, value in labels
    )
    return "{" + ",".join(escaped) + "}"
