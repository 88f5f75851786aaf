"""The exporter ends when it is told to, whatever happens at that moment."""

from __future__ import annotations

import asyncio

from badgateway import config as settings
from badgateway.exporter import Exporter


def test_it_stops_although_it_is_told_to_look_again_at_that_moment() -> None:
    async def run() -> None:
        quiet = settings.Config(discovery=settings.Discovery(enabled=False))
        for turns in range(6):
            exporter = Exporter(quiet, None)
            await exporter.start()
            await exporter.ready()
            await asyncio.sleep(0.1)
            exporter._units_reloaded()
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(5):
                await exporter.stop()

    asyncio.run(run())
