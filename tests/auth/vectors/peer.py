"""A client of our own to sign in with, and a server to sign in to: written apart from the server's code, so that both
can be wrong only by themselves."""

import re
from base64 import b64decode, b64encode
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

from spnego._ntlm_raw.crypto import compute_response_v2, ntowfv1, ntowfv2, rc4k
from spnego._ntlm_raw.messages import Authenticate, AvId, Challenge, FileTime, TargetInfo, Version

from sipgw.auth.accounts import Account, AccountTable, split_name
from sipgw.auth.answer import Answer
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.ntlm_mechanism import NtlmMechanism
from sipgw.auth.ntlm_session import NtlmSession
from sipgw.auth.sipae_server import SipaeServer, SipaeSettings
from sipgw.events import Flow
from sipgw.message.build import new_request, response_to
from sipgw.message.message import Request, Response

TARGETNAME, REALM = "fe01.contoso.com", "SIP Communications Service"
PASSWORD = "secret"
ALICE = Account("sip:alice@contoso.com", ("CORP\\alice", "alice@corp.contoso.com"), ntowfv1(PASSWORD))
BOB = Account("sip:bob@contoso.com", ("CORP\\bob",), ntowfv1(PASSWORD))
GONE = Account("sip:gone@contoso.com", ("CORP\\gone",), ntowfv1(PASSWORD), enabled=False)
HASHLESS = Account("sip:hashless@contoso.com", ("CORP\\hashless",))
WALL = 1_795_385_270.0
Came = Account | Answer | None
M = TypeVar("M", Request, Response)


class Site:
    """A server with NTLM; `now` is its clock."""

    def __init__(
        self,
        settings: SipaeSettings | None = None,
        lockout: LockoutSettings | None = None,
        accounts: AccountTable | None = None,
    ) -> None:
        self.now = 1000.0
        self.counters: Counter[str] = Counter()
        self.accounts = accounts or AccountTable([ALICE, BOB, GONE, HASHLESS])
        self.lockout = Lockout(lockout or LockoutSettings(), self.counters)
        self.random = Random(1)
        self.server = self.make(settings or SipaeSettings())

    def make(self, settings: SipaeSettings) -> SipaeServer:
        settings = replace(settings, wall_offset=WALL - self.now)
        self.ntlm = NtlmMechanism(self.accounts, TARGETNAME, self.random, settings.wall_offset, settings.clock_skew)
        return SipaeServer([self.ntlm], settings, self.lockout, self.random, self.counters)

    def judge(self, request: Request, flow: Flow) -> Came:
        return self.server.judge(request, flow, self.now)


def flow(cid: int = 1, host: str = "192.0.2.7", port: int = 50000) -> Flow:
    """A connection, or for 0 a datagram's way."""
    return Flow("TCP" if cid else "UDP", host, port, None, cid)


