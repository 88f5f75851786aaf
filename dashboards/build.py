"""Writes ``dashboards/*.json``: ``python -m dashboards.build``.

The JSON is what ships: it loads from a file, an import or a sidecar alike. A test compares.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import incident

FOLDER: Final = Path(__file__).parent

_SCHEMA: Final = 39
"""The newest that Grafana 9 to 13 read alike: older ones ignore what they do not know."""

_REQUIRES: Final = (
    ("grafana", "grafana", "Grafana", "9.4.0"),
    ("datasource", "prometheus", "Prometheus", "1.0.0"),
    ("panel", "stat", "Stat", ""),
    ("panel", "state-timeline", "State timeline", ""),
    ("panel", "table", "Table", ""),
    ("panel", "timeseries", "Time series", ""),
)


def normalised(board: dict[str, Any]) -> dict[str, Any]:
    """Return the SDK's output without what only the newest Grafana knows, and with stable ids."""
    for number, panel in enumerate(board["panels"], start=1):
        panel["id"] = number
        panel.pop("repeatDirection", None)
        if panel["type"] == "row":
            panel.setdefault("collapsed", False)
            panel.setdefault("panels", [])
            continue
        if panel["type"] == "table":
            panel["options"].pop("footer", None)
            # Grafana's migration skips overrides of a table without it.
            panel["fieldConfig"]["defaults"].setdefault("custom", {})
    for variable in board["templating"]["list"]:
        for key in ("auto", "auto_count", "auto_min", "allowCustomValue"):
            variable.pop(key, None)
    for placed in (*board["links"], *board["annotations"]["list"]):
        placed.pop("placement", None)
    board["schemaVersion"] = _SCHEMA
    board["__inputs"] = []
    board["__requires"] = [
        dict(zip(("type", "id", "name", "version"), one, strict=True)) for one in _REQUIRES
    ]
    return board


def render() -> dict[str, str]:
    """Return file name → text of every dashboard."""
    board = json.loads(JSONEncoder(sort_keys=True).encode(incident.build().build()))
    text = json.dumps(normalised(board), indent=2, sort_keys=True, ensure_ascii=False)
    return {"incident.json": f"{text}\n"}


def main() -> None:
    """Write the files."""
    for name, text in render().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
