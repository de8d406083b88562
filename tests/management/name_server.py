"""A name server on loopback, in a thread, for commands that run an event loop of their own in the test's."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.zone

_SOA = "@ 300 IN SOA ns.contoso.com. hostmaster.contoso.com. 1 3600 600 86400 20\n@ 300 IN NS ns.contoso.com.\n"


@contextmanager
def serving(text: str, origin: str = "contoso.com") -> Iterator[tuple[str, int]]:
    """Serve one zone; gives the address. What lies outside of it is refused."""
    zone = dns.zone.from_text(_SOA + text, origin, relativize=False, check_origin=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_serve, args=(sock, zone))
        thread.start()
        try:
            yield sock.getsockname()
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.sendto(b"", sock.getsockname())  # the end
            thread.join()


def _serve(sock: socket.socket, zone: dns.zone.Zone) -> None:
    while True:
        data, peer = sock.recvfrom(4096)
        if not data:
            return
        sock.sendto(_reply(dns.message.from_wire(data), zone).to_wire(), peer)


def _reply(query: dns.message.Message, zone: dns.zone.Zone) -> dns.message.Message:
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA | dns.flags.RA
    question = query.question[0]
    assert zone.origin is not None
    if not question.name.is_subdomain(zone.origin):
        reply.set_rcode(dns.rcode.REFUSED)
        return reply
    found = zone.get_rrset(question.name, question.rdtype)
    if found is not None:
        reply.answer.append(found)
        return reply
    if not any(name.is_subdomain(question.name) for name in zone.nodes):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    soa = zone.get_rrset(zone.origin, dns.rdatatype.SOA)
    assert soa is not None
    reply.authority.append(soa)
    return reply
