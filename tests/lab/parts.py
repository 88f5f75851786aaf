"""Real servers for tests and the demonstration: Debian packages, unpacked and never installed.

``python -m tests.lab.parts promtool`` prints where a binary is, after fetching it if needed;
``--unpack PACKAGE`` does the same for any package's folder. Standard library only: the set-up
uses it before anything is installed.
Packages are fetched once with ``apt-get download`` and unpacked below ``.lab/`` of the checkout.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Final

CHECKOUT: Final = Path(__file__).resolve().parents[2]
LAB: Final = CHECKOUT / ".lab"

BINARIES: Final = MappingProxyType(
    {
        "caddy": ("caddy", "usr/bin/caddy"),
        "haproxy": ("haproxy", "usr/sbin/haproxy"),
        "prometheus": ("prometheus", "usr/bin/prometheus"),
        "promtool": ("prometheus", "usr/bin/promtool"),
        "prometheus-3": ("prometheus/forky", "usr/bin/prometheus"),
        "promtool-3": ("promtool/forky", "usr/bin/promtool"),
        "alertmanager": ("prometheus-alertmanager", "usr/bin/prometheus-alertmanager"),
        "amtool": ("prometheus-alertmanager", "usr/bin/amtool"),
        "nginx": ("nginx", "usr/sbin/nginx"),
        "mtail": ("mtail", "usr/bin/mtail"),
    }
)
"""Binary → the Debian package that holds it, and its path inside; ``package/release`` is that of
another release than the host's."""

_DATA: Final = MappingProxyType(
    {
        "prometheus": "/usr/share/prometheus/web",
        "alertmanager": "/usr/share/prometheus/alertmanager",
    }
)
"""Server → the folder below which it looks for its own files, fixed when Debian built it."""

_DOWNLOAD_SECONDS: Final = 300.0


class PartMissing(Exception):  # noqa: N818 - reads as what it is
    """A part that is not here and could not be fetched; the text says what to do about it."""


def binary(name: str) -> Path:
    """Return the path of a server or tool of ``BINARIES``, fetching its package when needed.

    Give it absolute paths: some have a working folder of their own.
    Raises PartMissing, and KeyError for a name that ``BINARIES`` does not list.
    """
    package, inside = BINARIES[name]
    try:
        folder = unpacked(package)
        return _relocated(name, folder, inside) if name in _DATA else folder / inside
    except PartMissing:
        installed = shutil.which(Path(inside).name)
        if installed is None or "/" in package:
            raise
        return Path(installed)


def unpacked(package: str) -> Path:
    """Return the folder holding ``package``'s files, laid out as under ``/``.

    Folders that Debian keeps as links (``/lib``, ``/bin``) are merged into ``usr``, so that the
    folder can lie over a root filesystem. Raises PartMissing.
    """
    target = LAB / "parts" / package.replace("/", "@")
    if target.is_dir():
        return target
    _require_tools(package)
    with locked():
        if not target.is_dir():
            started = time.monotonic()
            say(f"fetching {package} (a Debian package, unpacked under .lab/) …")
            _fetch(package, target)
            say(f"  {package} is here after {time.monotonic() - started:.1f} s")
    return target


def _relocated(name: str, package: Path, inside: str) -> Path:
    """Return a copy of a server that finds its own files although it is not installed."""
    target = LAB / "relocated" / name
    if target.exists():
        return target
    with locked(), tempfile.TemporaryDirectory(dir=LAB, prefix="relocating-") as work:
        if target.exists():
            return target  # somebody else was first, and may run it already
        # The path is a constant of the program: another of the same length takes its place,
        # and leads to the working folder.
        fixed = _DATA[name].encode()
        here = b"/proc/self/cwd".ljust(len(fixed), b"/")
        program = target.with_name(f"{name}.program")
        program.parent.mkdir(exist_ok=True)
        program.write_bytes((package / inside).read_bytes().replace(fixed, here))
        program.chmod(0o755)
        data = shlex.quote(str(package / _DATA[name].lstrip("/")))
        script = Path(work, name)
        script.write_text(f'#!/bin/sh\ncd {data} && exec {shlex.quote(str(program))} "$@"\n')
        script.chmod(0o755)
        script.rename(target)
    return target


def say(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)


