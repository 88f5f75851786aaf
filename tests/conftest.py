"""What holds for the whole suite."""

import signal

import pytest
from hypothesis import settings

# A deadline for one example says more about the machine than about the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

# A shell's background job ignores SIGINT, and so would every program that is started here.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left with it alone in the end."""
    order = ("demo", "lab")
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in order])