class Peer:
    """One client on one flow. After `sign_in` it can make signed messages."""

    def __init__(
        self,
        site: Site,
        name: str = "CORP\\alice",
        uri: str = ALICE.uri,
        password: str = PASSWORD,
        over: Flow | None = None,
        version: int = 4,
        epid: str = "b34afb6ebb23",
    ) -> None:
        self.site, self.name, self.uri, self.password = site, name, uri, password
        self.flow = over or flow()
        self.version = version
        self.epid = epid
        self.header = "Authorization"
        self.clock_off = 0.0
        self.opaque = ""
        self.count = 0
        self.session: NtlmSession | None = None
        self.call = 0

    def request(self, method: str = "INFO", *lines: str, to: str = "<sip:pool@contoso.com>;tag=t2") -> Request:
        """Not signed."""
        self.call += 1
        epid = f";epid={self.epid}" if self.epid else ""
        return new_request(
            method,
            "sip:pool@contoso.com",
            [
                "Via: SIP/2.0/TCP 192.0.2.7:50000;branch=z9hG4bKx",
                f'From: "Alice <A>" <{self.uri}>;tag=t1{epid}',
                f"To: {to}",
                f"Call-ID: call-{self.call}",
                f"CSeq: {self.call} {method}",
                *lines,
            ],
        )

    def handshake(self, token: bytes, method: str = "REGISTER", *lines: str, signed: bool = True) -> Request:
        opaque = f'opaque="{self.opaque}", ' if self.opaque else ""
        version = f", version={self.version}" if self.version > 2 else ""
        credentials = (
            f'{self.header}: NTLM qop="auth", {opaque}realm="{REALM}", targetname="{TARGETNAME}", '
            f'gssapi-data="{b64encode(token).decode()}"{version}'
        )
        request = self.request(method, *lines, credentials, to=f"<{self.uri}>")
        if signed and self.session is not None and self.version >= 4:
            at = len(request.lines) - 2
            request.lines[at] += f", {self._proof(request)}"
        return request

    def sign_in(self, method: str = "REGISTER") -> Came:
        """What comes of the last step."""
        self.opaque, self.count, self.session = "", 0, None
        asked = self.site.judge(self.handshake(b"", method), self.flow)
        if not isinstance(asked, Answer) or not asked.headers:
            return asked
        token = self.answer(asked)
        return self.site.judge(self.handshake(token, method), self.flow)

    def answer(self, asked: Answer) -> bytes:
        """AUTHENTICATE for a challenge, whose opaque is taken note of, and the keys."""
        params = dict(re.findall(r'([\w-]+)="([^"]*)"', asked.headers[0]))
        self.opaque = params["opaque"]
        challenge = Challenge.unpack(b64decode(params["gssapi-data"]))
        domain, user = split_name(self.name)
        key = ntowfv2(user, ntowfv1(self.password), domain)
        info = challenge.target_info or TargetInfo()
        nonce = self.site.random.randbytes(8)
        time = FileTime.from_datetime(info[AvId.timestamp] + timedelta(seconds=self.clock_off))
        nt, lm, base = compute_response_v2(key, challenge.server_challenge, nonce, time, info)
        exported = self.site.random.randbytes(16)
        self.session = NtlmSession(exported, challenge.flags, client=True)
        sealed = rc4k(base, exported)
        return Authenticate(challenge.flags, lm, nt, domain, user, "PC", sealed, Version(6, 1, 7601)).pack()

    def covered(self, message: Request | Response, rand: str, num: str) -> bytes:
        """What is signed, for the messages that are made here."""
        number, method = (message.first("cseq") or "").split()
        sender, target = ((message.first(name) or "") for name in ("from", "to"))
        uris = [re.findall(r"<(sips?:[^>]*)>", value)[0] for value in (sender, target)]
        asserted = message.first("p-asserted-identity") or message.first("p-preferred-identity") or ""
        values = ["NTLM", rand, num, REALM, TARGETNAME, message.call_id, number, method, uris[0], message.from_tag]
        if self.version > 2:
            sip, tel = (re.findall(rf"<({scheme}:[^>]*)>", asserted)[:1] for scheme in ("sip", "tel"))
            values += [uris[1], message.to_tag, "".join(sip), "".join(tel)]
        else:
            values += [message.to_tag]
        values.append(message.first("expires") or "")
        if isinstance(message, Response):
            values.append(str(message.status))
        return "".join(f"<{value}>" for value in values).encode()

    def _proof(self, message: Request | Response) -> str:
        assert self.session is not None
        self.count += 1
        rand = f"{self.site.random.getrandbits(32):08x}"
        signature = self.session.sign(self.covered(message, rand, str(self.count)))
        return f'crand="{rand}", cnum="{self.count}", response="{signature.hex()}"'

    def sign(self, message: M) -> M:
        """Add credentials at the end."""
        message.lines.append(
            f'{self.header}: NTLM qop="auth", opaque="{self.opaque}", realm="{REALM}", targetname="{TARGETNAME}", '
            f"{self._proof(message)}"
        )
        message.names.append(self.header.lower())
        message.reindex()
        return message

    def signed(self, method: str = "INFO", *lines: str, to: str = "<sip:pool@contoso.com>;tag=t2") -> Request:
        return self.sign(self.request(method, *lines, to=to))

    def send(self, method: str = "INFO", *lines: str) -> Came:
        """What comes of a signed request."""
        return self.site.judge(self.signed(method, *lines), self.flow)

    def response(self, status: int = 200, epid: str = "") -> Response:
        """To a request of the pool; not signed."""
        epid = f";epid={epid or self.epid}"
        request = new_request(
            "INFO",
            self.uri,
            [
                "Via: SIP/2.0/TCP fe01;branch=z9hG4bKy",
                "From: <sip:pool@contoso.com>;tag=p1",
                f"To: <{self.uri}>;tag=t1{epid}",
                "Call-ID: of-the-pool",
                "CSeq: 7 INFO",
            ],
        )
        return response_to(request, status)

    def hears(self, message: Request | Response) -> bool:
        """Whether the server has signed a message, exactly once, for this client."""
        told = [
            params
            for line, name in zip(message.lines, message.names, strict=True)
            if name in ("authentication-info", "proxy-authentication-info")
            and (params := dict(re.findall(r'(\w+)="([^"]*)"', line))).get("opaque") == self.opaque
        ]
        if len(told) != 1 or self.session is None:
            return False
        message.reindex()
        data = self.covered(message, told[0]["srand"], told[0]["snum"])
        return self.session.verify(data, bytes.fromhex(told[0]["rspauth"]))


def signed_in(site: Site | None = None, **named: Any) -> Peer:
    """A peer that has signed in."""
    peer = Peer(site or Site(), **named)
    assert isinstance(peer.sign_in(), Account)
    return peer


def refused(came: Came, status: int, reason: str, *, failed: bool = False) -> bool:
    """Whether everything is to be offered again."""
    assert isinstance(came, Answer), came
    return (came.status, came.headers, came.reason, came.failed) == (status, (), reason, failed)
