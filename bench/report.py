"""Prints what a benchmark measured beside the targets, and writes it into a page between two markers.

Run: python bench/report.py .run/bench/FIGURES.json [--page docs/performance.md]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

BEGIN, END = "<!-- written by `make bench` from here -->", "<!-- to here -->"
NAMES = {"a": "(a) this platform", "b": "(b) plain PySpark + Delta", "c": "(c) DuckDB + deltalake"}
STEPS = {"load": "full load", "nothing": "nothing changed", "increment": "{changes:.0%} changed"}
MIB_IN_GB = 1024 * 1024 / 1e9


class Report:
    """The figures of one benchmark, medians over its repetitions and days."""

    def __init__(self, measured: dict[str, Any]) -> None:
        self.measured = measured
        self.runs: list[dict[str, Any]] = measured["runs"]
        self.steps = {step: name.format(**measured) for step, name in STEPS.items()}

    def of(self, program: str, step: str, scale: int | None = None) -> list[dict[str, Any]]:
        """Return the runs of one step; `scale` names one of the ten-times comparison."""
        wanted = (program, step, scale)
        return [run for run in self.runs if (run["program"], run["step"], run.get("scale")) == wanted]

    def value(self, figure: str, program: str, step: str, scale: int | None = None) -> float | None:
        """Return the median of a figure; None when it was not measured."""
        values = [run[figure] for run in self.of(program, step, scale)]
        return median(values) if values else None

    def costs(self) -> Iterable[list[str]]:
        """Give a row a program and step."""
        for scale in (None, 1, 10):
            for program, name in NAMES.items():
                for step in STEPS:
                    if self.of(program, step, scale):
                        size = f", made data at scale {scale}" if scale else ""
                        done = "the same batch" if scale and step == "increment" else self.steps[step]
                        yield [name + size, done, *self._figures(program, step, scale)]

    def _figures(self, program: str, step: str, scale: int | None) -> list[str]:
        wall, cpu, beside, peak, new = (
            self.value(figure, program, step, scale) or 0.0
            for figure in ("wall_s", "cpu_s", "beside_cpu_s", "peak_mib", "new_versions")
        )
        return [f"{wall:.1f}", f"{cpu:.1f}", f"{beside:.1f}", f"{peak * MIB_IN_GB:.2f}", f"{new:.0f}"]

    def ratio(self, over: tuple[Any, ...], under: tuple[Any, ...]) -> float | None:
        """Return the ratio of the CPU seconds of two steps."""
        first, second = self.value("cpu_s", *over), self.value("cpu_s", *under)
        return first / second if first is not None and second else None

    def targets(self) -> Iterable[list[str]]:
        """Give a row a target: what, target, measured, whether it is met."""
        mine = [run for step in STEPS for run in self.of("a", step)]
        peaks = [run["peak_mib"] * MIB_IN_GB for run in mine]
        changed = self.steps["increment"]
        limits = [
            ("full load, (a) to (b), CPU", 0.9, self.ratio(("a", "load"), ("b", "load"))),
            (f"{changed}, to full load, CPU", 0.45, self.ratio(("a", "increment"), ("a", "load"))),
            ("nothing changed, to full load, CPU", 0.2, self.ratio(("a", "nothing"), ("a", "load"))),
            ("nothing changed, new versions", 0.0, self.value("new_versions", "a", "nothing")),
            ("same batch, scale 10 to scale 1, CPU", 1.5, self.ratio(("a", "increment", 10), ("a", "increment", 1))),
            ("peak memory of (a), GB", 3.0, max(peaks, default=None)),
        ]
        for what, limit, value in limits:
            met = "not measured" if value is None else "met" if value <= limit else "missed"
            yield [what, f"≤ {limit:g}", "-" if value is None else f"{value:.2f}", met]

    def phases(self) -> Iterable[list[str]]:
        """Give a row a phase: its seconds in each step of the platform."""
        by_step = {step: self.of("a", step) for step in STEPS}
        names = dict.fromkeys(name for runs in by_step.values() for run in runs for name in run["phases"])
        for name in names:
            seconds = [[run["phases"].get(name, 0.0) for run in runs] for runs in by_step.values()]
            yield [name, *(f"{median(values):.1f}" if values else "-" for values in seconds)]

    def kinds(self) -> Iterable[list[str]]:
        """Give a row a kind of work: its seconds in each step that was run with an event log."""
        by_step: dict[str, dict[str, float]] = self.measured.get("kinds", {})
        for name in next(iter(by_step.values()), {}):
            yield [name, *(f"{seconds[name]:.1f}" for seconds in by_step.values())]

    def about(self) -> str:
        """Say what was measured where."""
        machine, rows = self.measured["machine"], sum(self.measured["rows"].values())
        times, days = self.measured["repeat"], self.measured["days"]
        return (
            f"Measured {self.measured['at']} at commit {machine['commit']} on {machine['cores']} cores and "
            f"{machine['memory_gb']} GB of memory, on {self.measured['data']} ({rows:,} rows); "
            + ("every step once" if times == 1 else f"every step {times} times")
            + f", and {days} days one after another; medians."
        )

    def text(self) -> str:
        """Return the whole report as Markdown."""
        parts = [self.about(), table(COST_HEAD, self.costs()), table(TARGET_HEAD, self.targets())]
        spent = list(self.phases())
        if spent:
            parts += [
                "Where the time of (a) goes, in wall seconds; tables run side by side, so the sum may pass the wall:"
            ]
            parts += [table(["phase", *self.steps.values()], spent)]
        kinds = list(self.kinds())
        if kinds:
            parts += ["The same by kind of work, from one more run of each with Spark's event log on:"]
            parts += [table(["kind of work", *(self.steps[step] for step in self.measured["kinds"])], kinds)]
        return "\n\n".join(parts)


COST_HEAD = ["program", "step", "wall s", "CPU s", "database CPU s", "peak GB", "commits"]
TARGET_HEAD = ["target", "limit", "measured", ""]


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    """Return a Markdown table whose columns line up as plain text too."""
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    ruled = [lines[0], ["-" * width for width in widths], *lines[1:]]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in ruled
    )


def write_between_markers(page: Path, text: str, first: str = BEGIN, last: str = END) -> None:
    """Put a text in the place of what stands between the page's markers."""
    before, begin, rest = page.read_text().partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise SystemExit(f"{page}: lacks the line {first if not begin else last}")
    page.write_text(f"{before}{first}\n\n{text}\n\n{last}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path)
    parser.add_argument("--page", type=Path, help="page to write into")
    options = parser.parse_args()
    text = Report(json.loads(options.figures.read_text())).text()
    print(text)
    if options.page:
        write_between_markers(options.page, text)


if __name__ == "__main__":
    main()
