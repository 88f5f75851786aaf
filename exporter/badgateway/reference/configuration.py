"""The page about the configuration file, made of its schema."""

from __future__ import annotations

import inspect
from typing import Any, Literal, get_args, get_origin

import yaml

from badgateway.config import shape
from badgateway.config.keytypes import ABSOLUTE, UNIT
from badgateway.config.problems import PROBLEMS_LIMIT
from badgateway.config.reading import SIZE_LIMIT
from badgateway.config.shape import Key, Type
from badgateway.config.tree import VALUES_LIMIT
from badgateway.config.values import Duration, Secret, SecretFile
from badgateway.reference import keys
from badgateway.reference.keys import Section
from badgateway.reference.markdown import anchor, code, table

_HEAD = f"""\
# Configuration

Generated from the schema by `python -m badgateway.reference`; do not edit.

`badgateway serve --config.file=PATH` reads one YAML file. Nothing in it is needed to start: what
is not given is discovered. A complete example is `deploy/badgateway.example.yml`.

The file is strict: an unknown key, a key given twice, a key without a value or a value of another
type keeps it from being used. Every problem is told at once (the first {PROBLEMS_LIMIT}), in the
order of the file, as `file:line:column: key.path: what; allowed: …; did you mean …?`. Only a text
that is no YAML at all ends with its first error: what follows cannot be read.

- It is a regular file in UTF-8 of at most {SIZE_LIMIT // 1024 // 1024} MiB, one document, indented
  with spaces.
- Text that YAML takes for something else (`on`, `no`, `8001`, `2026-11-21`) is put in quotes.
- Anchors, aliases and merges (`<<`) may be used, for up to {VALUES_LIMIT} values in all.
- A duration is written like `5s`, `1m30s` or `250ms`; it is at least 1 ms and at most a week.
- A path is absolute; `~` and variables are not expanded. Only paths of secrets may be relative:
  to the directory of the configuration file.
- A secret is never shown again: not in errors, logs, metrics or the page. One in a file is read
  anew at each use, so it can be replaced at any time. While it cannot be read, its probe asks
  nothing: it fails with the reason `configuration`, the log names the file, and nothing is
  concluded from it; `GatewayProbeStalled` warns of it.
- URLs with a user or password are refused: use `basic_auth`.
"""


def page() -> str:
    """Return the page as Markdown."""
    return _HEAD + "".join(_section(section) for section in keys.sections())


def _title(section: Section) -> str:
    return ", ".join(code(path) if path else "Top level" for path in section.paths)


def _section(section: Section) -> str:
    rows = []
    for key in shape.keys(section.struct).values():
        example = keys.example(key)
        rows.append(
            (
                code(key.name),
                _type(key),
                "required" if key.required else _default(key),
                "" if example is None else code(flow(example)),
                keys.description(key),
            )
        )
    text = f"\n## {_title(section)}\n\n{inspect.getdoc(section.struct)}\n\n"
    text += table(("Key", "Type", "Default", "Example", "Meaning"), rows)
    for number, path in enumerate(section.paths):
        for value in list(keys.variants(section.struct))[: 1 if number else None]:
            text += f"\n```yaml\n{block(keys.document(path, value))}```\n"
    return text


def flow(value: Any) -> str:
    """Return a value as YAML in one line."""
    text = yaml.safe_dump(
        value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("...\n").strip()


def block(value: Any) -> str:
    """Return a value as YAML, lists and mappings of scalars in one line."""
    text = yaml.safe_dump(
        value, default_flow_style=None, width=100, allow_unicode=True, sort_keys=False
    )
    return text.removeprefix("{").replace("}\n", "\n") if text.startswith("{") else text


def _default(key: Key) -> str:
    value = key.default
    if isinstance(value, Duration):
        return code(f"{value:g}s")
    if key.type.struct is not None and value is not None:
        return "its own defaults"
    if value is None or value in ((), {}):
        return "none"
    return code(flow(value)) if value != "" else "empty"


def _type(key: Key) -> str:
    unit = keys.noted(key, "unit")
    return _named(key.type, key) + (f", {unit}" if unit else "")


def _named(kind: Type, key: Key) -> str:
    core, inner = kind.core, kind.inner
    if get_origin(core) is Literal:
        return "one of " + ", ".join(code(value) for value in get_args(core))
    if inner is not None and get_origin(core) is tuple:
        return f"list of {_named(inner, key)}"
    if inner is not None:
        return f"mapping of header names to {_named(inner, key)}"
    if kind.struct is not None:
        section = next(s for s in keys.sections() if s.struct is kind.struct)
        return f"[mapping]({anchor(_title(section))})"
    names = {Duration: "duration", Secret: "secret", SecretFile: "path of a secret"}
    names |= {bool: "`true` or `false`"}
    if core is int:
        return f"whole number, {kind.bound('ge')} to {kind.bound('le')}"
    patterns = {ABSOLUTE: "absolute path", UNIT: "systemd unit"}
    return names.get(core) or patterns.get(kind.bound("pattern"), "text")
