"""/healthz, /readyz and /metrics, for whoever runs the service; on loopback unless the settings say otherwise.

They are served by a thread with an event loop of its own (ADR 0016): what is asked here waits, and never a stop. The
thread reads what the service's loop has left for it, and changes nothing.
"""

import logging
import socket
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from . import clock, metrics

FRESH_S = 0.5
"""How old the metrics may be that are given (engineering default: Prometheus asks every few seconds)."""
AT_ONCE = 8
"""Requests that are served at a time; further ones get 503 (engineering default)."""
LONGEST = 8192
"""Bytes that the head of a request may have (engineering default)."""
JOIN_S = 2.0
"""How long a service that ends waits for the thread (engineering default)."""


class Probe(NamedTuple):
    """What the service says of itself; called from another thread: both only read."""

    stalled: Callable[[], list[str]]
    """Names the stations whose safety loop stands still."""
    ready: Callable[[], Mapping[str, object]]
    """Says how everything is that work needs; under `ready`, whether all of it is well."""


class Page:
    """The metrics as they were rendered last, at most FRESH_S ago: to render them is what costs most here."""

    def __init__(self) -> None:
        self._text = b""
        self._until_s = float("-inf")

    def text(self) -> bytes:
        """Give them."""
        if (now_s := clock.running_s()) >= self._until_s:
            self._text, self._until_s = metrics.text(), now_s + FRESH_S
        return self._text


def application(probe: Probe) -> Starlette:
    """Make the application."""
    page = Page()

    async def healthz(_request: Request) -> Response:
        stalled = probe.stalled()
        text = f"the safety loop stands still: {', '.join(stalled)}\n" if stalled else "ok\n"
        return PlainTextResponse(text, status_code=503 if stalled else 200)

    async def readyz(_request: Request) -> Response:
        found = probe.ready()
        return JSONResponse(dict(found), status_code=200 if found["ready"] else 503)

    async def all_metrics(_request: Request) -> Response:
        return Response(page.text(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", all_metrics)])


class HttpThread:
    """The server, on a port that is ours from the beginning. Raises OSError where it cannot be had."""

    def __init__(self, host: str, port: int, probe: Probe) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=AT_ONCE)
        self.port: int = self._socket.getsockname()[1]
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(probe),
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=AT_ONCE,
                timeout_keep_alive=2,
                timeout_graceful_shutdown=1,
                h11_max_incomplete_event_size=LONGEST,
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it, and wait for that, but not for long."""
        self._server.should_exit = True
        self._thread.join(JOIN_S)
        self._socket.close()
