"""Clients and a pool over UDP: the kernel gives each to a worker, and everything finds its way all the same."""

from pathlib import Path

from tests.e2e.workers.peer import Peer, header_lines, response, to_via, worker_in
from tests.e2e.workers.site import site

CHAT = "sip:ocschat@contoso.com"
BRISK = "[timers]\nt1 = 0.05\nt2 = 0.1\nt4 = 0.05\n"  # an ACK that is missing shows within seconds


def request(method: str, uri: str, peer: Peer, serial: str, *lines: str) -> str:
    via = f"Via: SIP/2.0/UDP 127.0.0.1:{peer.port};branch=z9hG4bK{method}{serial}"
    head = [f"{method} {uri} SIP/2.0", via, "Max-Forwards: 70", *lines, "Content-Length: 0", "", ""]
    return "\r\n".join(head)


def pool_answer(text: str) -> str | None:
    """Takes calls at once; what belongs to "slow" ones it leaves to the test."""
    if text.startswith("ACK") or "slow" in text:
        return None
    return response(text, "200 OK", "pool", f"Contact: <sip:127.0.0.1:{to_via(text)}>")


def client_answer(text: str) -> str | None:
    return None if text.startswith("ACK") else response(text, "200 OK", "client")


async def called(client: Peer, gateway: int, serial: str) -> str:
    """Open a dialog. The 200."""
    sides = [f"From: <sip:alice@contoso.com>;tag=a{serial}", f"To: <{CHAT}>", f"Call-ID: {serial}"]
    contact = f"Contact: <sip:127.0.0.1:{client.port}>"
    client.send(request("INVITE", CHAT, client, serial, *sides, "CSeq: 1 INVITE", contact), gateway)
    return await client.next("SIP/2.0 200")


def from_pool(ok: str, pool: Peer, client: Peer, serial: str) -> str:
    """An INFO of the pool inside a dialog, by the call's 200."""
    routes = [line.replace("Record-Route", "Route") for line in header_lines(ok, "record-route")]
    caller = header_lines(ok, "from")[0].replace("From", "To", 1)
    callee = header_lines(ok, "to")[0].replace("To", "From", 1)
    rest = [callee, caller, *header_lines(ok, "call-id"), "CSeq: 7 INFO"]
    return request("INFO", f"sip:127.0.0.1:{client.port}", pool, serial, *routes, *rest)


async def test_calls_and_what_the_pool_says_in_them(tmp_path: Path) -> None:
    """The pool is one peer, so its requests all come to one worker: some of the clients are at the other."""
    pool = await Peer.open(pool_answer)
    clients: list[Peer] = []
    async with site(tmp_path, f"udp:127.0.0.1:{pool.port}") as here:
        met: set[tuple[int, int]] = set()
        while len(met) < 2:
            assert len(clients) < 60
            client = await Peer.open(client_answer)
            clients.append(client)
            serial = f"call{len(clients)}"
            ok = await called(client, here.udp, serial)
            invite = await pool.next("INVITE")
            assert to_via(invite) != here.udp, "each worker has an address of its own for answers"
            pool.send(from_pool(ok, pool, client, serial), here.udp)
            info = await client.next("INFO")
            assert to_via(info) == here.udp, "a client hears from where it speaks to"
            await pool.next("SIP/2.0 200")
            met.add((worker_in(invite), worker_in(info)))
        assert await here.metric('sipgw_core_events_total{event="handed_over"}') >= 1
    for peer in (pool, *clients):
        peer.close()
    assert not here.lines("Traceback")


async def test_a_cancel_that_comes_another_way_finds_its_invite(tmp_path: Path) -> None:
    """As from a proxy of several addresses: the branch is the INVITE's, the source is not."""
    pool = await Peer.open(pool_answer)
    senders = [await Peer.open(client_answer) for _ in range(8)]
    async with site(tmp_path, f"udp:127.0.0.1:{pool.port}", workers=3, more=BRISK) as here:
        caller = senders[0]
        for sender in senders:
            serial = f"slow{sender.port}"
            sides = [f"From: <sip:alice@contoso.com>;tag={serial}", f"To: <{CHAT}>", f"Call-ID: {serial}"]
            caller.send(request("INVITE", CHAT, caller, serial, *sides, "CSeq: 1 INVITE"), here.udp)
            invite = await pool.next("INVITE")
            pool.send(response(invite, "180 Ringing", "pool"), to_via(invite))
            await caller.next("SIP/2.0 180")
            cancel = request("CANCEL", CHAT, caller, serial, *sides, "CSeq: 1 CANCEL")
            sender.send(cancel.replace("CANCELslow", "INVITEslow"), here.udp)
            cancelled = await pool.next("CANCEL")
            pool.send(response(cancelled, "200 OK", "pool"), to_via(cancelled))
            pool.send(response(invite, "487 Request Terminated", "pool"), to_via(invite))
            terminated = await caller.next("SIP/2.0 487")
            ack = request("ACK", CHAT, caller, serial, *sides[:1], *header_lines(terminated, "to", "call-id"))
            sender.send(
                ack.replace("ACKslow", "INVITEslow").replace("Content-Length", "CSeq: 1 ACK\r\nContent-Length"),
                here.udp,
            )
        await here.until("sipgw_worker_transactions", 0)
        assert not await here.metric('sipgw_core_events_total{event="unacknowledged"}')
    for peer in (pool, *senders):
        peer.close()
