"""One busy exporter for all tests that only look at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reference.busy import busy_exporter
from tests.servers import ExporterProcess


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExporterProcess]:
    with busy_exporter(tmp_path_factory.mktemp("busy")) as exporter:
        yield exporter
