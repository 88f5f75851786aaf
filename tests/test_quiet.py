"""A healthy site's life, a minute and a half of ``make quiet``: nothing is said of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import parts, quiet
from tests.lab.host import Host, refusal
from tests.lab.require import require, unavailable

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def outcome() -> Iterator[quiet.Outcome]:
    if reason := refusal():
        unavailable(reason)
    for part in ("caddy", "prometheus"):
        require(part)
    try:
        with Host("quiet", quiet.PACKAGES) as host:
            yield quiet.play(host, 90, lambda what: None)
    except parts.PartMissing as missing:
        unavailable(str(missing))


def test_a_healthy_site_is_left_in_peace(outcome: quiet.Outcome) -> None:
    assert outcome.faults == [], outcome.summary()


def test_clients_did_meet_restarts_and_errors(outcome: quiet.Outcome) -> None:
    assert outcome.answers["500"] >= 5
    assert outcome.answers["404"] >= 30
    assert outcome.done["deploys"] >= 1
    assert outcome.done["restarts"] >= 2
    assert outcome.done["aborts"] >= 3
    assert outcome.seen["recycled_workers"] >= 1
