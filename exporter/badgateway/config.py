"""The configuration file: strict YAML, every key typed, nothing needed to start.

``load`` reads a file into ``Config``. Whatever is wrong comes as ``ConfigError``, which names the
file, the line, the key's path and what is allowed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
import yaml
from msgspec import Meta, Struct

DURATION: Final = re.compile(r"^(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$")
SIZE_LIMIT: Final = 4 * 1024 * 1024

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,63}$")]
Status = Annotated[int, Meta(ge=100, le=599)]


class Duration(float):
    """Seconds, written like ``5s``, ``1m30s`` or ``250ms``."""


class ConfigError(Exception):
    """The configuration cannot be used; one problem for each line of the text."""


class _Base(Struct, frozen=True, forbid_unknown_fields=True, rename=None):
    pass


class Log(_Base, frozen=True):
    """A log to read: exactly one of the two.

    Attributes:
        file: path of a log file.
        journal: name of a systemd unit whose journal is read.
    """

    file: str | None = None
    journal: str | None = None

    def __post_init__(self) -> None:
        if (self.file is None) == (self.journal is None):
            raise ValueError("give either `file` or `journal`")


class Expect(_Base, frozen=True):
    """What a probe's answer must be.

    Attributes:
        status: statuses that are right; without it everything but 502, 503 and 504 is.
        body: text that the body's first 64 KiB must hold.
    """

    status: tuple[Status, ...] = ()
    body: str | None = None


class Probe(_Base, frozen=True):
    """A URL to ask regularly.

    Attributes:
        name: the ``probe`` label.
        url: ``http://`` or ``https://``.
        vantage: from where it looks: ``edge``, ``proxy`` or ``origin``.
        expect: what the answer must be.
        headers: request headers to send along.
        verify: whether the certificate must be valid.
    """

    name: Name
    url: Annotated[str, Meta(pattern=r"^https?://[^\s]+$")]
    vantage: Literal["edge", "proxy", "origin"] = "edge"
    expect: Expect = Expect()
    headers: dict[str, str] = {}
    verify: bool = True


class Probes(_Base, frozen=True):
    """How probes run.

    Attributes:
        enabled: False switches every probe off.
        default: False leaves only the probes written in the configuration.
        interval: between two probes of one URL.
        timeout: after which a probe has failed.
        path: path the default probes ask for.
    """

    enabled: bool = True
    default: bool = True
    interval: Duration = Duration(5)
    timeout: Duration = Duration(3)
    path: Annotated[str, Meta(pattern=r"^/[^\s]*$")] = "/"


class Backend(_Base, frozen=True):
    """An application behind a proxy. What is not given is discovered.

    Attributes:
        name: the ``backend`` label.
        unit: its systemd unit.
        command: its command line, where no unit has it.
        working_directory: where the command runs.
        upstreams: addresses at which proxies reach it, ``host:port`` or ``unix:/path``.
        project: directory of its pyproject.toml or requirements.txt.
        virtualenv: its virtualenv.
        extras: extras it is installed with.
        logs: its logs, beside its unit's journal.
        probes: URLs to ask regularly.
    """

    name: Name
    unit: str | None = None
    command: tuple[str, ...] = ()
    working_directory: str | None = None
    upstreams: tuple[str, ...] = ()
    project: str | None = None
    virtualenv: str | None = None
    extras: tuple[str, ...] = ()
    logs: tuple[Log, ...] = ()
    probes: tuple[Probe, ...] = ()


class Proxy(_Base, frozen=True):
    """A reverse proxy. What is not given is discovered.

    Attributes:
        name: the ``proxy`` label.
        kind: which program it is.
        unit: its systemd unit.
        admin: its admin API, ``http://host:port`` or ``unix:/path``; an empty string means none.
        config: its configuration file.
        logs: its logs, beside its unit's journal.
    """

    name: Name
    kind: Literal["caddy"]
    unit: str | None = None
    admin: str | None = None
    config: str | None = None
    logs: tuple[Log, ...] = ()


class Discovery(_Base, frozen=True):
    """What is looked for on this host.

    Attributes:
        enabled: False watches only what the configuration names.
        interval: between two looks for new units and changed proxy configurations.
        run_proxy_adapter: whether the proxy's own adapter may be run on its configuration file.
    """

    enabled: bool = True
    interval: Duration = Duration(15)
    run_proxy_adapter: bool = True


class Config(_Base, frozen=True):
    """The whole file.

    Attributes:
        environment: the ``environment`` label of ``badgateway_backend_info``.
        discovery: what is looked for.
        probes: how probes run.
        backends: applications to watch, beside those discovered.
        proxies: proxies to watch, beside those discovered.
    """

    environment: Annotated[str, Meta(max_length=64)] = ""
    discovery: Discovery = Discovery()
    probes: Probes = Probes()
    backends: tuple[Backend, ...] = ()
    proxies: tuple[Proxy, ...] = ()


def load(path: Path | None) -> Config:
    """Return the configuration in ``path``, or the defaults without one.

    Raises:
        ConfigError: it cannot be read or is not right.
    """
    if path is None:
        return Config()
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise ConfigError(f"{path}: larger than {SIZE_LIMIT // 1024 // 1024} MiB")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8") from None
    return parse(text, str(path))


def parse(text: str, name: str = "configuration") -> Config:
    """Return the configuration in ``text``; ``name`` is used in errors.

    Raises:
        ConfigError: it is not right.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{name}{where}: not valid YAML: {problem}") from None
    if node is None:
        return Config()
    duplicates = [
        f"{name}:{key.start_mark.line + 1}:{key.start_mark.column + 1}: "
        f"`{key.value}` is given twice"
        for key in _duplicates(node)
    ]
    if duplicates:
        raise ConfigError("\n".join(duplicates))
    try:
        plain = yaml.safe_load(text)
        return msgspec.convert(plain, Config, dec_hook=_decode, strict=True)
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{name}: not valid YAML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), node, name)) from None


