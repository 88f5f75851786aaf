"""Fuzz a dialect: ``python -m tests.fuzz DIALECT [--seconds N] [--corpus FOLDER]``.

What was found interesting is kept in the folder, if one is given; what breaks the dialect is
written to the working folder and ends the run with a traceback and exit status 1 or more.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

atheris: Any = importlib.import_module("atheris")  # has no types

# what is imported here is instrumented
with atheris.instrument_imports(include=["badgateway.dialects"]):
    from badgateway.dialects import names
    from tests.fuzz.targets import seeds, target


def main() -> None:
    """Run the fuzzer until its time is over; libFuzzer ends the process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("dialect", choices=names())
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--corpus", type=Path)
    given = parser.parse_args()
    words = [
        sys.argv[0],
        f"-max_total_time={given.seconds}",
        "-max_len=8192",
        "-print_final_stats=1",
    ]
    if given.corpus is not None:
        given.corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds(given.dialect)):
            (given.corpus / f"seed-{number}").write_bytes(seed)
        words.append(str(given.corpus))
    atheris.Setup(words, target(given.dialect))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
