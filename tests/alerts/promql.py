"""Reads PromQL against the catalogue: which labels can an expression return, what does not exist.

Prometheus itself accepts any name: a misspelt metric or label is an alert that never fires, or a
page with a hole where the backend's name should be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import promql_parser

from badgateway import vocabulary
from badgateway.catalogue import BY_NAME, CLOSED, PREFIX, Metric

TARGET_LABELS = frozenset(("job", "instance"))
FOREIGN = {
    "up": TARGET_LABELS,
    "ALERTS": TARGET_LABELS | {"alertname", "alertstate", "backend"},
    "ALERTS_FOR_STATE": TARGET_LABELS | {"alertname", "backend"},
}
"""Series that Prometheus makes, with their labels as far as the rules use them."""

_CLOSED_ELSEWHERE = {"vantage": frozenset(vocabulary.PROBE_VANTAGES)}


@dataclass
class Reading:
    """What was found while reading one expression."""

    records: Mapping[str, frozenset[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)


def read(expression: str, records: Mapping[str, frozenset[str]]) -> tuple[frozenset[str], Reading]:
    """Return the labels that ``expression`` can return, and what was found on the way.

    ``records`` holds the labels of recording rules. Raises ValueError for what does not parse.
    """
    reading = Reading(records)
    return _labels(promql_parser.parse(expression), reading), reading


def nodes(node: Any, parents: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yield every node of a parsed expression with its parents, outermost first."""
    yield node, parents
    for child in _children(node):
        yield from nodes(child, (*parents, node))


def kind(node: Any) -> str:
    """Return the name of a node's class."""
    return type(node).__name__


def _children(node: Any) -> list[Any]:
    match kind(node):
        case "BinaryExpr":
            return [node.lhs, node.rhs]
        case "AggregateExpr" | "ParenExpr" | "UnaryExpr" | "SubqueryExpr":
            return [node.expr]
        case "MatrixSelector":
            return [node.vector_selector]
        case "Call":
            return list(node.args)
        case _:
            return []


def _labels(node: Any, reading: Reading) -> frozenset[str]:
    match kind(node):
        case "VectorSelector":
            return _selected(node, reading)
        case "Call":
            return _called(node, reading)
        case "AggregateExpr":
            return _aggregated(node, reading)
        case "BinaryExpr":
            return _combined(node, reading)
        case "NumberLiteral" | "StringLiteral":
            return frozenset()
        case _:
            (inner,) = _children(node)
            return _labels(inner, reading)


def _catalogued(name: str) -> tuple[Metric | None, frozenset[str]]:
    """The metric that a name is of, and the labels it has under that name."""
    bare = name.removeprefix(PREFIX) if name.startswith(PREFIX) else ""
    metric = BY_NAME.get(bare)
    if metric is not None:
        return metric, frozenset(metric.labels)
    for suffix, more in (("_bucket", {"le"}), ("_sum", set[str]()), ("_count", set[str]())):
        metric = BY_NAME.get(bare.removesuffix(suffix)) if bare.endswith(suffix) else None
        if metric is not None and metric.kind == "histogram":
            return metric, frozenset(metric.labels) | more
    return None, frozenset()


def _selected(node: Any, reading: Reading) -> frozenset[str]:
    name = node.name or ""
    reading.metrics.add(name)
    metric, labels = _catalogued(name)
    if metric is not None:
        labels |= TARGET_LABELS
    elif name in FOREIGN:
        labels = FOREIGN[name]
    elif name in reading.records:
        labels = reading.records[name]
    else:
        reading.faults.append(f"no such metric: {name}")
        return frozenset()
    for matcher in node.matchers.matchers:
        if matcher.name not in labels:
            reading.faults.append(f"{name} has no label {matcher.name}")
        closed = _CLOSED_ELSEWHERE.get(matcher.name)
        if metric is not None:
            closed = CLOSED.get((metric.name, matcher.name), closed)
        if closed is not None and not matcher.value.startswith("$"):
            unknown = set(matcher.value.split("|")) - closed
            reading.faults += [f"{name}: no {matcher.name} is {value}" for value in unknown]
    return labels


def _called(node: Any, reading: Reading) -> frozenset[str]:
    found = [_labels(argument, reading) for argument in node.args]
    if node.func.name == "absent":
        return frozenset(one.name for one in node.args[0].matchers.matchers)
    if node.func.name == "label_replace":
        return found[0] | {node.args[1].val}
    return found[0] if found else frozenset()


def _aggregated(node: Any, reading: Reading) -> frozenset[str]:
    inner = _labels(node.expr, reading)
    if str(node.op) in ("topk", "bottomk"):
        return inner
    named = frozenset(node.modifier.labels) if node.modifier else frozenset()
    reading.faults += [f"by ({label}): never there" for label in named - inner]
    without = node.modifier is not None and "Without" in str(node.modifier.type)
    return inner - named if without else named


def _combined(node: Any, reading: Reading) -> frozenset[str]:
    left, right = _labels(node.lhs, reading), _labels(node.rhs, reading)
    matching = node.modifier.matching if node.modifier else None
    on = frozenset(matching.labels) if matching is not None else frozenset()
    if _is_scalar(node.lhs) or _is_scalar(node.rhs):
        return left | right
    reading.faults += [f"on ({label}): not on both sides" for label in on - (left & right)]
    match str(node.op):
        case "or":
            return left | right
        case "and" | "unless":
            return left
        case _ if node.modifier is not None and "Many" in str(node.modifier.card):
            return left
        case _ if matching is not None:
            return on
        case _:
            return left


def _is_scalar(node: Any) -> bool:
    if kind(node) == "ParenExpr":
        return _is_scalar(node.expr)
    if kind(node) == "BinaryExpr":
        return _is_scalar(node.lhs) and _is_scalar(node.rhs)
    return kind(node) == "NumberLiteral" or (
        kind(node) == "Call" and node.func.name in ("time", "vector")
    )
