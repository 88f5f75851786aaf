"""The shipped incident dashboard, as its tests read it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

TEXT = (Path(__file__).resolve().parents[2] / "dashboards/incident.json").read_text("utf-8")
BOARD: dict[str, Any] = json.loads(TEXT)


def panels() -> list[dict[str, Any]]:
    """Return the panels that show something."""
    return [panel for panel in BOARD["panels"] if panel["type"] != "row"]


def panel(title: str) -> dict[str, Any]:
    """Return the one panel called ``title``."""
    (found,) = [one for one in panels() if one["title"] == title]
    return found


def expressions() -> list[str]:
    """Return every query, those of annotations included."""
    shown = [target["expr"] for one in panels() for target in one["targets"]]
    return [*shown, *(one["expr"] for one in BOARD["annotations"]["list"])]


def filled(expression: str) -> str:
    """Return a query as Grafana sends it with everything chosen."""
    expression = expression.replace("$__rate_interval", "1m")
    return re.sub(r"\$(job|instance|backend)\b", ".+", expression)
