"""What every request passes before it reaches a page: the web configuration's rules, and limits.

Nothing is exempt: the health endpoints need a password where one is needed. The order is
exporter-toolkit's: a configuration that cannot be used, the rate limit, headers, users.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response

from badgateway.web.connections import HEAD_BYTES, HEAD_TOO_LARGE
from badgateway.web.current import Current
from badgateway.web.users import BusyError, Users
from badgateway.web.weboptions import RateLimit, WebConfig, WebConfigError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "deny",
}
"""On every response; what the web configuration sets goes before."""


class Gate:
    """An ASGI application that lets requests through to another."""

    def __init__(self, app: App, current: Current) -> None:
        """Stand before ``app`` by the rules of ``current``."""
        self._app = app
        self._current = current
        self._users = Users()
        self._bucket: _Bucket | None = None

    def stop(self) -> None:
        """Let no request wait any more, because the exporter stops."""
        self._users.stop()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or let it through."""
        if scope["type"] != "http":
            return
        _origin_form(scope)
        headers = Headers(scope=scope)
        extra = dict(_HEADERS)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in extra.items():
                    out[name] = value
            await send(message)

        try:
            await self._current.refresh()
            config = self._config(scope)
        except WebConfigError:
            answer: Response | None = _text(500, "Internal Server Error")
        else:
            extra |= config.headers
            answer = self._refusal(scope, headers, config)
            if answer is None and config.users:
                answer = await self._authenticated(config, headers)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _config(self, scope: Scope) -> WebConfig:
        """Return the rules of this moment.

        Raises:
            WebConfigError: there are none; has been logged.
        """
        try:
            config = self._current.config
            self._current.wants_tls()
        except WebConfigError as error:
            self._current.tell(str(error))
            raise
        if scope["scheme"] == "http":
            self._current.tell("")
        return config

    def _refusal(self, scope: Scope, headers: Headers, config: WebConfig) -> Response | None:
        if scope["http_version"] not in ("1.0", "1.1"):
            return _text(505, "HTTP/1.1 is what is spoken here.", close=True)
        if _head_bytes(scope) > HEAD_BYTES:
            return _text(431, HEAD_TOO_LARGE, close=True)
        if config.tls is not None and scope["scheme"] != "https":
            return _text(400, "Client sent an HTTP request to an HTTPS server.", close=True)
        if not self._admitted(config.rate_limit):
            return _text(429, "Too Many Requests")
        if "transfer-encoding" in headers or headers.get("content-length", "0").strip("0"):
            return _text(413, "No request here has a body.", close=True)
        return None

    async def _authenticated(self, config: WebConfig, headers: Headers) -> Response | None:
        try:
            if await self._users.allowed(config.users, headers.get("authorization")):
                return None
        except BusyError:
            answer = _text(503, "Too many passwords are being checked.")
            answer.headers["Retry-After"] = "5"
            return answer
        answer = _text(401, "Unauthorized")
        answer.headers["WWW-Authenticate"] = 'Basic realm="badgateway", charset="UTF-8"'
        return answer

    def _admitted(self, limit: RateLimit | None) -> bool:
        if limit is None:
            self._bucket = None
            return True
        if self._bucket is None or self._bucket.limit != limit:
            self._bucket = _Bucket(limit)
        return self._bucket.take()


class _Bucket:
    """A token bucket; it starts full."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._tokens = float(limit.burst)
        self._at = clock()

    def take(self) -> bool:
        now = self._clock()
        grown = self._tokens + (now - self._at) / self.limit.interval
        self._tokens, self._at = min(float(self.limit.burst), grown), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


def _head_bytes(scope: Scope) -> int:
    lines = sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    return lines + len(scope["raw_path"]) + len(scope["query_string"])


def _origin_form(scope: Scope) -> None:
    """Take the path of a request target in absolute form (RFC 9112, 3.2.2); its host is nothing
    to us.
    """
    target = scope.get("raw_path", b"").decode("latin-1")
    if target.lower().startswith(("http://", "https://")):
        try:
            path = urlsplit(target).path or "/"
        except ValueError:
            return
        scope["raw_path"], scope["path"] = path.encode("latin-1"), unquote(path)


def _text(status: int, text: str, close: bool = False) -> Response:
    headers = {"Connection": "close"} if close else None
    return PlainTextResponse(f"{text}\n", status_code=status, headers=headers)
