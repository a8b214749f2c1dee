"""Prints what the stream's benchmark measured beside its targets, and writes it into a page between two markers.

Run: python bench/stream_report.py .run/bench/stream-FIGURES.json [--page docs/streaming.md]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

BEGIN, END = "<!-- written by `make bench-stream` from here -->", "<!-- to here -->"
HEAD = ["lake", "sent a second", "into Silver a second", "p50 s", "p95 s", "p99 s", "max s", "peak GB", "CPU s",
        "CPU a wall second", "micro-batches"]  # fmt: skip
PHASES = ["lake", "sent a second", "phase", "seconds", "share of the run"]
MIB_IN_GB = 1024 * 1024 / 1e9


def rows(measured: dict[str, Any]) -> Iterable[list[str]]:
    """Give a row a lake and rate."""
    for run in measured["runs"]:
        yield [
            run["lake"], f"{run['rate']:,}", f"{run['per_s']:,.0f}",
            *(f"{run[name]:.1f}" for name in ("p50_s", "p95_s", "p99_s", "max_s")),
            f"{run['peak_mib'] * MIB_IN_GB:.2f}", f"{run['cpu_s']:.0f}", f"{run['cpu_s'] / run['wall_s']:.2f}",
            str(run["batches"]),
        ]  # fmt: skip


def targets(measured: dict[str, Any]) -> Iterable[list[str]]:
    """Give a row a target and lake: what, limit, measured, whether it is met."""
    for run in measured["runs"]:
        lake = run["lake"]
        if run["rate"] == 100:
            yield target(f"100 a second, p50, {lake}", 4, run["p50_s"], "s")
        if run["rate"] == 5_000:
            # What comes in the last moments is taken in after the producer's end.
            yield target(f"5,000 a second, lag at the end, {lake}", 10, run["drained_s"], "s")
            yield target(f"5,000 a second, p95, {lake}", 10, run["p95_s"], "s")
        yield target(f"{run['rate']:,} a second, peak memory, {lake}", 1.5, run["peak_mib"] * MIB_IN_GB, "GB")


def target(what: str, limit: float, value: float, unit: str) -> list[str]:
    return [what, f"< {limit:g} {unit}", f"{value:.2f} {unit}", "met" if value < limit else "MISSED"]


def memory(measured: dict[str, Any]) -> Iterable[list[str]]:
    """Give a row a lake and rate: the peak of each half of the time."""
    for run in measured["runs"]:
        yield [run["lake"], f"{run['rate']:,}", *(f"{run[half]:,}" for half in ("first_half_mib", "second_half_mib"))]


def phases(measured: dict[str, Any]) -> Iterable[list[str]]:
    """Give a row a phase of the greatest rate: wall seconds of the whole run."""
    greatest = max(run["rate"] for run in measured["runs"])
    for run in measured["runs"]:
        if run["rate"] == greatest:
            for name, seconds in sorted(run["phases"].items(), key=lambda each: -each[1]):
                yield [run["lake"], f"{run['rate']:,}", name, f"{seconds:.1f}", f"{seconds / run['wall_s']:.0%}"]


def text(measured: dict[str, Any], table: Any) -> str:
    """Return all as Markdown."""
    machine = measured["machine"]
    about = (
        f"Measured {measured['at']} at commit {machine['commit']} on {machine['cores']} cores and "
        f"{machine['memory_gb']} GB of memory, all on one machine; {measured['seconds']:g} s a rate, "
        f"{measured['trouble_share']:.0%} of the events trouble, made data of scale {measured['scale']:g}. Memory and "
        "CPU are those of the consumer with its JVM."
    )
    restarts = "; ".join(f"{lake}: {seconds:.1f} s" for lake, seconds in measured["restart_s"].items())
    return "\n\n".join(
        [
            about, table(HEAD, rows(measured)), table(["target", "limit", "measured", ""], targets(measured)),
            f"From `kill -9` of the consumer at 1,000 events a second to its next commit in Silver: {restarts}.",
            table(["lake", "sent a second", "peak MiB, first half", "second half"], memory(measured)),
            "Where the time goes (compaction is `compact`):", table(PHASES, phases(measured)),
        ]
    )  # fmt: skip


def beside(name: str) -> ModuleType:
    """Return a program of this folder as a module: the folder is on nobody's path."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"bench/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path)
    parser.add_argument("--page", type=Path, help="page to write into")
    options = parser.parse_args()
    report = beside("report")
    said = text(json.loads(options.figures.read_text()), report.table)
    print(said)
    if options.page:
        report.write_between_markers(options.page, said, BEGIN, END)


if __name__ == "__main__":
    main()
