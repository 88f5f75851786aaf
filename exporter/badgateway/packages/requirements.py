"""Requirements files in pip's grammar."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from badgateway.packages import files

INCLUDES_LIMIT: Final = 100
_COMMENT: Final = re.compile(r"(?:^|\s+)#.*$")
_VARIABLE: Final = re.compile(r"\$\{[A-Z0-9_]+\}")
_NESTED: Final = re.compile(
    r"(-r|--requirement|-c|--constraint|-e|--editable)(?:\s*=\s*|\s+|(?<=-[rce]))(.+)\Z"
)
_OPTION: Final = re.compile(r"\s--?[A-Za-z]")
_URL: Final = re.compile(r"\w[\w+.-]*://|(?:git|hg|svn|bzr)\+")
_EGG: Final = re.compile(r"[#&]egg=([A-Za-z0-9._-]+)")
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?:\s*\[[^\]]*\])?")
_NAMED_URL: Final = re.compile(_NAME.pattern + r"\s*@")
_CODING: Final = re.compile(rb"coding[:=]\s*([-\w.]+)")
_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One requirement and the file that holds it.

    A path or URL has a ``name`` where one can be told and no ``requirement``.
    """

    file: str
    name: str
    requirement: Requirement | None = None
    marker: Marker | None = None
    constraint: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """What a requirements file and those it includes hold.

    ``problems`` are file and reason; the lines themselves are not repeated, they may hold
    passwords.
    """

    lines: tuple[Line, ...] = ()
    paths: tuple[str, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()


def read_requirements(path: str) -> Content:
    """Read a requirements file and the ones it includes; never raises."""
    reader = _Reader()
    reader.file(path, constraint=False)
    return Content(tuple(reader.lines), files.unique(reader.paths), tuple(reader.problems))


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield number and text of each line, continued ones joined and comments removed."""
    pending = ""
    begun = 0
    for number, line in enumerate(text.splitlines(), 1):
        begun = begun or number
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            pending += line[:-1]
            continue
        whole = _COMMENT.sub("", pending + (" " if comment else "") + line).strip()
        if whole:
            yield begun, whole
        pending, begun = "", 0
    rest = _COMMENT.sub("", pending).strip()
    if rest:
        yield begun, rest


def decode(content: bytes) -> str:
    """Decode as pip does: a byte order mark, a ``coding:`` comment, else UTF-8."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    for line in content.split(b"\n", 2)[:2]:
        found = _CODING.search(line) if line.startswith(b"#") else None
        if found:
            try:
                return content.decode(found[1].decode("ascii", "replace"), "replace")
            except (LookupError, ValueError):
                break
    return content.decode("utf-8", "replace")


@dataclass(slots=True)
class _Reader:
    lines: list[Line] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    seen: set[tuple[str, bool]] = field(default_factory=set)

    def file(self, path: str, *, constraint: bool) -> None:
        if (path, constraint) in self.seen:
            return
        self.seen.add((path, constraint))
        self.paths.append(path)
        if len(self.seen) > INCLUDES_LIMIT:
            self.problems.append((path, "too many files included"))
            return
        try:
            text = decode(files.read_bytes(path))
        except (OSError, ValueError) as error:
            self.problems.append((path, files.reason(error)))
            return
        for number, line in logical_lines(text):
            if not self.line(path, line, constraint=constraint):
                self.problems.append((path, f"line {number} cannot be read"))

    def line(self, path: str, line: str, *, constraint: bool) -> bool:
        """Take one logical line; return whether it was understood."""
        if found := _NESTED.match(line):
            option, argument = found[1], found[2].strip().strip("\"'")
            if option in ("-e", "--editable"):
                return self.place(path, argument, constraint=constraint)
            if "://" in argument or _VARIABLE.search(argument):
                return False
            inner = os.path.normpath(os.path.join(os.path.dirname(path), argument))
            self.file(inner, constraint=constraint or option in ("-c", "--constraint"))
            return True
        if line.startswith("-"):
            return True  # an option of pip's: an index, a hash mode
        text = _OPTION.split(line, maxsplit=1)[0].strip()
        if _VARIABLE.search(text):
            name = _NAME.match(text)
            if name is None or _URL.match(text):
                return False
            text = name[0]  # the version is whatever the installing shell said
        if _is_place(text):
            return self.place(path, text, constraint=constraint)
        try:
            requirement = Requirement(text)
        except (InvalidRequirement, RecursionError):
            return False
        name_ = canonicalize_name(requirement.name)
        self.lines.append(Line(path, name_, requirement, requirement.marker, constraint))
        return True

    def place(self, path: str, text: str, *, constraint: bool) -> bool:
        """Take a URL or directory: it has a name only where its text or its files say one."""
        where, _, condition = text.partition(" ;")
        try:
            marker = Marker(condition) if condition.strip() else None
        except InvalidMarker:
            return False
        where = where.strip()
        if _URL.match(where):
            name = _url_name(where)
        else:
            directory = os.path.join(os.path.dirname(path), where.partition("[")[0])
            name = _file_name(where) or _project_name(os.path.normpath(directory))
        if not name:
            return False
        self.lines.append(Line(path, canonicalize_name(name), None, marker, constraint))
        return True


def _is_place(text: str) -> bool:
    if _NAMED_URL.match(text):
        return False
    return (
        bool(_URL.match(text))
        or text.startswith((".", "/"))
        or text.partition(" ;")[0].endswith((".whl", ".tar.gz", ".zip"))
    )


def _url_name(url: str) -> str:
    found = _EGG.search(url)
    return found[1] if found else _file_name(url.partition("#")[0].partition("?")[0])


def _file_name(path: str) -> str:
    base = os.path.basename(path)
    try:
        if base.endswith(".whl"):
            return parse_wheel_filename(base)[0]
        if base.endswith((".tar.gz", ".zip")):
            return parse_sdist_filename(base)[0]
    except (InvalidWheelFilename, InvalidSdistFilename, ValueError):
        pass
    return ""


def _project_name(directory: str) -> str:
    try:
        text = files.read_bytes(os.path.join(directory, "pyproject.toml")).decode("utf-8")
        project = tomllib.loads(text).get("project")
    except (OSError, ValueError, RecursionError):
        return ""
    name = project.get("name") if isinstance(project, dict) else None
    return name if isinstance(name, str) else ""
