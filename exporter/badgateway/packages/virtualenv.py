"""A virtualenv or installed Python, described without running it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from badgateway.packages import elf, files

_PYTHON: Final = re.compile(r"(?:python|pypy)(\d+(?:\.\d+)?)?t?\Z")
_MINOR: Final = re.compile(r"(\d+)\.(\d+)")
_POLYGLOT: Final = re.compile(rb"^'''exec' (\"?)([^\" \n]+)\1 \"\$0\"", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python environment as its files describe it.

    Attributes:
        prefix: the virtualenv's directory, or the prefix of an installed Python.
        interpreter: the path that starts it, symbolic links not followed.
        binary: what that leads to; empty when it leads nowhere.
        version: full version, as exact as can be known; empty when unknown.
        implementation: ``CPython``, ``PyPy``, …
        sites: its site directories, those that can be seen, in import order.
        libraries: names of the ``lib/python3.X`` directories that hold site-packages.
        is_virtualenv: whether it has a ``pyvenv.cfg``.
        made_by_uv: whether uv made it; such an environment usually has no pip.
        changed: its libraries are for another minor version than its interpreter.
        problem: why it cannot be described; empty when it can.
    """

    prefix: str
    interpreter: str
    binary: str = ""
    version: str = ""
    implementation: str = "CPython"
    sites: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    is_virtualenv: bool = True
    made_by_uv: bool = False
    changed: bool = False
    problem: str = ""

    @property
    def minor(self) -> tuple[int, int] | None:
        """Return major and minor version, None when unknown."""
        found = _MINOR.match(self.version)
        return (int(found[1]), int(found[2])) if found else None


def is_interpreter_name(path: str) -> bool:
    """Return whether the file's name is one that Python interpreters have."""
    return _PYTHON.match(os.path.basename(path)) is not None


def prefix_of(interpreter: str) -> str | None:
    """Return the virtualenv that the interpreter path belongs to, None outside of one.

    As Python itself does, it looks for ``pyvenv.cfg`` beside the path as given and one
    directory up: a resolved path no longer shows the virtualenv.
    """
    directory = os.path.dirname(interpreter)
    for candidate in (directory, os.path.dirname(directory)):
        if candidate and files.exists(os.path.join(candidate, "pyvenv.cfg")):
            return candidate
    return None


def shebang(script: str) -> tuple[str, ...] | None:
    """Return the command of a script's first line, None when it has none.

    ``/usr/bin/env X`` gives ``("X",)``; pip's way around long paths (a shell script that
    replaces itself by Python) gives that Python. Raises ``OSError`` when it cannot be read.
    """
    head = files.read_bytes(script, 64 << 20)[:4096]
    if not head.startswith(b"#!"):
        return None
    words = head[2:].split(b"\n", 1)[0].decode("utf-8", "replace").split()
    if not words:
        return None
    if os.path.basename(words[0]) == "sh" and (found := _POLYGLOT.search(head)):
        return (found[2].decode("utf-8", "replace"),)
    if os.path.basename(words[0]) == "env":
        rest = [w for w in words[1:] if not w.startswith("-") and "=" not in w]
        return tuple(rest) or None
    return tuple(words)


def read_configuration(prefix: str) -> dict[str, str] | None:
    """Return the keys of a virtualenv's ``pyvenv.cfg``, None when there is none to read."""
    try:
        text = files.read_text(os.path.join(prefix, "pyvenv.cfg"), 64 << 10)
    except (OSError, ValueError):
        return None
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip().lower(): value.strip() for key, sep, value in pairs if sep}


