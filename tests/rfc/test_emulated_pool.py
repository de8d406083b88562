"""The emulated pool's dialogs and their ends (RFC 3261 §12); where the programs' randomness is from (§19.3)."""

import ast
from pathlib import Path
from random import Random, SystemRandom

import pytest

import sipgw.groupchat.xccos as xccos
from sipgw.core.user_agent import UserAgent
from sipgw.events import Flow, Listener, Output, Send
from sipgw.groupchat.channel import ChannelService, ChannelSettings, State
from sipgw.groupchat.pool import PoolAgent
from sipgw.message import Message, Request, parse_message
from sipgw.message.build import new_request, response_to
from sipgw.server.chance import Chance
from sipgw.transaction.timers import TimerValues
from tests.harness import DOMAIN, SERVICE_URI

LISTENER = Listener("UDP", "192.0.2.51", 5060, "192.0.2.51:5060")
PEER = Flow("UDP", "192.0.2.1", 5060, LISTENER)
SERVER = Path(__file__).parents[2] / "sipgw" / "server"


class Bench:
    """A pool with one session in which the pool has just sent an INFO."""

    def __init__(self) -> None:
        self.agent = UserAgent([LISTENER], Random(1), TimerValues())
        PoolAgent(self.agent, ChannelService(ChannelSettings(DOMAIN, (SERVICE_URI,)), State()), 0.0, "pool")
        self.now = 100.0
        self.wire: list[Message] = []
        self._receive("INVITE", 1, "<sip:pool@x.test>", b"")
        self.ok = next(message for message in self.wire if not isinstance(message, Request))
        to = self.ok.first("to")
        self._receive("ACK", 1, str(to), b"")
        self.wire.clear()
        self._receive("INFO", 2, str(to), xccos.command("1", "requri"))
        (self.info,) = [message for message in self.wire if isinstance(message, Request)]
        self.wire.clear()

    def _receive(self, method: str, cseq: int, to: str, body: bytes) -> None:
        lines = [f"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK{cseq}{method}", f"CSeq: {cseq} {method}"]
        lines += [f"From: <sip:alice@{DOMAIN}>;tag=a", f"To: {to}", "Call-ID: c", "Contact: <sip:alice@192.0.2.9>"]
        request = new_request(method, SERVICE_URI, lines, body)
        self.take(self.agent.receive(request.encode(), PEER, self.now))

    def take(self, outputs: list[Output]) -> None:
        self.wire += [parse_message(output.data) for output in outputs if isinstance(output, Send)]

    def advance(self, seconds: float) -> None:
        end = self.now + seconds
        while (deadline := self.agent.next_deadline()) is not None and deadline <= end:
            self.now = deadline
            self.take(self.agent.handle_timers(deadline))
        self.now = end

    def is_ended(self) -> bool:
        """A BYE has left, and nothing of the session is there."""
        methods = {message.method for message in self.wire if isinstance(message, Request)}
        return "BYE" in methods and not self.agent.dialogs


@pytest.mark.parametrize("status", [481, 408])
def test_a_session_whose_peer_does_not_know_it_is_ended(status: int) -> None:
    bench = Bench()
    bench.take(bench.agent.receive(response_to(bench.info, status).encode(), PEER, bench.now))
    assert bench.is_ended()


def test_a_session_whose_peer_is_silent_is_ended() -> None:
    bench = Bench()
    bench.advance(31.9)
    assert not bench.is_ended()
    bench.advance(0.2)
    assert bench.is_ended()


def test_the_200_of_the_pool_has_one_contact() -> None:
    (contact,) = Bench().ok.values("contact")
    assert contact.startswith("<sip:")
    assert f"@{LISTENER.sent_by};" in contact


def test_the_pool_names_interval_and_refresher() -> None:
    """RFC 4028 §9: pidgin-sipe refreshes in a storm where it is told no interval."""
    ok = Bench().ok
    assert ok.first("session-expires") == "600;refresher=uac"
    assert "timer" in ok.tokens("supported")


def test_a_session_whose_peer_answers_goes_on() -> None:
    bench = Bench()
    bench.take(bench.agent.receive(response_to(bench.info, 200).encode(), PEER, bench.now))
    bench.advance(100)
    assert len(bench.agent.dialogs) == 1


def test_the_programs_draw_from_the_systems_randomness() -> None:
    """Tags, branches and Call-IDs are made from the generator that an engine or user agent is given."""
    made = [
        (path.name, [ast.unparse(argument) for argument in node.args])
        for path in SERVER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Engine", "UserAgent")
    ]
    assert len(made) >= 3
    assert issubclass(Chance, SystemRandom)
    assert [name for name, arguments in made if {"SystemRandom()", "Chance()"}.isdisjoint(arguments)] == []
