"""What the tests of the HTTP side share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web import world


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with certificates and keys."""
    directory = tmp_path_factory.mktemp("certificates")
    world.make_certificates(directory)
    return directory
