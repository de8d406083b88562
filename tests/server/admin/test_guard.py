"""What stands before the operations, on a real socket: bounds of time and size, and errors that nobody has foreseen."""

import asyncio
import contextlib
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sipgw.server.admin import guard, listening
from sipgw.server.admin.access import Access
from sipgw.server.admin.guard import Guard
from sipgw.server.admin.listening import HttpServer, bind_http

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


class Told:
    """Takes log lines."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def error(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    warning = error


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the size of the body."""
    body = await Request(scope, receive).body()
    await Response(str(len(body)))(scope, receive, send)


@asynccontextmanager
async def served(app: Callable[..., Any], told: Told | None = None) -> AsyncIterator[int]:
    """The port at which an application is behind the guard."""
    sock = bind_http("127.0.0.1", 0)
    server = HttpServer(Guard(app, Access, Counter(), lambda: told or Told()), sock)
    try:
        yield sock.getsockname()[1]
    finally:
        await server.close()


async def ask(port: int, data: bytes) -> bytes:
    """Everything that comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(20):
            return await reader.read()
    finally:
        writer.close()


def problem(answer: bytes) -> dict[str, Any]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    found = json.loads(body)
    assert isinstance(found, dict)
    return found


async def test_a_whole_body_passes() -> None:
    async with served(reads_all) as port:
        answer = await ask(port, HEAD + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n3")


async def test_a_body_that_says_no_size_ends_at_the_bound() -> None:
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    async with served(reads_all) as port:
        answer = await ask(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + 5 * chunk)
    assert problem(answer)["status"] == 413


async def test_a_body_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PATIENCE", 0.05)
    monkeypatch.setattr(listening, "PATIENCE", 0.05)
    async with served(reads_all) as port:
        answer = await ask(port, HEAD + b"Content-Length: 10\r\n\r\nabc")
    assert (problem(answer)["status"], problem(answer)["type"]) == (503, "urn:sipgw:problem:timeout")


@pytest.mark.parametrize("data", [b"", b"GET / HT", HEAD], ids=["nothing", "half a line", "half a head"])
async def test_a_request_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(listening, "PATIENCE", 0.05)
    async with served(reads_all) as port:
        with contextlib.suppress(ConnectionResetError):
            assert await ask(port, data) == b""


async def test_a_head_has_a_bound() -> None:
    async with served(reads_all) as port:
        try:
            answer = await ask(port, b"GET / HTTP/1.1\r\n" + b"X-Header: value\r\n" * 10_000)
        except ConnectionResetError:  # it has not read everything
            return
    assert answer.startswith(b"HTTP/1.1 400 ") or not answer


async def test_a_mistake_of_ours_is_told_in_the_log_and_not_to_the_caller() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("a detail of ours")

    told = Told()
    async with served(broken, told) as port:
        answer = await ask(port, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert problem(answer)["status"] == 500
    assert b"a detail of ours" not in answer
    ((event, fields),) = told.lines
    assert (event, fields["path"]) == ("admin API failed", "/")
    assert "a detail of ours" in fields["reason"]


async def test_an_answer_that_breaks_off_ends_the_connection() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
        await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        raise KeyError("half-way")

    told = Told()
    async with served(broken, told) as port:
        answer = await ask(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nabc")
    assert [event for event, _ in told.lines] == ["admin API: answer broken off"]


async def test_an_address_that_is_taken_is_named() -> None:
    with bind_http("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(OSError, match=rf"admin\.listen 127\.0\.0\.1:{port}: Address already in use"):
            bind_http("127.0.0.1", port)
    with pytest.raises(OSError, match=r"admin\.listen \[2001:db8::1\]:1: "):
        bind_http("2001:db8::1", 1)


async def test_signals_stay_the_programs() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with served(reads_all) as port:
        await ask(port, HEAD + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
