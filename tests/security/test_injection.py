"""Escapes in addresses come undone where addresses are compared, and nowhere else: no line, header or control character
that somebody has put into his address comes out as one. The harness reads what is sent as strictly as the gateway."""

from xml.etree import ElementTree

import pytest

from sipgw.core.registrar import RegistrarSettings
from sipgw.message import Message
from sipgw.transport.framing import StreamFramer
from tests.harness import CONTACT_OBJECT, DOMAIN, World, diagnostics_of, reply

LINES = (
    "%0d%0aX-Injected:%20yes",
    "%0aX-Injected%3ayes",
    "%0d%0a%0d%0aINVITE%20sip:x%20SIP/2.0%0d%0a",
    "%22;reason=%22x",
)
CONTROLS = ("%00", "%1b[2J", "%7f", "%08")


def plain(message: Message) -> None:
    """None of its header lines is one that an address has brought."""
    assert "x-injected" not in message.names
    assert all(line.isprintable() for line in message.lines)


@pytest.mark.parametrize("text", [*LINES, *CONTROLS])
@pytest.mark.parametrize("method", ["MESSAGE", "INVITE", "SUBSCRIBE"])
def test_who_is_called(text: str, method: str) -> None:
    world = World()
    alice = world.phone("alice")
    alice >> alice.request(method, f"sip:nobody{text}@{DOMAIN}")
    answer = alice.fail_call(404) if method == "INVITE" else alice << 404
    plain(answer)
    assert diagnostics_of(answer)[0] == 1003


@pytest.mark.parametrize("text", [*LINES, *CONTROLS])
def test_who_registers(text: str) -> None:
    """A user may have any name. What is said of him, to him and to others, is escaped as he has written it."""
    world = World()
    bob = world.phone("bob", instance="00000000-0000-0000-0000-00000000000b")
    uri = f"sip:bob{text}@{DOMAIN}"
    line = f'Contact: <{bob.contact}>;+sip.instance="<urn:uuid:{bob.instance}>"'
    bob >> bob.request("REGISTER", f"sip:{DOMAIN}", line, "Supported: gruu, gruu-10, path", to=uri)
    plain(bob << 200)
    alice = world.phone("alice")
    alice >> alice.request("MESSAGE", uri)
    message = bob << "MESSAGE"
    assert message.values("to")[0].startswith(f"<{uri}>")
    bob >> reply(message, 200)
    alice << 200
    bob.break_connection()
    alice >> alice.request("MESSAGE", uri)
    plain(alice << 480)


@pytest.mark.parametrize("text", [*LINES, *CONTROLS])
def test_who_is_signed_out_by_a_further_endpoint(text: str) -> None:
    """The NOTIFY that tells him is written by us, address and all."""
    world = World(registrar=RegistrarSettings(max_bindings_per_user=1))
    uri = f"sip:bob{text}@{DOMAIN}"
    first, second = (world.phone("bob", host=f"198.51.100.7{number}") for number in (1, 2))
    for number, party in enumerate((first, second)):
        lines = [
            f'Contact: <{party.contact}>;+sip.instance="<urn:uuid:{number}>"',
            "Event: registration",
            "Expires: 600",
        ]
        party >> party.request("REGISTER", f"sip:{DOMAIN}", *lines, to=uri, call_id=str(number))
        plain(party << 200)
        world.advance(1)
    told = first << "NOTIFY"
    plain(told)
    first >> reply(told, 200)
    world.finish()


@pytest.mark.parametrize("text", [*LINES, *CONTROLS, "%3cx%3e%26"])
def test_who_asks_for_his_own_document(text: str) -> None:
    """It is XML, whatever he is called."""
    world = World()
    alice = world.phone("alice")
    uri = f"sip:alice{text}@{DOMAIN}"
    lines = ("Event: vnd-microsoft-roaming-self", "Supported: ms-piggyback-first-notify")
    request = alice.request("SUBSCRIBE", uri, *lines).encode()
    alice >> request.replace(f"From: <{alice.uri}>".encode(), f"From: <{uri}>".encode())
    answer = alice << 200
    plain(answer)
    document = ElementTree.fromstring(answer.body)
    assert [element.tag.rpartition("}")[2] for element in document] == ["categories", "containers", "subscribers"]
    world.finish()


@pytest.mark.parametrize("text", LINES)
@pytest.mark.parametrize(
    "before", ["Call-ID: ", "User-Agent: x", "Subject: x", "Via: SIP/2.0/TCP x;branch=z9hG4bKx;x="]
)
def test_what_is_escaped_elsewhere_stays_so(text: str, before: str) -> None:
    world = World()
    alice, pool = world.phone("alice"), world.server()
    data = alice.request("MESSAGE", CONTACT_OBJECT).encode()
    line = f"{before}{text.replace('%22', '')}".encode()
    if before.startswith("Call-ID"):
        data = data.replace(b"Call-ID: ", line)
    else:
        data = data.replace(b"\r\nTo:", b"\r\n" + line + b"\r\nTo:")
    alice >> data
    arrived = pool << "MESSAGE"
    assert line.decode() in "\n".join(arrived.lines) and "x-injected" not in arrived.names
    pool >> reply(arrived, 200)
    plain(alice << 200)
    world.finish()


