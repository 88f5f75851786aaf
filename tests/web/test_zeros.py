"""A scrape of some metrics does not take from another the zero that a new series begins with."""

from __future__ import annotations

import re

import pytest

from badgateway import config as settings
from badgateway.exporter import Exporter
from badgateway.web.metrics import Renderer
from badgateway.web.selection import EVERYTHING, Selection, selection

NAME = "badgateway_source_gaps_total"


class Scraped:
    """An exporter that has just counted one event, for the first time."""

    def __init__(self) -> None:
        self.exporter = Exporter(settings.Config(), None)
        self.renderer = Renderer(self.exporter)
        self.exporter.counters.add("source_gaps_total", ("x",))
        self.commit()

    def commit(self) -> None:
        counters = self.exporter.counters
        counters.publish(counters.snapshot())

    def see(self, wanted: Selection = EVERYTHING, consume: bool = True) -> str:
        body, _ = self.renderer.render({}, consume, wanted)
        self.commit()
        found = re.search(rf'{NAME}{{source="x"}} (\S+)', body.decode())
        return found[1] if found else ""


@pytest.fixture
def scraped() -> Scraped:
    return Scraped()


def test_a_whole_scrape_sees_zero_and_then_the_value(scraped: Scraped) -> None:
    assert [scraped.see(), scraped.see()] == ["0.0", "1.0"]


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        (selection([NAME], [], []), "0.0"),
        (selection(["badgateway_build_info"], [], []), ""),
        (selection([], ["probes"], []), ""),
        (selection([], [], ["probes"]), "0.0"),
    ],
)
def test_a_scrape_of_some_takes_no_zero_away(
    scraped: Scraped, wanted: Selection, shown: str
) -> None:
    assert [scraped.see(wanted), scraped.see(wanted)] == [shown, shown]
    assert [scraped.see(), scraped.see()] == ["0.0", "1.0"]
    assert scraped.see(wanted) == shown.replace("0.0", "1.0")


def test_head_takes_no_zero_away(scraped: Scraped) -> None:
    assert scraped.see(consume=False) == "0.0"
    assert [scraped.see(), scraped.see()] == ["0.0", "1.0"]


def test_a_histogram_is_born_and_leaves_whole() -> None:
    scraped = Scraped()
    counters = scraped.exporter.counters
    name = "upstream_response_duration_seconds"
    counters.observe(name, ("api", "web"), (0.2, 61.0, 500.0))
    scraped.commit()

    def see() -> dict[str, str]:
        body, _ = scraped.renderer.render({}, True, EVERYTHING)
        scraped.commit()
        found = re.findall(rf"badgateway_{name}_(\w+){{(.*)}} (\S+)", body.decode())
        return {
            f"{kind} {labels.partition('le=')[2].partition(',')[0]}".strip(): value
            for kind, labels, value in found
        }

    assert set(see().values()) == {"0.0"}
    seen = see()
    wanted = {'bucket "0.25"': "1.0", 'bucket "60"': "1.0", 'bucket "120"': "2.0",
              'bucket "+Inf"': "3.0", "count": "3.0", "sum": "561.2"}  # fmt: skip
    assert wanted.items() <= seen.items()
    counters.hide(frozenset(counters.series()))
    assert see() == {}
