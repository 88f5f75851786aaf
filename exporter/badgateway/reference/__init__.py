"""The reference: Markdown made of the schema, the catalogue and the commands themselves.

``badgateway reference PAGE`` prints a page; ``python -m badgateway.reference`` writes all of them
to ``exporter/reference/`` of a checkout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from badgateway.reference.commands import page as _commands
from badgateway.reference.configuration import page as _configuration
from badgateway.reference.metrics import page as _metrics

PAGES: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {"configuration": _configuration, "metrics": _metrics, "commands": _commands}
)
"""Page → what returns it as Markdown."""
