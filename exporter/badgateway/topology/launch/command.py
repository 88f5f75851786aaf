"""What a command line would run: which Python, virtualenv, server and application."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from badgateway.packages import files, virtualenv
from badgateway.topology.launch.servers import BINARIES, serve
from badgateway.topology.launch.wrappers import Peeled, peel

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VALUE_OPTIONS: Final = "cmWX"
_PARAMETER: Final = re.compile(r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))", re.ASCII)


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
        worker_class: gunicorn's, as asked for (``sync`` when nothing says); empty for others.
        timeouts: seconds, (setting of ``vocabulary.TIMEOUT_SETTINGS``, seconds) pairs, the
            server's defaults among them; 0 means no limit.
        arguments: the server's own arguments, for a look at whether it would take them; empty
            where they depend on something that is not known. May hold secrets.
        user: the user it would run as, where its manager is told one.
        group: likewise.
        needed_files: environment files without which it would not be started.
        needed_directory: directory without which it would not be started; empty for none.
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
    worker_class: str = ""
    timeouts: tuple[tuple[str, float], ...] = ()
    arguments: tuple[str, ...] = field(default=(), repr=False)
    user: str = ""
    group: str = ""
    needed_files: tuple[str, ...] = ()
    needed_directory: str = ""
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
    served = _with_server(found, program)
    if any(_names_unset(word, peeled.environment) for word in argv):
        return replace(served, arguments=())  # a profile may set what is not known here
    return served


def _names_unset(word: str, environment: Mapping[str, str]) -> bool:
    return any((n[1] or n[2]) not in environment for n in _PARAMETER.finditer(word))


def _with_server(found: Launch, program: _Program) -> Launch:
    name = program.module or os.path.basename(program.script or "")
    environment, directory = found.environment, found.working_directory
    server, served = serve(name, program.arguments, directory, environment, found.virtualenv)
    own: list[str] = []
    if not program.safe_path:
        if program.module:
            own = [directory]
        elif program.script and not _in_virtualenv(program.script, found.virtualenv):
            own = [os.path.dirname(files.realpath(program.script))]
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
        worker_class=served.worker_class,
        timeouts=served.timeouts,
        arguments=program.arguments if server and not name.startswith("fastapi") else (),
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
    if words is None and os.path.basename(path) in BINARIES:
        beside = os.path.join(os.path.dirname(path), "python")
        return _Program(beside if virtualenv.prefix_of(beside) else "", path, None, rest)
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
