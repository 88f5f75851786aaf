"""What a check finds, by keys; its place in the file is looked up afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from badgateway.config.problems import Problem
from badgateway.config.tree import Item

Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong.

    Attributes:
        steps: the mapping it is wrong in, from the top.
        key: the key, or key and position, it is told at; the mapping itself without one.
        what: what is wrong; never holds a secret.
        about: keys of the mapping it depends on; were one of them refused, it is not told.
    """

    steps: Steps
    key: Steps
    what: str
    about: tuple[str, ...] = ()


def located(finding: Finding, root: Item) -> Problem | None:
    """Return a finding with its place, None where it only follows from another problem."""
    item = _item(root, finding.steps)
    if item.dropped.intersection(finding.about):
        return None
    where = _item(item, finding.key)
    if where is item and finding.key:  # by default: what it contradicts is written
        where = next((child for key in finding.about if (child := item.child(key))), item)
    return Problem(where.place, finding.what)


def _item(item: Item, steps: Steps) -> Item:
    """Return the item that steps lead to, or the last that is there: defaults are not written."""
    for step in steps:
        child = item.child(step)
        if child is None:
            break
        item = child
    return item
