"""What journald drops because a service writes too much is told as a gap: a real journald."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.lab import observers
from tests.lab.host import Host, refusal
from tests.lab.parts import PartMissing
from tests.lab.require import unavailable
from tests.rehearsal import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

CONFIG = """
discovery: {enabled: false}
probes: {default: false}
proxies:
  - name: web
    kind: caddy
    admin: ""
    logs: [{journal: noisy.service}]
"""

NOISY = """
[Service]
LogRateLimitIntervalSec=2s
LogRateLimitBurst=20
ExecStart=/bin/sh -c 'while ! [ -e /run/begin ]; do sleep 0.1; done; \
  for n in $(seq 500); do echo "line $n"; done; sleep 2.5; echo after; sleep infinity'
"""


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    reason = refusal()
    if reason:
        unavailable(reason)
    try:
        with Host("suppressed") as host:
            yield host
    except PartMissing as missing:
        unavailable(str(missing))


def told(host: Host, name: str) -> float:
    """Return the sum of a metric's series of the journal; -1 when it has none."""
    address = "127.0.0.1:10502/metrics"
    text = host.run(["curl", "-s", "-m", "5", address], check=False).stdout
    values = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"badgateway_{name}" and sample.labels.get("source") == "journal"
    ]
    return sum(values) if values else -1.0


def test_what_journald_suppressed_is_one_gap(host: Host) -> None:
    host.unit("noisy.service", NOISY)
    host.systemctl("start", "noisy")
    observers.start_exporter(host, CONFIG)
    until(lambda: told(host, "source_gaps_total") == 0, 30)
    before = told(host, "log_lines_total")
    host.write("/run/begin", "")
    until(lambda: told(host, "source_gaps_total") == 1, 20)
    journal = host.run(["journalctl", "-u", "noisy", "-o", "cat"]).stdout.splitlines()
    kept = [line for line in journal if line.startswith("line ") or line == "after"]
    assert 20 <= len(kept) < 501
    until(lambda: told(host, "log_lines_total") - before >= len(kept), 10)
    assert told(host, "source_gaps_total") == 1
