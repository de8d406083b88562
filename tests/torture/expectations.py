"""What every torture message is owed by this proxy and registrar, and why.

A treatment is what the sender and others see of it, in order: `forwarded`, a final status, or `dropped` when nothing at
all is sent. The gateway of these tests serves the domains of the messages, their callees are signed in, and the sender
is trusted to relay; so that "forwarded" means that the message was accepted and routing could have its way.
"""

from dataclasses import dataclass

FORWARDED, DROPPED = "forwarded", "dropped"
GOES_ON, CLOSED, SWALLOWED = "goes on", "closed", "swallowed"


@dataclass(frozen=True)
class Owed:
    """`tcp` where a stream makes a difference; `then` is what becomes of the connection: it goes on, is closed by us,
    or what follows is taken for the rest of the message. `stranger` is what the sender gets when it is not trusted to
    relay, where that differs; `counter` is where a message that is dropped is counted."""

    section: str
    udp: str
    why: str
    tcp: str = ""
    then: str = GOES_ON
    stranger: str = ""
    counter: str = ""

    def by(self, transport: str) -> str:
        return self.tcp or self.udp if transport == "TCP" else self.udp


def accepted(section: str, why: str, stranger: str = "") -> Owed:
    return Owed(section, FORWARDED, why, stranger=stranger)


def stray(section: str, why: str) -> Owed:
    return Owed(section, DROPPED, f"{why}; it answers nothing that was asked", counter="stray")


VALID = {
    "wsinv": accepted("3.1.1.1", "folds, white space around every separator, compact names, leading zeros"),
    "intmeth": accepted("3.1.1.2", "any token is a method, and quoted pairs may hold NUL, BEL and DEL"),
    "esc01": accepted("3.1.1.3", "escapes are undone to find the user, and sent on as they came"),
    "escnull": Owed("3.1.1.4", "200", "%00 is a character like others: two contacts that differ"),
    "esc02": accepted("3.1.1.5", "the percent signs are no escapes: not REGISTER, not Contact", stranger="403"),
    "lwsdisp": accepted("3.1.1.6", "no white space is needed before <"),
    "longreq": accepted("3.1.1.7", "34 Vias and long values are within all bounds"),
    "dblreq": Owed(
        "3.1.1.8",
        "200",
        "what follows the message in a datagram is ignored (§18.3), on a stream it is the next message",
        tcp="200 forwarded",
    ),
    "semiuri": accepted("3.1.1.9", "a semicolon before the @ belongs to the user"),
    "transports": accepted("3.1.1.10", "a transport in a Via need not be known"),
    "mpart01": accepted("3.1.1.11", "a binary body, and a Route to a strict router", stranger="403"),
    "unreason": stray("3.1.1.12", "any UTF-8 is a reason phrase"),
    "noreason": stray("3.1.1.13", "a reason phrase may be empty"),
}

INVALID = {
    "badinv01": Owed("3.1.2.1", "400", "empty parameters and values in Via"),
    "clerr": Owed(
        "3.1.2.2",
        "400",
        "a datagram holds less than Content-Length says; a stream is waited for until it was silent for too long",
        tcp=DROPPED,
        then=SWALLOWED,
    ),
    "ncl": Owed("3.1.2.3", "400", "a negative Content-Length: nobody knows where the next message begins", then=CLOSED),
    "scalar02": Owed("3.1.2.4", "400", "CSeq is beyond 2**31"),
    "scalarlg": Owed("3.1.2.5", DROPPED, "CSeq of a response is beyond 2**31", counter="unanswerable"),
    "quotbal": Owed("3.1.2.6", "400", "a quoted string in To does not end"),
    "ltgtruri": Owed("3.1.2.7", "400", "a Request-URI has no angle brackets"),
    "lwsruri": Owed("3.1.2.8", "400", "a Request-URI has no white space"),
    "lwsstart": Owed("3.1.2.9", "400", "the parts of a request line are one space apart"),
    "trws": Owed("3.1.2.10", "400", "a request line ends with the version"),
    "escruri": Owed("3.1.2.11", "400", "a Request-URI has no headers (§19.1.1)"),
    "baddate": accepted("3.1.2.12", "a proxy does not look at Date"),
    "regbadct": Owed("3.1.2.13", "400", "without brackets nobody can say whose the question mark is (§20.10)"),
    "badaspec": Owed("3.1.2.14", "400", "white space inside the brackets of To"),
    "baddn": Owed(
        "3.1.2.15",
        "400",
        "a comma in a display name without quotes; the message as published does not end its header either, so that a "
        "stream gives it the head of the next",
        then=SWALLOWED,
    ),
    "badvers": Owed("3.1.2.16", "505", "SIP/7.0, in its Via too"),
    "mismatch01": Owed("3.1.2.17", "400", "CSeq is that of another method"),
    "mismatch02": Owed("3.1.2.18", "400", "the same, with a method that nobody knows"),
    "bigcode": Owed("3.1.2.19", DROPPED, "no status is beyond 699", counter="unanswerable"),
}

