"""What the shell drives, and what it is given to perform outputs with."""

from collections.abc import Callable
from typing import Protocol

from sipgw.events import Flow, HandOver, Hop, Output, Persist, Send, SendKey
from sipgw.locating import Answer
from sipgw.message.errors import MalformedMessage

Tracer = Callable[[str, bytes, Flow | Hop], None]  # direction "in" or "out", message, peer
Tap = Callable[[float, bytes, Flow | None, list[Output]], None]  # what came, b"" for no message, and what comes of it
Persister = Callable[[Persist, Callable[[str | None], None]], None]


class Machine(Protocol):
    """What the shell drives: the gateway's engine or a user agent's, all sans-I/O."""

    def receive(self, data: bytes, flow: Flow, now: float) -> list[Output]: ...

    def receive_broken(self, error: MalformedMessage, flow: Flow, now: float) -> list[Output]: ...

    def welcomes(self, host: str, now: float) -> bool:
        """Whether a connection from this address is to be taken."""

    def connected(self, flow: Flow) -> None: ...

    def connection_lost(self, flow: Flow, hop: Hop | None, reason: str, now: float) -> list[Output]: ...

    def superseded(self, flow: Flow, hop: Hop) -> None: ...

    def send_failed(self, key: SendKey, reason: str, now: float) -> list[Output]: ...

    def set_overloaded(self, overloaded: bool, now: float) -> None: ...

    def resolved(self, answer: Answer, now: float) -> list[Output]: ...

    def persisted(self, key: int, error: str | None, now: float) -> list[Output]: ...

    def handle_timers(self, now: float) -> list[Output]: ...

    def next_deadline(self) -> float | None: ...


class Peers(Protocol):
    """The other workers, where there are any."""

    def opened(self, flow: Flow) -> None: ...

    def closed(self, flow: Flow, reason: str) -> None: ...

    def send(self, send: Send, flow: Flow) -> bool:
        """Over a connection that another worker holds; False where none does."""

    def hand_over(self, output: HandOver) -> None: ...
