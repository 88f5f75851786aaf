"""How fast logs are read: badgateway against mtail, with grep as the floor.

``python -m tests.bench.logs [--lines N] [--rounds N]``. Each is a running process into whose log
the lines come; the rounds are interleaved, so that what disturbs the machine disturbs all.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.bench import contestants, samples
from tests.bench.contestants import Effort

_GOAL: Final = 5.0
LOGS: Final = ("nginx-access", "caddy-access", "nginx-errors")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code tells only whether it could be measured."""
    parser = argparse.ArgumentParser(prog="make bench-logs", description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000, help="of each access log")
    parser.add_argument("--only", choices=LOGS, action="append", help="measure this log alone")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is told")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/var/tmp") as name:
        folder = Path(name)
        logs = {
            "nginx-access": (samples.nginx_access, given.lines),
            "caddy-access": (samples.caddy_access, given.lines),
            "nginx-errors": (samples.nginx_errors, given.lines // 5),
        }
        for log, (lines, number) in logs.items():
            if given.only and log not in given.only:
                continue
            print(f"writing {number} lines of {log}", file=sys.stderr)
            path = samples.write(folder / f"{log}.log", lines, number)
            _measure(folder, path, number, given.rounds)
            path.unlink()
    return 0


def _measure(folder: Path, log: Path, number: int, rounds: int) -> None:
    runs: dict[str, Callable[[Path], Effort]] = {
        "badgateway": lambda place: contestants.badgateway(place, log, number),
        "mtail": lambda place: contestants.mtail(place, log, number),
        "grep -c": lambda place: contestants.grep(place, log),
    }
    efforts: dict[str, list[Effort]] = {name: [] for name in runs}
    for turn in range(rounds):
        for name, run in runs.items():
            print(f"{log.stem}: round {turn + 1} of {rounds}, {name}", file=sys.stderr)
            place = folder / f"{log.stem}-{turn}-{name.split()[0]}"
            efforts[name].append(run(place))
            for left in place.glob("*.log") if place.is_dir() else ():
                left.unlink()
    _print(log.stem, number, efforts)


def _print(log: str, number: int, efforts: dict[str, list[Effort]]) -> None:
    table = Table(title=f"{log}: {number} lines, median of {len(efforts['mtail'])}", min_width=90)
    for heading in ("", "lines/s", "lines/CPU s", "memory grew", "mtail = 1", "by CPU"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    medians = {
        name: Effort(
            statistics.median(e.seconds for e in found),
            statistics.median(e.cpu for e in found),
            max(e.grown for e in found),
        )
        for name, found in efforts.items()
    }
    peer = medians["mtail"]
    for name, effort in medians.items():
        table.add_row(
            name,
            f"{number / effort.seconds:,.0f}",
            f"{number / max(effort.cpu, 0.01):,.0f}",
            f"{effort.grown:.1f} MiB" if effort.grown else "",
            f"{peer.seconds / effort.seconds:.1f}",
            f"{peer.cpu / max(effort.cpu, 0.01):.1f}",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    sys.exit(main())