def seconds(text: str) -> float:
    """Return the seconds in a duration such as ``1m30s``.

    Raises:
        ValueError: not a duration, or nothing.
    """
    match = DURATION.match(text)
    if not match or not any(match.groups()):
        raise ValueError(f"`{text}` is no duration; write it like 5s, 1m30s or 250ms")
    hours, minutes, whole, milliseconds = (int(group or 0) for group in match.groups())
    return hours * 3600 + minutes * 60 + whole + milliseconds / 1000


def _decode(kind: type, value: object) -> object:
    if kind is Duration:
        if not isinstance(value, str):
            raise ValueError(f"`{value}` is no duration; write it like 5s, 1m30s or 250ms")
        found = seconds(value)
        if found <= 0:
            raise ValueError("a duration must be longer than nothing")
        return Duration(found)
    raise NotImplementedError(kind)


def _duplicates(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key
                seen.add(key.value)
            yield from _duplicates(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicates(item)


_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>\$[^`]*)`)?$", re.S)
_UNKNOWN: Final = re.compile(r"^Object contains unknown field `(?P<key>.*)`$", re.S)
_STEP: Final = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


def _explain(message: str, root: yaml.Node, name: str) -> str:
    """Say where the problem is and what is allowed there."""
    found = _AT.match(message)
    assert found is not None
    what, steps = found["what"], _STEP.findall(found["path"] or "$")
    unknown = _UNKNOWN.match(what)
    if unknown:
        steps.append((unknown["key"], ""))
    mark, shown = _locate(root, steps)
    if unknown:
        allowed = _fields(steps[:-1])
        near = difflib.get_close_matches(unknown["key"], allowed, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else ""
        what = f"unknown key{hint} allowed: {', '.join(allowed)}" if hint else (
            f"unknown key; allowed: {', '.join(allowed)}"
        )  # fmt: skip
    elif what.startswith("Invalid enum value"):
        what += f"; allowed: {', '.join(_choices(steps))}"
    return f"{name}:{mark.line + 1}:{mark.column + 1}: {shown or 'the file'}: {what}"


def _locate(root: yaml.Node, steps: list[tuple[str, str]]) -> tuple[Any, str]:
    node, mark, shown = root, root.start_mark, ""
    for key, index in steps:
        if key:
            shown = f"{shown}.{key}" if shown else key
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            for name, value in pairs:
                if name.value == key:
                    node, mark = value, name.start_mark
                    break
        else:
            shown += f"[{index}]"
            if isinstance(node, yaml.SequenceNode) and index.isdigit():
                node = node.value[int(index)]
                mark = node.start_mark
    return mark, shown


def _fields(steps: list[tuple[str, str]]) -> list[str]:
    """The keys allowed at a path."""
    kind = _struct(steps)
    return [field.encode_name for field in msgspec.structs.fields(kind)] if kind else []


def _choices(steps: list[tuple[str, str]]) -> list[str]:
    """The values allowed at a path."""
    kind = _struct(steps[:-1])
    for field in msgspec.structs.fields(kind) if kind else ():
        if field.encode_name == steps[-1][0]:
            return [str(value) for value in get_args(field.type)]
    return []


def _struct(steps: list[tuple[str, str]]) -> Any:
    """The type of the mapping at a path, or None."""
    kind: Any = Config
    for key, _ in steps:
        if key:
            fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
            found = fields.get(key)
            kind = next(
                (
                    candidate
                    for candidate in (found, *get_args(found))
                    if isinstance(candidate, type) and issubclass(candidate, Struct)
                ),
                None,
            )
            if kind is None:
                return None
    return kind