SEMANTICS = {
    "badbranch": accepted("3.2.1", "a cookie alone is no branch: matched by the rule for older clients (§17.2.3)"),
    "insuf": Owed("3.3.1", "400", "neither Call-ID nor From nor To; Via and CSeq suffice to match the answer"),
    "unkscm": Owed("3.3.2", "416", "a scheme that nobody knows"),
    "novelsc": Owed("3.3.3", "416", "a scheme that is registered and never served here"),
    "unksm2": Owed("3.3.4", "400", "an address of record is a sip or sips URI (§10.3)"),
    "bext01": Owed("3.3.5", "420", "Proxy-Require of what we do not support; Require is not for a proxy"),
    "invut": accepted("3.3.6", "a body is not a proxy's business"),
    "regaut01": Owed("3.3.7", "200", "credentials that were not asked for are not looked at"),
    "multi01": Owed("3.3.8", "400", "two of what may be there once"),
    "mcl01": Owed("3.3.9", "400", "two lengths: nobody knows where the next message begins", then=CLOSED),
    "bcast": stray("3.3.10", "a broadcast address in the second Via is none of our business"),
    "zeromf": Owed("3.3.11", "483", "it has no hops left, and we are not its target"),
    "cparam01": Owed("3.3.12", "200", "without brackets a parameter is the Contact's"),
    "cparam02": Owed("3.3.13", "200", "within brackets a parameter is the URI's"),
    "regescrt": Owed("3.3.14", "200", "headers within a bracketed contact are legal"),
    "sdp01": accepted("3.3.15", "what the caller accepts is for the callee"),
    "inv2543": Owed(
        "3.4.1",
        FORWARDED,
        "no branch, no tag, no Max-Forwards: as of old; on a stream a body without Content-Length has no end",
        tcp="400",
        then=CLOSED,
    ),
}

IPV6 = {
    "ipv6-good": accepted("4.1", "IPv6 references in URIs and Via", stranger="403"),
    "ipv6-bad": Owed("4.2", "400", "an IPv6 address in a URI has brackets"),
    "port-ambiguous": accepted("4.3", "what is within the brackets is the address, port or not", stranger="403"),
    "port-unambiguous": accepted("4.4", "a port follows the brackets", stranger="403"),
    "via-received-param-with-delim": accepted("4.5", "received with brackets, as half of the world sends", "403"),
    "via-received-param-no-delim": accepted("4.5", "received without brackets, as the grammar has it", "403"),
    "ipv6-in-sdp": accepted("4.6", "IPv6 in a body that we do not read", stranger="403"),
    "mult-ip-in-header": accepted("4.7", "both families in one Via list", stranger="403"),
    "mult-ip-in-sdp": accepted("4.8", "both families in one body", stranger="403"),
    "ipv4-mapped-ipv6": accepted("4.9", "IPv4 addresses mapped into IPv6"),
    "ipv6-bug-abnf-3-colons": accepted("4.10", "the grammar's third colon is tolerated and means nothing", "403"),
    "ipv6-correct-abnf-2-colons": accepted("4.10", "the same address without it", stranger="403"),
}

EXPECTED = {**VALID, **INVALID, **SEMANTICS, **IPV6}

CALLEES = (  # the users whom accepted messages are for, as addresses of record
    "sip:vivekg@chair-dnrc.example.com",
    "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com",
    "sip:sips%3Auser%40example.com@example.net",
    "sip:user@example.com",
    "sip:joe@example.com",
    "sip:user;par=u%40example.net@example.com",
    "sip:UserB@example.com",
    "sip:kumiko@example.org",
)
FQDN = "services.example.com"  # the Route of wsinv names it, and so leads here
DOMAINS = ("example.com", "example.net", "example.org", "company.com", "chair-dnrc.example.com")