def _require_tools(package: str) -> None:
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise PartMissing(
                f"{package}: this host has no {tool} to fetch it with; use Debian 12 or "
                "Ubuntu 24.04, or put the program on the PATH"
            )


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Let one process at a time fetch; the others then find what it fetched. Not to be nested."""
    LAB.mkdir(exist_ok=True)
    with (LAB / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(package: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=LAB, prefix="fetching-") as work:
        folder = Path(work)
        download(package, folder)
        root = folder / "root"
        for archive in folder.glob("*.deb"):
            _run(["dpkg", "-x", str(archive), str(root)], folder)
        _merge_usr(root)
        root.rename(target)


def download(package: str, folder: Path) -> None:
    """Put ``package``'s .deb into ``folder``; raises PartMissing with apt's own words."""
    _, _, release = package.partition("/")
    if release:
        options = [*_apt_options(), *_lists_of(release, folder)]
        _run(["apt-get", *options, "update"], folder)
        _run(["apt-get", *options, "download", package], folder)
        return
    try:
        _run(["apt-get", *_apt_options(), "download", package], folder)
    except PartMissing:
        # The host has no package lists (a fresh container): fetch lists of our own, which needs
        # no privilege and leaves the host's alone.
        options = [*_apt_options(), *_private_lists()]
        say("  the host's package lists do not know it; fetching lists under .lab/ …")
        _run(["apt-get", *options, "update"], folder)
        _run(["apt-get", *options, "download", package], folder)


def _apt_options() -> list[str]:
    # As root apt would drop to a user who may not write here, and say so at length.
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    return ["-q", *sandbox]


def _lists_of(release: str, folder: Path) -> list[str]:
    """Return options that make apt know another release of Debian, from the host's own mirror."""
    listing = ["indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]
    known = _run(["apt-get", *listing], folder)
    if "Debian " not in known:
        options = [*_apt_options(), *_private_lists()]
        _run(["apt-get", *options, "update"], folder)
        known = _run(["apt-get", *options, *listing], folder)
    mirror = next((line.split()[1] for line in known.splitlines() if line[:7] == "Debian "), "")
    if not mirror:
        raise PartMissing(f"{release}: this host's sources name no mirror of Debian")
    sources = folder / "sources.list"
    sources.write_text(f"deb {mirror} {release} main\n")
    return [
        *_private_lists(f"apt-{release}"),
        "-o", f"Dir::Etc::sourcelist={sources}",
        "-o", "Dir::Etc::sourceparts=-",
        "-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
        "-o", "Acquire::Languages=none",
    ]  # fmt: skip


def _private_lists(name: str = "apt") -> list[str]:
    state, cache = LAB / name / "state", LAB / name / "cache"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (cache / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    return [
        "-o", f"Dir::State={state}",
        "-o", "Dir::State::status=/var/lib/dpkg/status",
        "-o", f"Dir::Cache={cache}",
    ]  # fmt: skip


def _run(argv: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            argv, cwd=folder, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PartMissing(f"{' '.join(argv)}: no end after {_DOWNLOAD_SECONDS:.0f} s") from error
    if done.returncode != 0:
        raise PartMissing(
            f"{' '.join(argv)} failed: {done.stderr.strip() or done.stdout.strip()}\n"
            "It needs a reachable Debian mirror (see /etc/apt/sources.list)."
        )
    return done.stdout


def _merge_usr(root: Path) -> None:
    """Move ``/bin``, ``/sbin`` and ``/lib*`` of an older layout below ``/usr``."""
    for old in [root / "bin", root / "sbin", *root.glob("lib*")]:
        if not old.is_dir() or old.is_symlink():
            continue
        for source in [path for path in old.rglob("*") if path.is_symlink() or not path.is_dir()]:
            destination = root / "usr" / source.relative_to(root)
            destination.parent.mkdir(parents=True, exist_ok=True)
            source.rename(destination)
        shutil.rmtree(old)


def _main(arguments: list[str]) -> int:
    folders = arguments[:1] == ["--unpack"]
    names = arguments[1:] if folders else arguments
    if not names or not (folders or set(names) <= set(BINARIES)):
        usage = f"{'|'.join(BINARIES)} … or --unpack PACKAGE …"
        print(f"usage: python -m tests.lab.parts {usage}", file=sys.stderr)
        return 2
    try:
        for name in names:
            print(unpacked(name) if folders else binary(name))
    except PartMissing as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
