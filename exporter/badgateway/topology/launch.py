"""What a command line would run: which Python, virtualenv, server and application."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from badgateway.packages import files, virtualenv
from badgateway.topology import launch_fastapi, launch_servers
from badgateway.topology.launch_wrappers import Peeled, peel

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VALUE_OPTIONS: Final = "cmWX"
_SERVER_MODULES: Final = {
    "uvicorn": "uvicorn",
    "uvicorn.main": "uvicorn",
    "gunicorn": "gunicorn",
    "gunicorn.app.wsgiapp": "gunicorn",
    "gunicorn.__main__": "gunicorn",
}


@dataclass(frozen=True, slots=True)
class Launch:
    """What a command line would run; paths are absolute.

    Attributes:
        argv: the command without its wrappers, the program's path resolved.
        working_directory: where it would run.
        environment: what it would be given, as far as known. May hold secrets.
        interpreter: path of the Python that would run it, links not followed; None if none.
        script: the Python file that would be run; None for ``python -m``.
        module: the module of ``python -m``.
        server: a key of ``vocabulary.SERVERS``; None when no Python program was recognised.
        entry: the application as ``pkg.mod:attr``; empty when the command does not name one.
        virtualenv: prefix of the virtualenv; None outside of one.
        workers: number asked for; None when the server's default holds.
        listen: ``127.0.0.1:8001``, ``[::1]:8001``, ``unix:/run/x.sock``; empty when unknown.
        search: directories that are searched for modules before the standard library.
        max_requests: after how many a worker is replaced; None when never.
        preload: whether replaced workers run the code that was loaded at the start.
        loads: modules that options make the server load by name.
        installs: whether the command brings the virtualenv up to date before it starts.
        problem: why it cannot be understood: ``shell_script``, ``shell_syntax``, ``container``,
            ``inline_code``, ``script_missing``, ``not_python``, ``no_command``,
            ``environment_file_missing``, ``unit_unreadable``, ``specifier``; None when it can.
    """

    argv: tuple[str, ...] = ()
    working_directory: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    interpreter: str | None = None
    script: str | None = None
    module: str | None = None
    server: str | None = None
    entry: str = ""
    virtualenv: str | None = None
    workers: int | None = None
    listen: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    max_requests: int | None = None
    preload: bool = False
    loads: tuple[str, ...] = ()
    installs: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class _Program:
    interpreter: str
    script: str | None = None
    module: str | None = None
    arguments: tuple[str, ...] = ()
    isolated: bool = False
    safe_path: bool = False
    problem: str | None = None


def parse_command(
    argv: Sequence[str], working_directory: str, environment: Mapping[str, str]
) -> Launch:
    """Say what ``argv`` would run in ``working_directory``. Never raises, never runs anything.

    Reads what the answer depends on: the script's first line, ``pyvenv.cfg``, files that a shell
    command sources, gunicorn's configuration file.
    """
    directory = os.path.normpath(os.path.join("/", working_directory))
    peeled = peel(Peeled(tuple(argv), directory, dict(environment)))
    base = Launch(
        peeled.argv,
        peeled.directory,
        peeled.environment,
        installs=peeled.installs,
        problem=peeled.problem,
    )
    if peeled.problem:
        return base
    program = _program(peeled)
    path = _locate(peeled.argv[0], peeled)
    prefix = virtualenv.prefix_of(program.interpreter) if program.interpreter else None
    found = replace(
        base,
        argv=(path, *peeled.argv[1:]),
        interpreter=program.interpreter or None,
        script=program.script,
        module=program.module,
        server=None if program.problem and not program.script else "unknown",
        virtualenv=prefix,
        problem=program.problem,
    )
    return _with_server(found, program)


def _with_server(found: Launch, program: _Program) -> Launch:
    name = program.module or os.path.basename(program.script or "")
    server = _SERVER_MODULES.get(name)
    environment, directory = found.environment, found.working_directory
    if server == "gunicorn":
        served = launch_servers.gunicorn(program.arguments, directory, environment)
    elif name in ("fastapi", "fastapi_cli") and program.arguments:
        served = launch_fastapi.fastapi(program.arguments, directory, environment)
        server = "uvicorn" if served.listen else None
    elif server:
        served = launch_servers.uvicorn(program.arguments, directory, environment)
    else:
        served = launch_servers.other(program.arguments, directory)
    own: list[str] = []
    if not program.safe_path:
        if program.module:
            own = [directory]
        elif program.script and not _in_virtualenv(program.script, found.virtualenv):
            own = [os.path.dirname(os.path.realpath(program.script))]
    paths = [] if program.isolated else environment.get("PYTHONPATH", "").split(":")
    added = [os.path.normpath(os.path.join(directory, path)) for path in paths if path]
    return replace(
        found,
        server=server or found.server,
        entry=served.entry,
        workers=served.workers,
        listen=served.listen,
        search=files.unique([*served.search, *own, *added]),
        max_requests=served.max_requests,
        preload=served.preload,
        loads=served.loads,
    )


def _program(command: Peeled) -> _Program:
    path = _locate(command.argv[0], command)
    rest = command.argv[1:]
    visible = files.exists(path)
    if virtualenv.is_interpreter_name(path):
        return _python(path, rest, command.directory)
    if not visible:
        # Its virtualenv can still be named: what is missing there is the point.
        beside = os.path.join(os.path.dirname(path), "python")
        interpreter = beside if virtualenv.prefix_of(beside) else ""
        return _Program(interpreter, path, None, rest, problem="script_missing")
    try:
        words = virtualenv.shebang(path)
    except (OSError, ValueError):
        words = None
    if words and virtualenv.is_interpreter_name(words[0]):
        interpreter = _locate(words[0], command)
        return _python(interpreter, (*words[1:], path, *rest), command.directory)
    if words and os.path.basename(words[0]) in ("sh", "bash", "dash", "ash", "zsh", "ksh"):
        return _Program("", problem="shell_script")
    return _Program("", problem="not_python")


def _python(interpreter: str, arguments: Sequence[str], directory: str) -> _Program:
    """Read the interpreter's own options up to the script or module."""
    rest = list(arguments)
    flags = ""
    while rest and rest[0].startswith("-") and len(rest[0]) > 1:
        option = rest.pop(0)
        if option.startswith("--"):
            if option == "--check-hash-based-pycs" and rest:
                rest.pop(0)
            continue
        for flag, value in _flags(option[1:]):
            flags += flag
            if flag not in _VALUE_OPTIONS:
                continue
            given = value or (rest.pop(0) if rest else "")
            if flag == "c":
                return _Program(interpreter, problem="inline_code")
            if flag == "m":
                return _launched(interpreter, None, given, rest, flags)
    if not rest:
        return _Program(interpreter, problem="no_command")
    script = os.path.normpath(os.path.join(directory, rest[0]))
    if files.exists(script) is False:
        return _Program(interpreter, script, None, tuple(rest[1:]), problem="script_missing")
    return _launched(interpreter, script, None, rest[1:], flags)


def _launched(
    interpreter: str, script: str | None, module: str | None, rest: Sequence[str], flags: str
) -> _Program:
    isolated = "I" in flags or "E" in flags
    safe = "I" in flags or "P" in flags
    problem = "no_command" if not script and not module else None
    return _Program(interpreter, script, module, tuple(rest), isolated, safe, problem)


def _flags(letters: str) -> Iterator[tuple[str, str]]:
    for number, letter in enumerate(letters):
        if letter in _VALUE_OPTIONS:
            yield letter, letters[number + 1 :]
            return
        yield letter, ""


def _locate(program: str, command: Peeled) -> str:
    if "/" in program:
        return os.path.normpath(os.path.join(command.directory, program))
    for directory in command.environment.get("PATH", DEFAULT_PATH).split(":"):
        path = os.path.normpath(os.path.join(command.directory, directory, program))
        if files.exists(path) and not files.is_directory(path):
            return path
    return program


def _in_virtualenv(path: str, prefix: str | None) -> bool:
    return prefix is not None and bool(re.match(re.escape(prefix) + r"/bin/[^/]+\Z", path))
