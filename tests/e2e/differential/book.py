"""The catalogue's cover: how a case gets into it."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any

from tests.e2e.differential.stage import CHAT, Change, Party, Play, Stage

Script = Callable[[Stage], None]
UDP, TCP, BOTH = ("UDP",), ("TCP",), ("UDP", "TCP")


@dataclass(frozen=True)
class Case:
    """A situation; `transport` is the caller's."""

    name: str
    script: Script
    transport: str


CASES: dict[str, Case] = {}

# A case about silence yields what it waits for: all of them wait at the same time, on proxies with short timers.
Waits = Generator[Callable[[], bool], None, None]
SILENT: dict[str, Callable[[Stage], Waits]] = {}


def silent(script: Callable[[Stage], Waits]) -> Callable[[Stage], Waits]:
    SILENT[script.__name__] = script
    return script


def add(name: str, script: Script, transports: Iterable[str] = UDP) -> None:
    """Under its name; as name-tcp for a caller on a connection."""
    for transport in transports:
        key = name if transport == "UDP" else f"{name}-tcp"
        assert key not in CASES, f"two cases are called {key}"
        CASES[key] = Case(key, script, transport)


def case(transports: Iterable[str] = UDP) -> Callable[[Script], Script]:
    """A function is a case of its name."""

    def register(script: Script) -> Script:
        add(script.__name__, script, transports)
        return script

    return register


def one(
    name: str, method: str = "OPTIONS", uri: str = CHAT, change: Change | None = None, extra: Iterable[str] = (),
    *, transports: Iterable[str] = BOTH, plays: Iterable[Play] = (200,), trunk: bool = False, slow: bool = False,
    **more: Any,
) -> None:  # fmt: skip
    """A case of one request from the caller, or from a trusted peer, that the pool answers with `plays`.

    A `slow` one has the proxy connect by TCP first (a large one does, §18.1.1): no ping waits for that.
    """

    def script(stage: Stage) -> None:
        stage.pool.plays[method] = list(plays)
        sender: Party = stage.trunk() if trunk else stage.caller
        sender.send(stage.request(method, uri, change, extra, sender=sender, **more))
        if slow:
            stage.settle_answered(sender)
        stage.settle()

    add(name, script, UDP if trunk else transports)


def raw(name: str, data: Callable[[Stage], bytes], transports: Iterable[str] = BOTH) -> None:
    """A case of arbitrary bytes from the caller."""

    def script(stage: Stage) -> None:
        stage.caller.send(data(stage))
        stage.settle()

    add(name, script, transports)
