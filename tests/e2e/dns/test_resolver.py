"""The resolver and name servers that misbehave, the hosts file and resolv.conf; real sockets, short times."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from sipgw.locating import Answer, Located, NotLocated, Question, of_pool, of_server
from sipgw.locating.records import NO_NAME, NO_RECORDS, SERVER_FAILURE, TIMEOUT
from sipgw.server import resolver as module
from sipgw.server.resolver import Resolver
from tests.e2e.dns.name_server import Reaction, Seeker, TinyServer, address_of, refusing

POOL = Question("pcpool.contoso.com", "A")
Start = Callable[[TinyServer], Awaitable[tuple[str, int]]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    servers: list[TinyServer] = []

    async def starting(server: TinyServer) -> tuple[str, int]:
        servers.append(server)
        return await server.start()

    yield starting
    for server in servers:
        server.close()


def silent(query: dns.message.Message) -> None:
    return None


def text(address: tuple[str, int]) -> str:
    return f"{address[0]}:{address[1]}"


async def test_a_server_that_answers_late_is_waited_for(start: Start) -> None:
    address = await start(TinyServer(address_of, delay=0.2))
    answer = await Resolver([address]).ask(POOL)
    assert (answer.addresses, answer.ttl, answer.failure) == (("192.0.2.1",), 60.0, "")


async def test_a_server_that_answers_too_late(start: Start) -> None:
    address = await start(TinyServer(address_of, delay=5))
    answer = await Resolver([address], per_try=0.1, in_all=0.25).ask(POOL)
    assert answer == Answer(POOL, failure=TIMEOUT, detail=f"{text(address)}: no answer")


async def test_while_one_is_slow_the_loop_goes_on_and_others_are_answered(start: Start) -> None:
    def react(query: dns.message.Message) -> dns.message.Message | None:
        return None if "slow" in query.question[0].to_text() else address_of(query)

    resolver = Resolver([await start(TinyServer(react))], per_try=10, in_all=10)
    slow = asyncio.create_task(resolver.ask(Question("slow.contoso.com", "A")))
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(resolver.ask(Question(f"pc{n}.contoso.com", "A")) for n in range(20)))
    assert [answer.addresses for answer in answers] == [("192.0.2.1",)] * 20
    assert not slow.done()
    slow.cancel()
    await asyncio.wait([slow])


async def test_the_next_name_server_is_asked(start: Start) -> None:
    first, second = TinyServer(silent), TinyServer(address_of)
    resolver = Resolver([await start(first), await start(second)], per_try=1, in_all=10)
    assert (await resolver.ask(POOL)).addresses == ("192.0.2.1",)
    assert first.asked == second.asked == ["pcpool.contoso.com. IN A"]


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP])
async def test_name_servers_that_refuse(start: Start, rcode: dns.rcode.Rcode) -> None:
    address = await start(TinyServer(refusing(rcode)))
    answer = await Resolver([address]).ask(POOL)
    assert answer == Answer(POOL, failure=SERVER_FAILURE, detail=f"{text(address)}: {dns.rcode.to_text(rcode)}")


async def test_both_fail_and_both_are_named(start: Start) -> None:
    first = await start(TinyServer(refusing(dns.rcode.SERVFAIL)))
    second = await start(TinyServer(silent))
    answer = await Resolver([first, second], per_try=1, in_all=1).ask(POOL)
    assert answer.failure == TIMEOUT
    assert answer.detail == f"{text(first)}: SERVFAIL, {text(second)}: no answer"


def forged(query: dns.message.Message) -> dns.message.Message:
    reply = address_of(query, "203.0.113.66")
    reply.id = query.id ^ 1
    return reply


def other_name(query: dns.message.Message) -> dns.message.Message:
    return address_of(dns.message.make_query("other.test", "A", id=query.id), "203.0.113.66")


def garbage(query: dns.message.Message) -> bytes:
    return query.to_wire()[:2] + b"\x80\xff\xff\xff"


def endless(query: dns.message.Message) -> dns.message.Message:
    reply = dns.message.make_response(query)
    name = query.question[0].name
    reply.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", name.to_text()))
    return reply


@pytest.mark.parametrize("react", [forged, other_name, garbage, endless])
async def test_what_is_no_answer_leads_nowhere(start: Start, react: Reaction) -> None:
    address = await start(TinyServer(react))
    answer = await Resolver([address], per_try=0.1, in_all=0.2).ask(POOL)
    assert answer.unknown
    assert answer.addresses == ()


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.1"])
async def test_addresses_that_nobody_can_be_at(start: Start, address: str) -> None:
    server = await start(TinyServer(lambda query: address_of(query, address)))
    answer = await Resolver([server]).ask(POOL)
    assert (answer.failure, answer.addresses) == (NO_RECORDS, ())


@pytest.mark.parametrize("name", ["a..b", f"{'x' * 64}.test", ".".join(["abcdefgh"] * 32), "b\xfccher\udc80"])
async def test_what_is_no_name_is_not_asked(start: Start, name: str) -> None:
    server = TinyServer(address_of)
    answer = await Resolver([await start(server)]).ask(Question(name, "A"))
    assert answer.failure == NO_NAME
    assert server.asked == []


async def test_no_more_than_so_many_at_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_AT_ONCE", 3)
    server = TinyServer(silent)
    resolver = Resolver([await start(server)], per_try=60, in_all=60)
    tasks = [asyncio.create_task(resolver.ask(Question(f"s{number}.test", "A"))) for number in range(10)]
    await server.wait_for(3)
    assert await Resolver([await start(TinyServer(address_of))]).ask(POOL), "a round trip later"
    assert len(server.asked) == 3
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_the_old_answer_serves_on_when_the_servers_begin_to_fail(start: Start) -> None:
    server = TinyServer(address_of)
    seeker = Seeker(Resolver([await start(server)]))
    destination = of_server("TCP", "pcpool.contoso.com", 5041, "")
    for react in (address_of, refusing(dns.rcode.SERVFAIL), refusing(dns.rcode.SERVFAIL)):
        server.react = react
        found = await seeker.find(destination)
        assert isinstance(found, Located)
        assert found.services[0].families == ((), ("192.0.2.1",))
        seeker.now += 61


# the hosts file


def resolver_with(tmp_path: Path, text: str) -> tuple[Resolver, Path]:
    """And with no name server at all."""
    hosts, nothing = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text(text)
    return Resolver(hosts_file=hosts, resolv_conf=nothing), hosts


async def test_names_of_the_hosts_file_work_without_name_servers(tmp_path: Path) -> None:
    resolver, _ = resolver_with(tmp_path, "192.0.2.1 pcpool.contoso.com\n2001:db8::1 pcpool.contoso.com\n")
    found = await Seeker(resolver).find(of_pool("pcpool.contoso.com"))
    assert isinstance(found, Located)
    assert found.services[0].families == (("2001:db8::1",), ("192.0.2.1",))


@pytest.mark.parametrize("text", ["", "127.0.0.1 localhost\n"])
async def test_localhost(tmp_path: Path, text: str) -> None:
    resolver, _ = resolver_with(tmp_path, text)
    assert (await resolver.ask(Question("localhost", "A"))).addresses == ("127.0.0.1",)


async def test_this_machines_own_hosts_file_is_the_default() -> None:
    assert (await Resolver([("127.0.0.1", 9)]).ask(Question("localhost", "A"))).addresses == ("127.0.0.1",)


async def test_other_names_say_what_is_missing(tmp_path: Path) -> None:
    resolver, _ = resolver_with(tmp_path, "")
    found = await Seeker(resolver).find(of_pool("pcpool.contoso.com"))
    assert isinstance(found, NotLocated)
    assert (found.kind, found.diagnostics) == (SERVER_FAILURE, 1008)
    assert "no name server is configured" in found.text


async def test_the_hosts_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_AGAIN", 0.0)
    resolver, hosts = resolver_with(tmp_path, "192.0.2.1 pc1.test\n")
    question = Question("pc1.test", "A")
    assert (await resolver.ask(question)).addresses == ("192.0.2.1",)
    hosts.write_text("192.0.2.2 pc1.test\n")
    os.utime(hosts, ns=(1, 1))  # whatever the file system's clock can tell apart
    assert (await resolver.ask(question)).addresses == ("192.0.2.2",)
    hosts.unlink()
    assert (await resolver.ask(question)).failure == SERVER_FAILURE


# resolv.conf


async def test_name_servers_of_resolv_conf(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("search contoso.com\noptions ndots:5\nnameserver 127.0.0.1\nnameserver ::1\n")
    resolver = Resolver(resolv_conf=conf, hosts_file=tmp_path / "none")
    assert resolver.name_servers == [("127.0.0.1", 53), ("::1", 53)]


async def test_resolv_conf_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that gets other name servers needs no restart of ours."""
    monkeypatch.setattr(module, "LOOK_AGAIN", 0.0)
    conf = tmp_path / "resolv.conf"
    resolver = Resolver(resolv_conf=conf, hosts_file=tmp_path / "none", per_try=0.1, in_all=0.1)
    assert "no name server" in (await resolver.ask(POOL)).detail
    for address in ("127.0.0.1", "127.0.0.2"):
        conf.write_text(f"nameserver {address}\n")
        assert "no name server" not in (await resolver.ask(POOL)).detail
        assert resolver.name_servers == [(address, 53)]
    conf.unlink()
    assert "no name server" in (await resolver.ask(POOL)).detail


async def test_a_name_is_asked_for_as_it_is(start: Start) -> None:
    server = TinyServer(refusing(dns.rcode.NXDOMAIN))
    answer = await Resolver([await start(server)]).ask(Question("pcpool", "A"))
    assert answer.failure == NO_NAME
    assert server.asked == ["pcpool. IN A"]


@pytest.mark.parametrize("content", ["", "nameserver not-an-address\n", "nameserver\n"])
async def test_a_resolv_conf_that_says_nothing(tmp_path: Path, content: str) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text(content)
    answer = await Resolver(resolv_conf=conf, hosts_file=tmp_path / "none").ask(POOL)
    assert answer == Answer(POOL, failure=SERVER_FAILURE, detail="no name server is configured")
