"""YAML as a tree that remembers where each value stands.

Anchors and aliases are expanded, up to a bound: a few lines of them can otherwise name billions of
values. What YAML knows and a configuration does not (other tags, keys without a value, keys given
twice) is a ``Bad`` value or a problem, with its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from badgateway.config.problems import Place, Problem, shown_key

VALUES_LIMIT: Final = 50_000
_TAG: Final = "tag:yaml.org,2002:"
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_UNSAYABLE: Final = re.compile(r"[\ud800-\udfff`]")
"""What no key holds: msgspec cannot take the first, and tells keys apart by the backtick."""
_HALF: Final = "holds half a character (a surrogate); write it as it is, or as \\U and 8 digits"


@dataclass(frozen=True, slots=True)
class Bad:
    """A value that fits no key; ``what`` says why."""

    what: str


@dataclass(slots=True, eq=False)
class Item:
    """One value.

    Attributes:
        place: where it, or its key, stands; its path in the file as written.
        content: a scalar, a list of items, or a mapping from keys to items.
        written: a scalar as written, empty for others.
        keys: where each key of a mapping stands.
        dropped: keys left out because something was wrong with them.
    """

    place: Place
    content: Any
    written: str = ""
    keys: dict[str, Place] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)

    def plain(self) -> Any:
        """Return the value as lists, dicts and scalars."""
        if isinstance(self.content, dict):
            return {key: item.plain() for key, item in self.content.items()}
        if isinstance(self.content, list):
            return [item.plain() for item in self.content]
        return self.content

    def child(self, step: str | int) -> Item | None:
        """Return the item at a key or position."""
        if isinstance(self.content, dict) and isinstance(step, str):
            return self.content.get(step)
        if isinstance(self.content, list) and isinstance(step, int):
            return self.content[step] if step < len(self.content) else None
        return None

    def drop(self, step: str | int) -> None:
        """Leave out the item at a key or position."""
        del self.content[step]
        if isinstance(step, str):
            self.dropped.add(step)


def grow(text: str) -> tuple[Item | None, list[Problem]]:
    """Return the tree of ``text``, None when it is empty, and what is wrong with it as YAML.

    The problems of a text that is no YAML at all end with the first: what follows cannot be read.
    """
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None or _is_null(node):
            return None, []
        if _size(node) > VALUES_LIMIT:
            what = f"more than {VALUES_LIMIT} values, aliases written out; use fewer aliases"
            return None, [Problem(_place(node, ""), what)]
        growth = _Growth(loader)
        return growth.item(node, "", _place(node, "")), growth.problems
    except RecursionError:
        return None, [Problem(Place(1, 1, ""), "nested too deeply")]
    except yaml.YAMLError as error:
        return None, [_syntax(error, text)]
    finally:
        if loader is not None:
            loader.dispose()


class _Growth:
    def __init__(self, loader: yaml.SafeLoader) -> None:
        self._loader = loader
        self.problems: list[Problem] = []

    def item(self, node: yaml.Node, path: str, place: Place) -> Item:
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, path, place)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            content = []
            for number, child in enumerate(node.value):
                below = f"{path}[{number}]"
                content.append(self.item(child, below, _place(child, below)))
            return Item(place, content)
        if isinstance(node, yaml.ScalarNode):
            return Item(place, self._scalar(node), node.value)
        return Item(place, Bad("has a YAML tag (it begins with !) that has no meaning here"))

    def _mapping(self, node: yaml.MappingNode, path: str, place: Place) -> Item:
        item = Item(place, {})
        for key, value in self._pairs(node):
            if not isinstance(key, yaml.ScalarNode):
                self.problems.append(Problem(_place(key, path), "a key must be text"))
                continue
            name = key.value
            if _UNSAYABLE.search(name):
                self.problems.append(Problem(_place(key, path), "a key holds a sign that none has"))
                continue
            below = f"{path}.{shown_key(name)}" if path else shown_key(name)
            here = _place(key, below)
            if name in item.keys:
                first = item.keys[name].line
                self.problems.append(Problem(here, f"is given twice; first in line {first}"))
                continue
            item.keys[name] = here
            item.content[name] = self.item(value, below, here)
        return item

    def _pairs(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """Yield the pairs written here, then those merged in (``<<``) that they leave open."""
        merged: list[tuple[yaml.Node, yaml.Node]] = []
        own: set[str] = set()
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                merged += self._merged(value)
            else:
                own.add(key.value if isinstance(key, yaml.ScalarNode) else "")
                yield key, value
        for key, value in merged:
            if isinstance(key, yaml.ScalarNode) and key.value not in own:
                own.add(key.value)
                yield key, value

    def _merged(self, node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        pairs: list[tuple[yaml.Node, yaml.Node]] = []
        for source in sources:
            if isinstance(source, yaml.MappingNode):
                pairs += self._pairs(source)
            else:
                self.problems.append(Problem(_place(source, "<<"), "merges a mapping only"))
        return pairs

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind in ("str", "value", "merge"):
            return Bad(_HALF) if _SURROGATE.search(node.value) else node.value
        if kind == "null":
            return Bad("has no value; give it one or remove the key")
        if kind == "timestamp":
            return Bad("is a date to YAML; put it in quotes")
        if kind not in ("int", "float", "bool"):
            return Bad("has a YAML tag (it begins with !) that has no meaning here")
        try:
            return self._loader.construct_object(node)
        except (ValueError, yaml.YAMLError, KeyError, IndexError):
            return Bad("is not what its YAML tag says")


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}null"


def _size(root: yaml.Node) -> int:
    """Return how many values a node stands for, aliases written out.

    Raises:
        yaml.YAMLError: it holds itself.
    """
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node))
        if known == 0:
            raise yaml.MarkedYAMLError(
                problem="an alias names what it stands in", problem_mark=node.start_mark
            )
        if known is None:
            sizes[id(node)] = 0
            children = [] if isinstance(node, yaml.ScalarNode) else node.value
            known = 1
            for child in children:
                pair = child if isinstance(child, tuple) else (child,)
                known += sum(size(one) for one in pair)
            sizes[id(node)] = known
        return known

    return size(root)


def _place(node: yaml.Node, path: str) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1, path)


_SAYINGS: Final = (
    (r"character '\\t'", "a tab where YAML wants spaces; indent with spaces"),
    (r"^but found another document", "a second document; a configuration is one, without `---`"),
    (r"undefined alias", "an alias without its anchor; a value that begins with * needs quotes"),
    (r"duplicate anchor", "an anchor given twice"),
    (r"cannot start any token", "a character that begins no value; put the value in quotes"),
    (r"could not find expected ':'", "a key without its colon"),
    (r"mapping values are not allowed", "a colon where no key can be; quote the value or indent"),
    (r"found unexpected end of stream", "a quote or bracket is not closed"),
    (r"unknown escape character", "an unknown escape in double quotes; use single quotes"),
    (r"expected ',' or '[]}]'", "a bracket is not closed, or a comma is missing"),
    (r"expected <block end>", "indented unlike the lines above"),
    (r"undefined tag handle", "a YAML tag (it begins with !) that has no meaning here"),
    (r"names what it stands in", "an alias names what it stands in"),
)
"""What PyYAML says → what it means. Its own words may quote a value, and so a secret."""


def _syntax(error: yaml.YAMLError, text: str) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return Problem(Place(line, column, ""), "a control character, which YAML does not allow")
    mark = getattr(error, "problem_mark", None)
    if mark is None or mark.index >= len(text.rstrip()):
        mark = getattr(error, "context_mark", None) or mark  # what was never closed
    place = Place(mark.line + 1, mark.column + 1, "") if mark else Place(1, 1, "")
    said = getattr(error, "problem", None) or ""
    meant = next((words for pattern, words in _SAYINGS if re.search(pattern, said)), "")
    if not meant:
        meant = re.sub(r"(?s)'(?!<)[^']{2,}'|\"[^\"]{2,}\"", "…", said)[:120]
    return Problem(place, f"not valid YAML: {meant}")
