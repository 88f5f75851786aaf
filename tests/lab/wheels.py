"""A folder of wheels from which the scenarios' applications are installed without a network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.lab import parts

_LOCKED: Final = {
    "runtime": (
        "anyio", "click", "h11", "idna", "msgspec", "packaging", "starlette",
        "typing-extensions", "uvicorn",
    ),
    "development": ("gunicorn",),
}  # fmt: skip
"""Lock → the packages of it that the applications use too."""


def wheelhouse() -> Path:
    """Return the folder of wheels, filling it once; raises PartMissing."""
    folder = parts.LAB / "wheels"
    stamp = folder / "pinned.txt"
    pinned = Path(__file__).with_name("wheels.txt").read_text() + _from_locks()
    if _is_there(stamp, pinned):
        return folder
    with parts.locked():
        if not _is_there(stamp, pinned):
            _fetch(folder, pinned)
            (folder / "wanted.txt").rename(stamp)
    return folder


def _is_there(stamp: Path, pinned: str) -> bool:
    return stamp.exists() and stamp.read_text() == pinned


def _fetch(folder: Path, pinned: str) -> None:
    parts.say("fetching the wheels of the demonstration's application …")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "wanted.txt"
    wanted.write_text(pinned)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "download"]
    done = subprocess.run(
        [*pip, "--no-deps", "--require-hashes", "-d", str(folder), "-r", str(wanted)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise parts.PartMissing(f"wheels could not be fetched: {done.stderr.strip()}")


def _from_locks() -> str:
    """Return the locks' entries of the packages that the applications use too."""
    found = []
    for lock, names in _LOCKED.items():
        text = (parts.CHECKOUT / "deploy" / "locked" / f"{lock}.txt").read_text()
        entries = re.findall(
            r"^([a-z0-9-]+)(==.*?)(?=^[a-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL
        )
        found += [f"{name}{pin}" for name, pin in entries if name in names]
    return "".join(found)
