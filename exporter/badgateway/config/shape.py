"""The schema taken apart: which keys a mapping has, and of which type each is."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from badgateway.config.schema import Config


@dataclass(frozen=True, slots=True)
class Type:
    """A type without its wrapping.

    Attributes:
        core: a class, or ``tuple``, ``dict`` and ``Literal`` with their arguments.
        metas: what constrains and describes it, the outermost last.
    """

    core: Any
    metas: tuple[Meta, ...] = ()

    @property
    def struct(self) -> type[Struct] | None:
        """The class, if it is a mapping with keys of its own."""
        found = isinstance(self.core, type) and issubclass(self.core, Struct)
        return self.core if found else None

    @property
    def inner(self) -> Type | None:
        """The type of a list's items or of a dict's values."""
        origin, arguments = get_origin(self.core), get_args(self.core)
        if origin is tuple:
            return unwrapped(arguments[0])
        return unwrapped(arguments[1]) if origin is dict else None

    def bound(self, name: str) -> Any:
        """Return a constraint such as ``ge`` or ``pattern``, None without it."""
        found = [getattr(meta, name) for meta in self.metas]
        return next((value for value in found if value is not None), None)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a mapping; ``default`` is meaningless where it is required."""

    name: str
    type: Type
    required: bool
    default: Any


def unwrapped(annotation: Any) -> Type:
    """Return an annotation's type without ``Annotated`` and ``None``."""
    if get_origin(annotation) is Annotated:
        inner = unwrapped(annotation.__origin__)
        metas = tuple(m for m in annotation.__metadata__ if isinstance(m, Meta))
        return Type(inner.core, (*inner.metas, *metas))
    if get_origin(annotation) in (Union, types.UnionType):
        (left,) = (one for one in get_args(annotation) if one is not type(None))
        return unwrapped(left)
    return Type(annotation)


@functools.cache
def keys(struct: type[Struct]) -> Mapping[str, Key]:
    """Return a mapping's keys in their order."""
    hints = get_type_hints(struct, include_extras=True)
    found = {}
    for field in msgspec.structs.fields(struct):
        default = field.default
        if default is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        name = field.encode_name
        found[name] = Key(name, unwrapped(hints[field.name]), field.required, default)
    return types.MappingProxyType(found)


def at(steps: Sequence[str | int]) -> Type | None:
    """Return the type at a path from the top, None where the schema has none."""
    found: Type | None = Type(Config)
    for step in steps:
        if found is None:
            return None
        if found.struct is not None and isinstance(step, str):
            key = keys(found.struct).get(step)
            found = key.type if key else None
        else:
            found = found.inner
    return found
