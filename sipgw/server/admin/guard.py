"""What stands before every operation: who may call, how much, and for how long. Every error leaves as a problem."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sipgw.server.admin.access import Access
from sipgw.server.admin.peer import peer_user
from sipgw.server.admin.problems import Problem, problem_of

MAX_BODY = 65_536  # bytes; no request of ours has as many as a thousandth of that
PATIENCE = 30.0  # seconds for a request to arrive and be answered
TELL_EVERY = 10.0  # seconds between log lines about refused callers
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
OPEN = frozenset({"/healthz", "/readyz"})  # for probes, which have no token


class Guard:
    """ASGI application around another. `access` tells who may call at the moment; the scope's `actor` is who does, None
    for whoever may ask no more than the probes do."""

    def __init__(self, app: ASGIApp, access: Callable[[], Access], counters: Counter[str], log: Any) -> None:
        self._app = app
        self._access = access
        self._counters = counters
        self._log = log
        self._quiet_until = -math.inf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        scope["app"] = self  # the router raises what it cannot find instead of answering
        try:
            async with asyncio.timeout(PATIENCE):
                self._check(scope)
                await _find_user(scope)
                await self._app(scope, _bounded(scope, receive), sending)
        except Exception as error:
            self._counters["admin_refused"] += 1
            if started:  # too late for an answer: the connection ends
                self._log().error("admin API: answer broken off", path=scope["path"], reason=repr(error))
                raise
            await self._problem(error, scope).response()(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        access, headers = self._access(), Request(scope).headers
        host = headers.get("host")
        access.check_host(host)
        access.check_origin(headers.get("origin"), headers.get("sec-fetch-site"), host)
        try:
            scope["actor"] = access.actor(headers.get("authorization"), _address(scope.get("client")))
        except Problem as problem:
            if scope["path"] not in OPEN:
                self._tell(scope, problem)
                raise
            scope["actor"] = None

    def _tell(self, scope: Scope, problem: Problem) -> None:
        now = asyncio.get_running_loop().time()
        self._counters["admin_unauthorized"] += 1
        if now >= self._quiet_until:
            self._quiet_until = now + TELL_EVERY
            fields = {"peer": _address(scope.get("client")), "so_far": self._counters["admin_unauthorized"]}
            self._log().warning("admin API: not let in", reason=problem.detail, **fields)

    def _problem(self, error: Exception, scope: Scope) -> Problem:
        if isinstance(error, HTTPException):
            return _not_here(error, scope)
        problem = problem_of(error)
        if problem is None:
            self._log().error("admin API failed", path=scope["path"], reason=repr(error), exc_info=error)
            return Problem("internal", "this is a mistake in the gateway; its log says more")
        return problem


def _not_here(error: HTTPException, scope: Scope) -> Problem:
    allowed = (error.headers or {}).get("Allow", "")
    if allowed:
        names = ", ".join(sorted(allowed.replace(" ", "").split(",")))
        return Problem("method-not-allowed", f"{scope['path']} takes {names}", [], {"Allow": names})
    return Problem("not-found", f"nothing is at {scope['path']}; /api/v1/openapi.json tells what there is")


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """The same with an end: a body is as long as it says, or cut off by an error."""
    read = 0

    async def receiving() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > MAX_BODY:
            raise Problem("too-large", f"a body has at most {MAX_BODY} bytes", [], {"Connection": "close"})
        return message

    return receiving


async def _find_user(scope: Scope) -> None:
    """Who changes something is to be on record: without a token, the user of this machine whose connection it is."""
    actor, client, server = scope["actor"], scope.get("client"), scope.get("server")
    if actor is not None and not actor.name and scope["method"] in CHANGING and client and server:
        scope["actor"] = replace(actor, name=await asyncio.to_thread(peer_user, client, server))


def _address(client: Any) -> str:
    return f"{client[0]}:{client[1]}" if client else ""
