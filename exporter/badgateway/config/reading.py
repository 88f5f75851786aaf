"""Reading a configuration file: every problem of it is told at once."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Final

import msgspec

from badgateway import regularfile
from badgateway.config import explain
from badgateway.config.checks import check
from badgateway.config.problems import PROBLEMS_LIMIT, ConfigError, Place, Problem, refuse
from badgateway.config.schema import Config
from badgateway.config.tree import Item, grow
from badgateway.config.values import CONTROL, Duration, Secret, SecretFile, seconds

SIZE_LIMIT: Final = 1024 * 1024


def load(path: Path | None) -> Config:
    """Return the configuration in ``path``, or the defaults without one.

    Raises:
        ConfigError: it cannot be read or is not right; every problem is told.
    """
    if path is None:
        return Config()
    return parse(_text(path), str(path), path.parent)


def parse(text: str, name: str = "configuration", directory: Path | None = None) -> Config:
    """Return the configuration in ``text``.

    Args:
        text: YAML.
        name: the file's, for errors.
        directory: where relative paths of secrets begin; the working directory without one.

    Raises:
        ConfigError: it is not right; every problem is told.
    """
    root, problems = grow(text)
    if root is None:
        if problems:
            raise refuse(name, problems)
        return Config()
    hook = functools.partial(_decode, (directory or Path()).absolute())
    config = _convert(root, problems, functools.partial(msgspec.convert, dec_hook=hook))
    problems += check(config, root)
    if problems:
        raise refuse(name, problems)
    return config


def _convert(root: Item, problems: list[Problem], convert: explain.Convert) -> Config:
    """Return what can be used of the tree; what cannot is dropped from it and becomes a problem.

    msgspec stops at the first error: without its cause it is asked again, until it is content.
    """
    problem = explain.top(root)
    if problem is not None:
        problems.append(problem)
        return Config()
    for _ in range(2 * PROBLEMS_LIMIT):  # some only follow from others and are not told
        if len(problems) > PROBLEMS_LIMIT:
            break
        try:
            config: Config = convert(root.plain(), Config)
            return config
        except msgspec.ValidationError as error:
            problem = explain.explain(str(error), root, convert)
            if problem is not None:
                problems.append(problem)
    assert problems
    return Config()


def _decode(directory: Path, kind: type, value: object) -> object:
    """Make what msgspec has no type for; called by it."""
    if kind is Duration:
        return Duration(seconds(value if isinstance(value, str) else ""))
    if kind in (Secret, SecretFile):
        if not isinstance(value, str) or not value:
            raise ValueError("must not be empty")
        if CONTROL.search(value):
            raise ValueError("holds a line end or another control character")
        return Secret(value) if kind is Secret else SecretFile(directory / value)
    raise NotImplementedError(kind)


def _text(path: Path) -> str:
    """Return a file's text.

    Raises:
        ConfigError: it is no text that can be read.
    """
    try:
        data, _ = regularfile.read(path, SIZE_LIMIT)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}{_remedy(error)}") from None
    except ValueError:
        raise ConfigError(f"{str(path)!r}: is no path") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8-sig", "replace")) + 1
        place = Place(before.count(b"\n") + 1, column, "")
        found = "is UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "is not UTF-8 here"
        raise refuse(str(path), [Problem(place, f"{found}; save it as UTF-8")]) from None


def _remedy(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"; the exporter runs with the user id {os.geteuid()}, which may not read it"
    return ""
