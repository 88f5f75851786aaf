"""What starting an application imports: the shape of the answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from badgateway.packages.imports import Level
from badgateway.packages.resolver import Location


@dataclass(frozen=True, slots=True)
class Edge:
    """Who imports something: module (empty for the start command), file and line."""

    importer: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        return f"{self.importer}:{self.line}" if self.line else self.importer


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A file reached at start that does not parse."""

    file: str
    line: int
    message: str
    edge: Edge


@dataclass(slots=True)
class Closure:
    """What the walk found.

    Attributes:
        missing: module → who imports it so that its absence keeps the application from loading,
            in the order a start would meet them.
        unparsed: module → file with a syntax error, likewise.
        modules: module → where it was found.
        levels: module → the most pressing level at which it is imported.
        used: module as imported by the project's own code, at any time but without a guard →
            who imports it.
        extensions: files of extension modules loaded at start.
        own_files: the project's own source files reached.
        own_unread: own files that could not be read, and why.
        denied: files that may not be read.
        uncertain: why something missing may be found all the same; empty when it cannot.
        lenient: top-level modules that change the path while they load: what they miss may be
            theirs.
        incomplete: why the walk ended early; empty when it did not.
    """

    missing: dict[str, Edge] = field(default_factory=dict)
    unparsed: dict[str, Unparsed] = field(default_factory=dict)
    modules: dict[str, Location] = field(default_factory=dict)
    levels: dict[str, Level] = field(default_factory=dict)
    used: dict[str, Edge] = field(default_factory=dict)
    extensions: list[str] = field(default_factory=list)
    own_files: dict[str, None] = field(default_factory=dict)
    own_unread: dict[str, str] = field(default_factory=dict)
    denied: dict[str, str] = field(default_factory=dict)
    uncertain: str = ""
    lenient: set[str] = field(default_factory=set)
    incomplete: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """What a start loads: module of the application, the script, ``-m``, the server, by name."""

    entry: str = ""
    script: str = ""
    module: str = ""
    server: str = ""
    loads: tuple[str, ...] = ()
