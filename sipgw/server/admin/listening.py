"""uvicorn within the gateway's own loop: it takes no signals, writes no log, keeps no silent connection."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 64
MAX_HEAD = 16_384  # bytes
PATIENCE = 10.0  # seconds that a connection may be without a whole request
KEEP_ALIVE = 5  # seconds between requests
GRACE = 1  # seconds that requests have to end in when the gateway does


class _Connection(H11Protocol):
    """One more than may be is closed at once, and one from which no request comes after a while: uvicorn would wait
    for the first head for ever."""

    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        else:
            self._watch = self.loop.call_later(PATIENCE, self._look, None)

    def _look(self, before: object) -> None:
        waiting = self.cycle is None or self.cycle.response_complete
        if waiting and before is self.cycle:
            self.transport.abort()
        else:
            self._watch = self.loop.call_later(PATIENCE, self._look, self.cycle)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are the gateway's."""
        yield


class HttpServer:
    """Serves `app` on a bound socket. `close` ends it, within about GRACE."""

    def __init__(self, app: ASGIApp, sock: socket.socket) -> None:
        logging.getLogger("uvicorn.error").disabled = True  # whoever sends nonsense must not fill the log
        settings: Any = {"http": _Connection, "ws": "none", "lifespan": "off", "interface": "asgi3"}
        quiet: Any = {"log_config": None, "access_log": False, "server_header": False, "proxy_headers": False}
        self._server = _Server(
            uvicorn.Config(
                app,
                **settings,
                **quiet,
                backlog=MAX_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=GRACE,
                h11_max_incomplete_event_size=MAX_HEAD,
            )
        )
        self._task = asyncio.get_running_loop().create_task(self._server.serve([sock]))

    async def close(self) -> None:
        self._server.should_exit = True
        await asyncio.gather(self._task, return_exceptions=True)


def bind_http(host: str, port: int) -> socket.socket:
    """A socket to serve on; port 0 takes a free one. Raises OSError that names the address."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(MAX_CONNECTIONS)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        shown = f"[{host}]" if ":" in host else host
        raise OSError(error.errno, f"admin.listen {shown}:{port}: {error.strerror}") from None
    return sock