# one message more than was let in

INNER = f"MESSAGE {CONTACT_OBJECT} SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bKi\r\nFrom: <sip:boss@{DOMAIN}>;tag=1\r\n"
INNER += f"To: <{CONTACT_OBJECT}>\r\nCall-ID: inner\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 9\r\n\r\n"
LENGTHS = {
    "none": "",
    "short": "Content-Length: 0",
    "compact": "l: 0",
    "short-by-some": f"Content-Length: {len(INNER) // 2}",
    "long": "Content-Length: 9999",
    "two": f"Content-Length: {len(INNER)}\r\nContent-Length: 0",
    "two-turned": f"Content-Length: 0\r\nContent-Length: {len(INNER)}",
    "two-spellings": f"Content-Length: {len(INNER)}\r\nl: 0",
    "two-spacings": f"Content-Length: {len(INNER)}\r\nContent-Length : 0",
    "two-cases": f"CONTENT-LENGTH: 0\r\ncontent-length: {len(INNER)}",
    "list": f"Content-Length: 0, {len(INNER)}",
    "signed": "Content-Length: +0",
    "negative": "Content-Length: -1",
    "hexadecimal": "Content-Length: 0x0",
    "other-digits": "Content-Length: \xb2",
    "folded": "Content-Length:\r\n 0",
    "in-a-fold": f"Subject: x\r\n Content-Length: 0\r\nContent-Length: {len(INNER)}",
    "after-a-bare-line-feed": f"Subject: x\nContent-Length: 0\r\nContent-Length: {len(INNER)}",
    "after-a-bare-return": f"Subject: x\rContent-Length: 0\r\nContent-Length: {len(INNER)}",
    "many-digits": "Content-Length: 00000000000000000000",
    "empty": "Content-Length:",
    "chunked": "Transfer-Encoding: chunked\r\nContent-Length: 0",
}


@pytest.mark.parametrize("length", list(LENGTHS.values()), ids=list(LENGTHS))
def test_a_datagram_is_one_request_further_on_too(length: str) -> None:
    """§18.3: what is behind the body is dropped. On the connection to the pool it would be a request of ours."""
    world = World()
    alice, pool = world.phone("alice", "UDP"), world.server()
    data = alice.request("MESSAGE", CONTACT_OBJECT).encode()
    head = "\r\n".join(line for line in data.decode().split("\r\n") if line and not line.startswith("Content-Length"))
    alice >> f"{head}\r\n{length}{chr(13) + chr(10) if length else ''}\r\n{INNER}".encode("latin-1")
    for message in list(pool.inbox):  # the harness has held each to be one message on its stream
        assert message.call_id != "inner" and message.names.count("content-length") == 1
        pool.inbox.remove(message)
        pool >> reply(message, 200)
    (answer,) = alice.inbox
    assert answer.start.split()[1] in ("200", "400")
    alice.inbox.clear()
    world.finish()


@pytest.mark.parametrize("length", list(LENGTHS.values()), ids=list(LENGTHS))
def test_so_is_a_response(length: str) -> None:
    """The other way round it is the caller, or the pool, who would hear more than was said."""
    world = World()
    bob, caller = world.phone("bob", "UDP", "198.51.100.8"), world.phone("alice")
    bob.sign_in()
    caller >> caller.request("MESSAGE", bob.uri)
    lines = reply(bob << "MESSAGE", 200).encode().decode().split("\r\n")
    head = "\r\n".join(line for line in lines if line and not line.startswith("Content-Length"))
    bob >> f"{head}\r\n{length}{chr(13) + chr(10) if length else ''}\r\n{INNER}".encode("latin-1")
    assert [message.start for message in caller.inbox] in ([], ["SIP/2.0 200 OK"])
    assert all(message.names.count("content-length") == 1 for message in caller.inbox)
    caller.inbox.clear()
    world.finish()


@pytest.mark.parametrize(
    "type_of", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
@pytest.mark.parametrize("method", ["POST", "GET", "OPTIONS", "INVITE"])
def test_a_web_page_cannot_speak_to_us(method: str, type_of: str) -> None:
    """What a browser sends has its length on it, so that a body stays a body: no line of it is read as a request."""
    world = World()
    alice, pool = world.phone("alice"), world.server()
    lines = [
        f"{method} / HTTP/1.1",
        "Host: 127.0.0.1:5060",
        f"Content-Type: {type_of}",
        f"Content-Length: {len(INNER)}",
    ]
    page = "\r\n".join([*lines, "", INNER]).encode()
    frames = StreamFramer(65536, 1 << 20).feed(page)
    assert frames == [page]
    for frame in frames:
        alice >> frame
    pool.nothing()
    alice.nothing()
