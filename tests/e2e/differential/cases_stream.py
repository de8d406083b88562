"""TCP: how messages lie in the stream (RFC 3261 §18.3), keep-alives, connections that end."""

from tests.e2e.differential.book import TCP, case
from tests.e2e.differential.stage import CHAT, TCP_CHAT, Stage


@case(TCP)
def two_in_one_segment(s: Stage) -> None:
    s.caller.send(s.request(seq=1) + s.request(seq=2, call="2"))
    s.settle()


@case(TCP)
def five_of_several_kinds_in_one_segment(s: Stage) -> None:
    s.caller.send(b"".join(s.request("MESSAGE", body=b"x" * size, call=str(size)) for size in (0, 1, 2, 700, 3)))
    s.settle()


@case(TCP)
def split_in_three(s: Stage) -> None:
    message = s.request("MESSAGE", body=b"hello, world")
    for piece in (message[:40], message[40:-6], message[-6:]):
        s.caller.send(piece)
    s.settle()


@case(TCP)
def split_at_the_blank_line(s: Stage) -> None:
    message = s.request("MESSAGE", body=b"hello, world")
    at = message.index(b"\r\n\r\n")
    for piece in (message[: at + 1], message[at + 1 : at + 3], message[at + 3 :]):
        s.caller.send(piece)
    s.settle()


@case(TCP)
def byte_by_byte(s: Stage) -> None:
    for byte in s.request("MESSAGE", body=b"\r\n\r\n"):
        s.caller.send(bytes([byte]))
    s.settle()


@case(TCP)
def one_and_a_half_then_the_rest(s: Stage) -> None:
    first, second = s.request(call="1"), s.request("MESSAGE", call="2", body=b"0123456789")
    s.caller.send(first + second[:50])
    s.wait_for(lambda: bool(s.caller.heard), "the answer to the first")
    s.caller.send(second[50:])
    s.settle()


@case(TCP)
def line_breaks_between(s: Stage) -> None:
    s.caller.send(b"\r\n" + s.request(call="1") + b"\r\n" + s.request(call="2"))
    s.settle()


@case(TCP)
def keep_alive_between(s: Stage) -> None:
    s.caller.send(s.request(call="1") + b"\r\n\r\n" + s.request(call="2"))
    s.settle()


@case(TCP)
def keep_alive_alone_then_a_message(s: Stage) -> None:
    s.caller.send(b"\r\n\r\n")
    s.wait_for(lambda: bool(s.caller.heard), "the pong")
    s.caller.send(s.request())
    s.settle()


@case(TCP)
def body_that_looks_like_a_message(s: Stage) -> None:
    s.caller.send(s.request("MESSAGE", body=s.request(call="inner")))
    s.settle()


@case(TCP)
def content_length_by_its_compact_name(s: Stage) -> None:
    lines = {"Content-Length": "l : 5"}
    s.caller.send(s.request("MESSAGE", change=lines, body=b"hello") + s.request(call="2"))
    s.settle()


@case(TCP)
def content_length_in_the_middle(s: Stage) -> None:
    lines = {"Content-Length": None, "From": "Content-Length: 5\r\nFrom: <sip:caller@contoso.com>;tag=tag-caller"}
    s.caller.send(s.request("MESSAGE", change=lines, body=b"hello") + s.request(call="2"))
    s.settle()


@case(TCP)
def content_length_folded(s: Stage) -> None:
    lines = {"Content-Length": "Content-Length:\r\n 5"}
    s.caller.send(s.request("MESSAGE", change=lines, body=b"hello") + s.request(call="2"))
    s.settle()


@case(TCP)
def content_length_too_great_for_anybody(s: Stage) -> None:
    """Then the caller says no more: sipgw has refused it by then, Kamailio has read on."""
    s.caller.send(s.request("MESSAGE", change={"Content-Length": "Content-Length: 99999999"}, body=b"hello"))
    s.caller.port.finish()
    s.wait_for(lambda: s.caller.port.closed, "the end of the connection")
    s.settle()


@case(TCP)
def broken_line_then_good(s: Stage) -> None:
    """The stream can be followed past it."""
    s.caller.send(s.request(call="1", extra=["no header at all"]) + s.request(call="2"))
    s.settle()


@case(TCP)
def large_both_ways(s: Stage) -> None:
    s.uses_tcp_pool = True
    s.caller.send(s.request("MESSAGE", TCP_CHAT, body=bytes(range(256)) * 200))
    s.settle()


@case(TCP)
def header_of_ten_kb(s: Stage) -> None:
    s.uses_tcp_pool = True
    s.caller.send(s.request("MESSAGE", TCP_CHAT, extra=[f"X-Long: {'y' * 10_000}"]))
    s.settle()


@case(TCP)
def answer_from_another_connection(s: Stage) -> None:
    """An answer goes by the connection of its request (§18.2.2)."""
    other = s.client("other", "TCP")
    s.caller.send(s.request(call="1"))
    s.settle()
    other.send(s.request(call="2", sender=other))
    s.settle()


@case(TCP)
def udp_after_tcp(s: Stage) -> None:
    other = s.client("other")
    s.caller.send(s.request("INVITE", CHAT, call="1"))
    s.settle()
    other.send(s.request("INVITE", CHAT, call="2", sender=other))
    s.settle()