def describe(prefix: str, interpreter: str = "", home: str = "") -> Environment:
    """Describe the virtualenv at ``prefix``, or the Python that ``interpreter`` starts.

    ``home`` is the service's home directory, where an installed Python (and a virtualenv that
    lets the system's packages in) also looks. Never raises: what cannot be seen is named in
    ``problem``.
    """
    configuration = read_configuration(prefix) if prefix else None
    path = _interpreter(prefix) if configuration is not None or not interpreter else interpreter
    visible = files.exists(path)
    if visible is None:
        return Environment(prefix, path, problem=f"cannot see {path}")
    binary = files.realpath(path) if visible else ""
    if configuration is None and binary:
        prefix = os.path.dirname(os.path.dirname(binary))
    settings = configuration or {}
    libraries = _libraries(prefix)
    version = _version(binary, settings, libraries)
    minor = ".".join(version.split(".")[:2])
    ours = tuple(name for name in libraries if name.rstrip("t").endswith(f"n{minor}"))
    ours = ours or tuple(name for name in libraries if name.endswith(f"pypy{minor}"))
    changed = configuration is not None and bool(binary and minor and libraries and not ours)
    expected = (f"python{minor}",) if minor else ()
    chosen = expected if changed else ours or libraries[:1] or expected
    sites = [f"{prefix}/{lib}/{name}/site-packages" for name in chosen for lib in ("lib", "lib64")]
    with_system = settings.get("include-system-site-packages", "").lower() == "true"
    if binary and (configuration is None or with_system):
        base = os.path.dirname(os.path.dirname(binary))
        user = [f"{home}/.local/lib/python{minor}/site-packages"] if home else []
        sites += user + _system_sites(base, minor)
    return Environment(
        prefix,
        path,
        binary,
        version,
        settings.get("implementation", "PyPy" if "pypy" in binary else "CPython"),
        _visible(sites),
        libraries,
        configuration is not None,
        "uv" in settings,
        changed,
    )


def marker_environment(environment: Environment) -> Mapping[str, str]:
    """Return every field of PEP 508 for the environment.

    The platform's are this host's: it runs there. None may be left out, since ``packaging``
    fills gaps from the interpreter it runs in.
    """
    host = os.uname()
    version = environment.version or "0"
    return {
        "implementation_name": environment.implementation.lower(),
        "implementation_version": version,
        "os_name": "posix",
        "platform_machine": host.machine,
        "platform_python_implementation": environment.implementation,
        "platform_release": host.release,
        "platform_system": host.sysname,
        "platform_version": host.version,
        "python_full_version": version,
        "python_version": ".".join(version.split(".")[:2]),
        "sys_platform": "linux",
    }


def _interpreter(prefix: str) -> str:
    for name in ("python", "python3"):
        path = os.path.join(prefix, "bin", name)
        if files.lexists(path):
            return path
    return os.path.join(prefix, "bin", "python")


def _libraries(prefix: str) -> tuple[str, ...]:
    try:
        names = files.listdir(os.path.join(prefix, "lib"))
    except OSError:
        return ()
    # PyPy's and CPython's directories; ``python3`` alone is Debian's, shared by all versions.
    return tuple(
        name
        for name in names
        if re.match(r"(python|pypy)\d+\.\d+t?\Z", name)
        and files.is_directory(os.path.join(prefix, "lib", name, "site-packages"))
    )


def _version(binary: str, settings: Mapping[str, str], libraries: tuple[str, ...]) -> str:
    written = settings.get("version") or settings.get("version_info") or ""
    written = ".".join(written.split(".")[:3])
    if not binary:
        return written
    exact = elf.python_version(binary)
    named = _PYTHON.match(os.path.basename(binary))
    minor = named[1] if named and named[1] and "." in named[1] else ""
    if not exact:
        base = os.path.dirname(os.path.dirname(binary))
        for library in _shared_libraries(base, minor):
            if exact := elf.python_version(library):
                break
    if exact:
        return exact
    if written and (not minor or written.split(".")[:2] == minor.split(".")):
        return written
    if minor:
        return f"{minor}.0"
    found = _MINOR.search(libraries[0]) if libraries else None
    return f"{found[0]}.0" if found else ""


def _shared_libraries(base: str, minor: str) -> list[str]:
    machine = os.uname().machine
    found = []
    for directory in ("lib", "lib64", f"lib/{machine}-linux-gnu"):
        try:
            names = files.listdir(os.path.join(base, directory))
        except OSError:
            continue
        found += [
            os.path.join(base, directory, name)
            for name in names
            if name.startswith(f"libpython{minor or '3.'}") and ".so" in name
        ]
    return found[:8]


def _system_sites(base: str, minor: str) -> list[str]:
    sites = [
        f"{base}/local/lib/python{minor}/dist-packages",
        f"{base}/lib/python3/dist-packages",
        f"{base}/lib/python{minor}/site-packages",
    ]
    if base == "/usr":
        sites.append(f"/usr/local/lib/python{minor}/site-packages")
    return sites


def _visible(sites: list[str]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for site in sites:
        # lib64 is usually a link to lib: the same directory only once.
        if files.exists(site) is not False:
            found.setdefault(files.realpath(site), site)
    return tuple(found.values())
