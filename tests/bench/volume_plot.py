"""Draws how the time of auditors' questions grows with the number of deliveries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

SHOWN = {
    "trace by id": "trace",
    "search: ứng phó bão": "search: ứng phó bão",
    "search: frequent word, rare recipient": "search: frequent word, rare recipient",
    "search: state, word, old period": "search: state, word, old period",
    "missing: communes of a province": "which communes have not received it",
    "agency's day": "an agency's day",
    "report: year by tier": "report: a year by tier",
    "overview: country, year": "overview: the country, a year",
}


def draw(file: Path, panels: Mapping[str, Mapping[str, Sequence[float]]], deliveries: Sequence[int]) -> None:
    """Write the plot: beside each other `panels`, each with milliseconds of questions, one for each of `deliveries`."""
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "lienthong"
    from matplotlib import pyplot

    figure, beside = pyplot.subplots(ncols=len(panels), sharey=True, squeeze=False, figsize=(4.5 * len(panels) + 3, 5))
    for axes, (title, milliseconds) in zip(beside[0], panels.items(), strict=True):
        for question, name in SHOWN.items():
            axes.plot(deliveries, milliseconds[question], marker="o", label=name)
        axes.set_title(title)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(list(deliveries), [f"{count / 1e6:.2g} M" for count in deliveries])
        axes.minorticks_off()
        axes.set_yticks([1, 3, 10, 30, 100, 300], ["1", "3", "10", "30", "100", "300"])
        axes.set_xlabel("deliveries in the database")
        axes.grid(visible=True, alpha=0.3)
    beside[0][0].set_ylabel("milliseconds")
    beside[0][-1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
