"""The HTTP application (starlette): metrics, page, health, JSON."""

from __future__ import annotations

import time
from pathlib import Path

import jinja2
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from badgateway import __version__
from badgateway.exporter import Exporter
from badgateway.web.answers import answer
from badgateway.web.metrics import Renderer

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def application(exporter: Exporter) -> Starlette:
    """Return the application that shows ``exporter``."""
    renderer = Renderer(exporter)
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["clock"] = _clock
    page = templates.get_template("page.html")

    async def metrics(request: Request) -> Response:
        body, headers = renderer.render(request.headers, consume=request.method == "GET")
        return Response(body, headers=headers)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("healthy\n")

    async def ready(_: Request) -> Response:
        if exporter.is_ready:
            return PlainTextResponse("ready\n")
        return PlainTextResponse("the host has not been looked at yet\n", status_code=503)

    async def diagnosis(_: Request) -> Response:
        body = msgspec.json.encode(answer(exporter, time.time()))
        return Response(body, media_type="application/json", headers=_HEADERS)

    async def landing(_: Request) -> Response:
        now = time.time()
        text = page.render(
            answer=answer(exporter, now), version=__version__, now=now, ready=exporter.is_ready
        )
        return HTMLResponse(text, headers=_HEADERS)

    return Starlette(
        routes=[
            Route("/metrics", metrics),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
            Route("/api/v1/diagnosis", diagnosis),
            Route("/", landing),
        ]
    )


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(at)) if at else "unknown"
