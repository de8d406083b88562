"""What a datagram with a forged source address makes the gateway send there (RFC 3261 §26.3.2.4): never more than one
answer, and not many times its own bytes. docs/security.md has the figures that are held here."""

from random import Random

import pytest

from sipgw.auth.digest_gate import DigestGate
from sipgw.auth.digest_server import DigestServer, DigestSettings
from sipgw.auth.gate import Gate
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.ntlm_mechanism import NtlmMechanism
from sipgw.auth.sipae_server import SipaeServer, SipaeSettings
from sipgw.transport.stun import answer
from tests.harness import CONTACT_OBJECT, DOMAIN, FQDN, GATEWAY, POOL_FQDN
from tests.security.watching import VICTIM, Watched

ALGORITHMS = ("SHA-256", "SHA-512-256", "MD5")
USUAL, LEAST = 3.5, 11.0  # times: of a request as phones send it, of the smallest that is answered at all


def world_of_all_schemes() -> Watched:
    """A gateway that offers NTLM and three sorts of Digest: the longest challenges that there are without Kerberos."""
    world = Watched(gate=False)
    counters, random = world.engine.counters, Random(1)
    lockout = Lockout(LockoutSettings(), counters)
    ntlm = NtlmMechanism(world.directory, FQDN, random, 1_795_000_000.0)
    sipae = SipaeServer([ntlm], SipaeSettings(wall_offset=1_795_000_000.0), lockout, random, counters)
    digest = DigestGate(DigestServer(DigestSettings(DOMAIN, ALGORITHMS), world.directory, random, counters), lockout)
    world.engine.use_gate(Gate(world.directory, sipae, digest, counters))
    return world


def sent_back(data: bytes, copies: int = 1) -> tuple[int, int]:
    """How many messages, and how many bytes, go to the victim for copies of one datagram in as long as any timer runs;
    nothing goes to anybody else."""
    world = world_of_all_schemes()
    victim = world.phone("alice", "UDP", VICTIM, 5060)
    for _ in range(copies):
        victim >> data
    world.advance(300.0)
    assert all((send.to.host, send.to.port) == (VICTIM, 5060) for send in world.sends)
    return len(world.sends), sum(len(send.data) for send in world.sends)


METHODS = ("INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "BENOTIFY", "BYE", "CANCEL", "REFER", "FOO", "ACK")
URIS = (f"sip:{DOMAIN}", CONTACT_OBJECT, f"sip:alice@{DOMAIN}", "sip:x@198.51.100.99", f"sip:{POOL_FQDN}", "tel:1")


def usual(method: str, uri: str) -> bytes:
    """As short as a program that people use would send it."""
    lines = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {VICTIM}:5060;branch=z9hG4bK776asdhds8a7s6d;rport",
        "Max-Forwards: 70",
        f'From: "Alice" <sip:alice@{DOMAIN}>;tag=1928301774',
        f"To: <sip:alice@{DOMAIN}>",
        f"Call-ID: a84b4c76e66710@{VICTIM}",
        f"CSeq: 314159 {method}",
        f"Contact: <sip:alice@{VICTIM}:5060>",
        "User-Agent: Phone 1.0",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def smallest(method: str, uri: str) -> bytes:
    """With the header fields that have to be there and nothing else."""
    head = f"{method} {uri} SIP/2.0\r\nv:SIP/2.0/UDP x\r\nf:sip:a;tag=1\r\nt:sip:b\r\ni:1\r\n"
    return f"{head}CSeq:1 {method}\r\n\r\n".encode()


@pytest.mark.parametrize("uri", URIS)
@pytest.mark.parametrize("method", METHODS)
def test_one_answer_of_modest_size(method: str, uri: str) -> None:
    """Nothing is sent again to who has not proved himself, an answer to an INVITE least of all."""
    for data, most in ((usual(method, uri), USUAL), (smallest(method, uri), LEAST)):
        count, size = sent_back(data)
        assert count == (0 if method == "ACK" else 1)
        assert size <= most * len(data)


@pytest.mark.parametrize("method", METHODS)
def test_copies_of_it_get_no_more_than_as_many(method: str) -> None:
    count, size = sent_back(usual(method, CONTACT_OBJECT), copies=10)
    assert count <= 10
    assert size <= 10 * USUAL * len(usual(method, CONTACT_OBJECT))


RUBBISH = {
    "nothing": b"",
    "line-ends": b"\r\n\r\n",
    "one-byte": b"\x00",
    "no-headers": b"OPTIONS sip:a SIP/2.0\r\n\r\n",
    "no-to": b"X sip:a SIP/2.0\r\nv:SIP/2.0/UDP x\r\nCSeq:1 X\r\n\r\n",
    "no-request-line": b"X a b SIP/2.0\r\nv:SIP/2.0/UDP x\r\nCSeq:1 X\r\n\r\n",
    "version": b"X sip:a SIP/9.0\r\nv:SIP/2.0/UDP x\r\nCSeq:1 X\r\n\r\n",
    "via": b"X sip:a SIP/2.0\r\nv:x\r\nCSeq:1 X\r\n\r\n",
    "two-froms": smallest("X", "sip:a").replace(b"t:", b"f:sip:c\r\nt:"),
    "many-headers": smallest("X", "sip:a")[:-2] + b"a:\r\n" * 300 + b"\r\n",
    "length": smallest("X", "sip:a")[:-2] + b"l:9\r\n\r\n",
    "credentials": smallest("REGISTER", "sip:a")[:-2] + b"Authorization: Digest\r\n\r\n",
    "handshake": smallest("REGISTER", "sip:a")[:-2] + b'Authorization: NTLM realm="SIP Communications Service"\r\n\r\n',
    "long-uri": smallest("X", "sip:" + "a" * 5000),
    "response": b"SIP/2.0 200 OK\r\nv:SIP/2.0/UDP x\r\n\r\n",
    "vias": smallest("X", "sip:a").replace(b"f:", b"v:SIP/2.0/UDP 203.0.113.77\r\n" * 50 + b"f:"),
}


@pytest.mark.parametrize("data", list(RUBBISH.values()), ids=list(RUBBISH))
def test_what_is_broken_gets_no_more(data: bytes) -> None:
    count, size = sent_back(data)
    assert count <= 1
    assert size <= LEAST * len(data)


def test_an_ntlm_handshake_is_no_exception() -> None:
    """The CHALLENGE of NTLM is long, and so is what asks for it."""
    line = f'Authorization: NTLM qop="auth", realm="SIP Communications Service", targetname="{FQDN}", gssapi-data=""'
    for data in (usual("REGISTER", f"sip:{DOMAIN}"), smallest("REGISTER", f"sip:{DOMAIN}")):
        asks = data[:-2] + line.encode() + b"\r\n\r\n"
        count, size = sent_back(asks)
        assert count == 1
        assert size <= 6.0 * len(asks)


def test_strangers_leave_no_transactions_behind() -> None:
    """Else they could take up all the room that there is."""
    world = world_of_all_schemes()
    mallory = world.phone("alice", "UDP", VICTIM, 5060)
    for number in range(50):
        mallory >> mallory.request("INVITE", CONTACT_OBJECT, f"Contact: <sip:x@{GATEWAY}>", cseq=number + 1)
    assert world.engine.sizes().server_transactions == 0


@pytest.mark.parametrize("host", [VICTIM, "2001:db8::66"])
def test_nor_is_a_keep_alive(host: str) -> None:
    """STUN on the same port: only as long as an address makes it."""
    request = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
    told = answer(request, host, 5060)
    assert told is not None and len(request) < len(told) <= USUAL * len(request)
