"""Whether a scan is due again: what to look at, and a cheap look."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from badgateway.packages import files
from badgateway.packages.closure import Closure
from badgateway.packages.declared import Declaration
from badgateway.packages.findings import Report, Target
from badgateway.packages.roots import Root
from badgateway.packages.sitepaths import SitePaths
from badgateway.packages.virtualenv import Environment

WATCH_LIMIT: Final = 5000
ENTRIES_LIMIT: Final = 2000


def paths_to_watch(
    target: Target,
    environment: Environment,
    declaration: Declaration,
    site: SitePaths,
    closure: Closure | None,
) -> tuple[str, ...]:
    """Return the paths whose change may change the report.

    One that ends in ``/`` stands for the names of modules in a directory: its own times change
    with every log or database journal written there. Site directories are watched by their
    times, which every installation and removal changes.
    """
    directories = [path for path in target.search if path not in environment.sites]
    own = list(closure.own_files) if closure else []
    directories += [os.path.dirname(file) for file in own]
    script = [target.script] if target.script else []
    configuration = os.path.join(environment.prefix, "pyvenv.cfg")
    paths = [
        environment.interpreter,
        configuration,
        *script,
        *environment.sites,
        *site.files,
        *declaration.paths,
        *own,
        *(directory.rstrip("/") + "/" for directory in files.unique(directories)),
    ]
    return files.unique(path for path in paths if path)[:WATCH_LIMIT]


def fingerprint(watch: Iterable[str], root: Sequence[tuple[str, str]] = ()) -> str:
    """Return a short text that changes when one of ``watch`` does; reads no file's content.

    What is missing counts too. Takes a few microseconds for each path. ``root`` is that of a
    container whose paths they are, as in ``Target``.
    """
    digest = hashlib.blake2b(digest_size=16)
    with files.seen_in(Root.of(root) if root else None):
        for path in watch:
            digest.update(path.encode("utf-8", "surrogateescape"))
            digest.update(_module_names(path) if path.endswith("/") else _times(path))
    return digest.hexdigest()


def _status(path: str) -> os.stat_result:
    if not files.is_elsewhere():
        return os.stat(path)
    handle = files.descriptor(path, os.O_PATH)
    try:
        return os.fstat(handle)
    finally:
        os.close(handle)


def _times(path: str) -> bytes:
    try:
        status = _status(path)
    except (OSError, ValueError) as error:
        return str(getattr(error, "errno", 0)).encode()
    times = (status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_size)
    return repr(times).encode()


def _module_names(directory: str) -> bytes:
    names = []
    try:
        for name in files.listdir(directory):
            suffix = name.partition(".")[2]
            if suffix in ("", "py", "pyc") or suffix.endswith("so"):
                names.append(name)
            if len(names) > ENTRIES_LIMIT:
                return _times(directory)
    except (OSError, ValueError) as error:
        return str(getattr(error, "errno", 0)).encode()
    return "\0".join(sorted(names)).encode("utf-8", "surrogateescape")


def watched(report: Report, kind: str) -> Iterator[str]:
    """Yield the paths that a report rests on of one kind: ``packages``, or the project's ``code``.

    A virtualenv inside its project is packages.
    """
    for path in report.watch:
        if report.virtualenv and path.startswith(report.virtualenv + "/"):
            found = "packages"
        elif report.project and path.startswith(report.project + "/"):
            found = "code"
        else:
            continue
        if found == kind:
            yield path


def newest(paths: Iterable[str], root: Sequence[tuple[str, str]] = ()) -> float | None:
    """Return when the last change of these was, None where none of them can be seen. May block."""
    last: float | None = None
    with files.seen_in(Root.of(root) if root else None):
        for path in paths:
            try:
                changed = _status(path).st_mtime
            except OSError:
                continue
            last = changed if last is None else max(last, changed)
    return last
