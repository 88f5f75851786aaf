"""The HTTP application (starlette): metrics, page, health, JSON, reload."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import jinja2
import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from badgateway import __version__
from badgateway.exporter import Exporter
from badgateway.web.answers import answer
from badgateway.web.current import Current
from badgateway.web.gate import Gate
from badgateway.web.metrics import Renderer
from badgateway.web.selection import SelectionError, selection

MAX_REQUESTS: Final = 40
"""Scrapes answered at once, as in other exporters; a scrape lasts until its answer was taken."""

Reload = Callable[[], Awaitable[str]]
"""Reads the configuration again; returns what is wrong with it, "" when it was taken over."""

_LIFECYCLE_OFF: Final = (
    "Lifecycle API is not enabled. Start badgateway with --web.enable-lifecycle, or send SIGHUP.\n"
)


def application(
    exporter: Exporter,
    current: Current | None = None,
    *,
    reload: Reload | None = None,
    max_requests: int = MAX_REQUESTS,
) -> Gate:
    """Return the application that shows ``exporter``.

    Args:
        exporter: what is shown.
        current: the web configuration; None for none.
        reload: what ``/-/reload`` calls; None keeps it switched off.
        max_requests: scrapes answered at once; 0 means no limit.
    """
    page = _template()
    scrapes = _Scrapes(Renderer(exporter), max_requests)

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("healthy\n")

    async def ready(_: Request) -> Response:
        if exporter.is_ready:
            return PlainTextResponse("ready\n")
        return PlainTextResponse("the host has not been looked at yet\n", status_code=503)

    async def diagnosis(_: Request) -> Response:
        body = msgspec.json.encode(answer(exporter, time.time()))
        return Response(body, media_type="application/json")

    async def landing(_: Request) -> Response:
        now = time.time()
        text = page.render(
            answer=answer(exporter, now), version=__version__, now=now, ready=exporter.is_ready
        )
        return HTMLResponse(text)

    async def reloaded(request: Request) -> Response:
        if reload is None:
            return PlainTextResponse(_LIFECYCLE_OFF, status_code=403)
        if "origin" in request.headers or "sec-fetch-site" in request.headers:
            # A page in a browser on this host could send this too; an operator's tool sends none.
            return PlainTextResponse("Not from a browser.\n", status_code=403)
        problem = await reload()
        if problem:
            return PlainTextResponse(f"{problem}\n", status_code=500)
        return PlainTextResponse("reloaded\n")

    app = Starlette(
        routes=[
            Route("/metrics", scrapes.answer),
            Route("/-/healthy", healthy),
            Route("/-/ready", ready),
            Route("/-/reload", reloaded, methods=["POST", "PUT"]),
            Route("/api/v1/diagnosis", diagnosis),
            Route("/", landing),
        ]
    )
    # Its target would be made of the Host header, which is the client's.
    app.router.redirect_slashes = False
    return Gate(app, current or Current(None))


class _Scrapes:
    """Answers ``/metrics``, a bounded number at a time."""

    def __init__(self, renderer: Renderer, limit: int) -> None:
        self._renderer, self._limit = renderer, limit
        self._number = 0

    async def answer(self, request: Request) -> Response:
        """Render what is asked for."""
        if self._limit and self._number >= self._limit:
            return PlainTextResponse(
                f"Limit of concurrent requests reached ({self._limit}), try again later.\n",
                status_code=503,
            )
        query = request.query_params
        try:
            wanted = selection(
                query.getlist("name[]"), query.getlist("collect[]"), query.getlist("exclude[]")
            )
        except SelectionError as error:
            return PlainTextResponse(f"{error}\n", status_code=400)
        body, headers = self._renderer.render(
            request.headers, consume=request.method == "GET", wanted=wanted
        )
        return _Taken(body, headers, self)

    def begin(self) -> None:
        """Count a scrape in."""
        self._number += 1

    def end(self) -> None:
        """Count it out."""
        self._number -= 1


class _Taken(Response):
    """A scrape's response, which lasts until the client has taken it."""

    def __init__(self, body: bytes, headers: dict[str, str], scrapes: _Scrapes) -> None:
        super().__init__(body, headers=headers)
        self._scrapes = scrapes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scrapes.begin()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
            # What is sent next waits until the connection has room, which is: has sent all.
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._scrapes.end()


def _template() -> jinja2.Template:
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["clock"] = _clock
    return templates.get_template("page.html")


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(at)) if at else "unknown"
