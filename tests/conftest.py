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


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests on one worker, and begin with what takes longest.

    The demonstrations share their folder for runs, whose state before and after is compared.
    """
    for item in items:
        demo = item.path.name.startswith("test_demo_")
        item.add_marker(pytest.mark.xdist_group("demo" if demo else str(item.path)))
    order = ("demo", "lab")
    items.sort(key=lambda item: [item.get_closest_marker(name) is None for name in order])
