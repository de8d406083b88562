"""Name servers on loopback: Knot with zones of the test, and a tiny one that answers late, wrongly or never."""

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rrset
import dns.update

from sipgw.locating import Destination, Located, Locator, NotLocated
from sipgw.server.resolver import Resolver
from tests.ports import free_port

START = 15.0  # seconds that a name server may take to answer
_CONFIGURATION = """
server:
    rundir: {folder}
    listen: [ 127.0.0.1@{port}, ::1@{port} ]
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {folder}
log:
  - target: stderr
    any: warning
acl:
  - id: test
    address: [ 127.0.0.1, ::1 ]
    action: update
template:
  - id: default
    storage: {folder}
    acl: test
    journal-content: none
    zonefile-sync: -1
zone:
"""


@contextmanager
def knot(folder: Path, zones: dict[str, str | None], port: int = 0) -> Iterator[int]:
    """A running Knot that serves zones by name; None for one whose file is missing. Gives the port."""
    port = port or free_port()
    configuration = _CONFIGURATION.format(folder=folder, port=port)
    for name, text in zones.items():
        configuration += f"  - domain: {name}\n    file: {name}.zone\n"
        if text is not None:
            (folder / f"{name}.zone").write_text(text)
    (folder / "knot.conf").write_text(configuration)
    with (folder / "knot.log").open("wb") as log:
        process = subprocess.Popen(["knotd", "-c", str(folder / "knot.conf")], stdout=log, stderr=log)
    try:
        served = next(name for name, text in zones.items() if text is not None)
        assert _answers(process, port, served), (folder / "knot.log").read_text()
        yield port
    finally:
        process.terminate()
        process.wait(15)


def _answers(process: subprocess.Popen[bytes], port: int, zone: str) -> bool:
    give_up = time.monotonic() + START
    while time.monotonic() < give_up and process.poll() is None:
        with suppress(dns.exception.DNSException, OSError):
            query = dns.message.make_query(zone, "SOA")
            if dns.query.udp(query, "127.0.0.1", 0.2, port).rcode() == dns.rcode.NOERROR:
                return True
    return False


def change(port: int, zone: str, name: str, ttl: int, kind: str, *values: str) -> None:
    """Replace a name's records of one type by a dynamic update (RFC 2136)."""
    update = dns.update.UpdateMessage(zone)
    update.delete(f"{name}.", kind)
    for value in values:
        update.add(f"{name}.", ttl, kind, value)
    assert dns.query.udp(update, "127.0.0.1", 5, port).rcode() == dns.rcode.NOERROR


class Seeker:
    """A locator that asks real name servers, with a clock that the test moves."""

    def __init__(self, resolver: Resolver, locator: Locator | None = None) -> None:
        self.resolver = resolver
        self.locator = locator or Locator()
        self.now = 1000.0

    async def find(self, destination: Destination) -> Located | NotLocated:
        """With everything answered, renewals included."""
        found = self.locator.find(destination, self.now)
        await self.answer_all()
        if found is None:
            found = self.locator.find(destination, self.now)
        assert found is not None
        return found

    async def answer_all(self) -> None:
        while questions := self.locator.take_questions():
            for answer in await asyncio.gather(*map(self.resolver.ask, questions)):
                self.locator.answered(answer, self.now)


Reaction = Callable[[dns.message.Message], dns.message.Message | bytes | None]


class TinyServer(asyncio.DatagramProtocol):
    """Answers each query as `react` says, `delay` seconds later; None is silence. `asked` are the queries."""

    def __init__(self, react: Reaction, delay: float = 0.0) -> None:
        self.react = react
        self.delay = delay
        self.asked: list[str] = []
        self._more = asyncio.Event()
        self._transport: asyncio.DatagramTransport

    async def start(self) -> tuple[str, int]:
        """Returns its address."""
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self._transport = transport
        host, port = transport.get_extra_info("sockname")
        return str(host), int(port)

    async def wait_for(self, count: int) -> None:
        """Until so many queries have come."""
        async with asyncio.timeout(START):
            while len(self.asked) < count:
                self._more.clear()
                await self._more.wait()

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self.asked.append(query.question[0].to_text())
        self._more.set()
        reply = self.react(query)
        if reply is not None:
            wire = reply if isinstance(reply, bytes) else reply.to_wire()
            asyncio.get_running_loop().call_later(self.delay, self._reply, wire, address)

    def _reply(self, wire: bytes, address: tuple[str, int]) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(wire, address)

    def close(self) -> None:
        self._transport.close()


def address_of(query: dns.message.Message, address: str = "192.0.2.1", ttl: int = 60) -> dns.message.Message:
    """An answer with one A record; an empty one to questions of other types."""
    reply = dns.message.make_response(query)
    if query.question[0].rdtype == dns.rdatatype.A:
        reply.answer.append(dns.rrset.from_text(query.question[0].name, ttl, "IN", "A", address))
    return reply


def refusing(rcode: dns.rcode.Rcode) -> Reaction:
    def react(query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query)
        reply.set_rcode(rcode)
        return reply

    return react
