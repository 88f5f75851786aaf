"""Programs that only start another program: what they start."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from badgateway.packages import files
from badgateway.topology.launch import shell as launch_shell
from badgateway.topology.launch.words import ShellSyntaxError, word_set

SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh"})
CONTAINERS: Final = word_set(
    "docker docker-compose podman podman-compose nerdctl kubectl lxc-start systemd-nspawn"
)

# Name → (options that take the next word, words of its own before the command).
_WRAPPERS: Final[dict[str, tuple[frozenset[str], int]]] = {
    name: (frozenset(options.split()), words)
    for name, options, words in (
        ("nice", "-n --adjustment", 0),
        ("ionice", "-c --class -n --classdata", 0),
        ("chrt", "-T -P -D --sched-runtime --sched-period --sched-deadline", 1),
        ("taskset", "", 1),
        ("numactl", "-m -N -C -i -p", 0),
        ("prlimit", "", 0),
        ("nohup", "", 0),
        ("setsid", "", 0),
        ("stdbuf", "-i -o -e --input --output --error", 0),
        ("unbuffer", "", 0),
        ("time", "-f -o --format --output", 0),
        ("timeout", "-k -s --kill-after --signal", 1),
        ("flock", "-w -E --wait --timeout --conflict-exit-code", 1),
        ("tini", "-p -e", 0),
        ("tini-static", "-p -e", 0),
        ("dumb-init", "-r --rewrite", 0),
        ("catatonit", "", 0),
        ("setpriv", "--reuid --regid --groups --inh-caps --ambient-caps --bounding-set "
         "--securebits --pdeathsig --selinux-label --apparmor-profile", 0),
        ("sudo", "-u -g -h -p -C -D -r -t -T -U --user --group --host --chdir", 0),
        ("gosu", "", 1),
        ("su-exec", "", 1),
        ("setuidgid", "", 1),
        ("s6-setuidgid", "", 1),
        ("chpst", "-u -U -b -e -/ -C -n -l -L -m -d -o -p -f -c -t", 0),
        ("systemd-cat", "-t -p --identifier --priority --stderr-priority --namespace", 0),
        ("authbind", "--depth", 0),
        ("opentelemetry-instrument", "", 0),
        ("ddtrace-run", "", 0),
        ("direnv", "", 2),
        ("asdf", "", 1),
        ("dockerize", "-wait -timeout -wait-retry-interval -template -stdout -stderr "
         "-wait-http-header -env -env-section -delims -poll", 0),
        ("exec", "-a", 0),
        ("command", "", 0),
    )
}  # fmt: skip
# Programs whose own words end at a ``--``, whatever they are.
_UP_TO_DASHES: Final = frozenset(
    ("mise", "rtx", "wait-for-it", "wait-for-it.sh", "wait-for", "wait-for.sh", "wait4ports")
)
_NESTED: Final = {"newrelic-admin": "run-program", "dotenv": "run", "doppler": "run"}

# Runners that look up a project's virtualenv: options that take the next word.
_RUNNERS: Final = {
    "uv": "-p --python --project --directory --with --with-editable --with-requirements --extra "
    "--no-extra --group --no-group --only-group --env-file --index --index-url --package "
    "--cache-dir --config-file --color -C --directory",
    "poetry": "-C --directory -P --project",
    "pdm": "-p --project -c --config",
    "pipenv": "--python --pypi-mirror",
    "rye": "--pyproject",
    "hatch": "-e --env -p --project --data-dir --cache-dir --config",
}
_ENV_VALUES: Final = frozenset({"-u", "--unset", "-C", "--chdir"})
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_]\w*)=(.*)\Z", re.ASCII | re.DOTALL)
_STEPS: Final = 32


@dataclass(frozen=True, slots=True)
class Peeled:
    """A command without its wrappers.

    ``problem`` names why peeling ended early. ``installs`` says that the runner brings the
    virtualenv up to date before it starts the command (``uv run`` without ``--no-sync``).
    """

    argv: tuple[str, ...]
    directory: str
    environment: dict[str, str] = field(repr=False)
    installs: bool = False
    problem: str | None = None


def peel(command: Peeled) -> Peeled:
    """Return what is left when every wrapper that is known has been taken off."""
    for _ in range(_STEPS):
        following = _step(command)
        if following is None or following.problem:
            return following or command
        command = following
    return replace(command, problem="shell_syntax")


def _step(command: Peeled) -> Peeled | None:
    if not command.argv:
        return replace(command, problem="no_command")
    name = os.path.basename(command.argv[0])
    arguments = command.argv[1:]
    if name in SHELLS:
        return _shell(command, arguments)
    if name in CONTAINERS:
        return replace(command, problem="container")
    if name == "env":
        return _env(command, arguments)
    if found := _ASSIGNMENT.match(command.argv[0]):
        environment = {**command.environment, found[1]: found[2]}
        return replace(command, argv=arguments, environment=environment)
    if name in ("su", "runuser"):
        return _switch_user(command, arguments)
    if name in _RUNNERS and "run" in arguments:
        return _runner(command, name, arguments)
    if _NESTED.get(name) in arguments and name in _NESTED:
        rest = arguments[arguments.index(_NESTED[name]) + 1 :]
        return replace(command, argv=_without_options(rest, frozenset(), 0))
    if name in _UP_TO_DASHES and "--" in arguments:
        return replace(command, argv=arguments[arguments.index("--") + 1 :])
    if name in _WRAPPERS:
        if name == "taskset" and any(a in arguments[:1] for a in ("-c", "--cpu-list")):
            return replace(command, argv=arguments[2:])
        return replace(command, argv=_without_options(arguments, *_WRAPPERS[name]))
    return None


def _without_options(
    arguments: Sequence[str], with_value: frozenset[str], words: int
) -> tuple[str, ...]:
    rest = list(arguments)
    while rest and rest[0].startswith("-") and len(rest[0]) > 1:
        option = rest.pop(0)
        if option == "--":
            break
        if option in with_value and rest:
            rest.pop(0)
    rest = rest[words:]
    return tuple(rest[1:] if rest[:1] == ["--"] else rest)


def _shell(command: Peeled, arguments: Sequence[str]) -> Peeled:
    rest = list(arguments)
    while rest and rest[0][:1] in ("-", "+"):
        option = rest.pop(0)
        if re.fullmatch(r"-\w*c\w*", option):
            return _script(command, next((a for a in rest if not a.startswith("-")), None))
        if option in ("-o", "+o", "-O", "+O", "--rcfile", "--init-file") and rest:
            rest.pop(0)
    return replace(command, problem="shell_script" if rest else "no_command")


def _script(command: Peeled, script: str | None) -> Peeled:
    if not script:
        return replace(command, problem="no_command")
    try:
        found = launch_shell.commands(script, command.directory, command.environment)
    except ShellSyntaxError:
        return replace(command, problem="shell_syntax")
    if not found:
        return replace(command, problem="no_command")
    # The service is what replaces the shell, else what it runs last (migrations come before).
    chosen = found[-1]
    return replace(
        command, argv=chosen.argv, directory=chosen.directory, environment=chosen.environment
    )


def _env(command: Peeled, arguments: Sequence[str]) -> Peeled:
    environment = dict(command.environment)
    directory = command.directory
    rest = list(arguments)
    while rest:
        word = rest[0]
        if found := _ASSIGNMENT.match(word):
            environment[found[1]] = found[2]
        elif word in ("-i", "-", "--ignore-environment"):
            environment = {}
        elif word in _ENV_VALUES and len(rest) > 1:
            if word in ("-u", "--unset"):
                environment.pop(rest[1], None)
            else:
                directory = os.path.normpath(os.path.join(directory, rest[1]))
            rest.pop(0)
        elif word.startswith("--unset="):
            environment.pop(word.partition("=")[2], None)
        elif word.startswith("--chdir="):
            directory = os.path.normpath(os.path.join(directory, word.partition("=")[2]))
        elif word in ("-S", "--split-string") and len(rest) > 1:
            rest[1:2] = rest[1].split()
        elif not word.startswith("-"):
            break
        rest.pop(0)
        if word == "--":
            break
    return replace(command, argv=tuple(rest), directory=directory, environment=environment)


def _switch_user(command: Peeled, arguments: Sequence[str]) -> Peeled:
    for number, argument in enumerate(arguments):
        if argument in ("-c", "--command") and number + 1 < len(arguments):
            return _script(command, arguments[number + 1])
        if argument.startswith("--command="):
            return _script(command, argument.partition("=")[2])
    values = frozenset({"-u", "--user", "-g", "--group", "-G", "-s", "--shell", "-w"})
    names_user = any(a in ("-u", "--user") for a in arguments)
    return replace(command, argv=_without_options(arguments, values, 0 if names_user else 1))


def _runner(command: Peeled, name: str, arguments: Sequence[str]) -> Peeled:
    """``uv run``, ``poetry run``, …: the command found in the project's virtualenv."""
    with_value = frozenset(_RUNNERS[name].split())
    place = arguments.index("run")
    options, rest = list(arguments[:place]), list(arguments[place + 1 :])
    module = False
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        if option in ("-m", "--module"):
            module = True
            break
        options.append(option)
        if option in with_value and rest:
            options.append(rest.pop(0))
    directory = command.directory
    project = directory
    for number, option in enumerate(options):
        key, equals, value = option.partition("=")
        value = value if equals else options[number + 1] if number + 1 < len(options) else ""
        if key in ("--directory", "-C") and name in ("uv", "poetry"):
            project = os.path.normpath(os.path.join(directory, value))
            directory = project if name == "uv" else directory
        elif key == "--project" or (key == "-p" and name in ("pdm", "hatch")):
            project = os.path.normpath(os.path.join(directory, value))
    environment = dict(command.environment)
    if prefix := _project_virtualenv(project, environment):
        environment["VIRTUAL_ENV"] = prefix
        environment["PATH"] = f"{prefix}/bin:{environment.get('PATH', '')}".rstrip(":")
    syncs = name == "uv" and not {"--no-sync", "--no-project"} & set(options)
    syncs = syncs and environment.get("UV_NO_SYNC", "").lower() not in ("1", "true", "yes")
    argv = ("python", "-m", *rest) if module else tuple(rest)
    return Peeled(argv, directory, environment, syncs or command.installs)


def _project_virtualenv(project: str, environment: dict[str, str]) -> str | None:
    named = environment.get("UV_PROJECT_ENVIRONMENT") or ".venv"
    directory = project
    for _ in range(_STEPS):
        prefix = os.path.normpath(os.path.join(directory, named))
        if files.exists(os.path.join(prefix, "pyvenv.cfg")):
            return prefix
        if directory == "/":
            break
        directory = os.path.dirname(directory)
    return environment.get("VIRTUAL_ENV")
