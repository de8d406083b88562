"""The transaction layer: finds the transaction that a message belongs to, or makes one (RFC 3261 §17.1.3, §17.2.3)."""

from collections import Counter
from collections.abc import Callable
from hashlib import blake2s
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import Random
from typing import Final, Protocol

from sipgw.events import AGED, Flow, Hop, Output, Send
from sipgw.message.build import response_to
from sipgw.message.message import Request, Response
from sipgw.message.values import MAGIC_COOKIE, Via, line_method
from sipgw.transaction.client import NOBODY, ClientTransaction, ClientUser
from sipgw.transaction.server import ServerKey, ServerTransaction
from sipgw.transaction.tables import CALLING, PROCEEDING, TRYING
from sipgw.transaction.timers import Timers, TimerValues
from sipgw.transport.via import reply_flow

# A CANCEL does not name the method of its request; those that are registered for SIP are looked for, INVITE first.
_CANCELLABLE: Final = [
    *("INVITE", "MESSAGE", "INFO", "SUBSCRIBE", "NOTIFY", "OPTIONS", "REGISTER"),
    *("REFER", "BYE", "UPDATE", "PRACK", "PUBLISH", "SERVICE", "BENOTIFY"),
]
PAGE: Final = 512  # bytes of randomness that are turned into digits at once
REPEATABLE: Final = ("INVITE", "OPTIONS")  # over another connection, though the first may have delivered them
UNANSWERED: Final = (CALLING, TRYING, PROCEEDING)


class TransactionUser(Protocol):
    """What stands above the layer: the proxy core or a user agent core."""

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        """A new request; the transaction is there to be answered."""

    def on_ack(self, ack: Request, flow: Flow, now: float) -> None:
        """An ACK that no transaction takes: the one to a 2xx."""

    def on_stray_response(self, response: Response, flow: Flow, now: float) -> None:
        """A response without a transaction: a 2xx sent again after Timer M, or nonsense."""


class TransactionLayer:
    """All transactions of one engine. Whatever is to be sent is appended to `out`, which the engine hands over.

    `max_transactions` bounds server transactions; a new request beyond it is answered 503 without state and counted as
    "refused". `random` supplies tags and branches. `flows` maps the id of every live connection to its flow. `admits`
    is asked about every request that would get a transaction; those that it turns down are answered in the same way.
    `inside` tells whether a request belongs to a dialog, for which there is twice the room, as for CANCEL and BYE.
    `endpoint` tells that responses end here, so that one with a further Via is not for us. `seal` is handed every
    message before it is encoded, to sign it where its receiver wants that; `hears` is asked about every message
    received, and what it turns down is as if it had never come. `responses` counts those that were sent, by status.
    `branch_prefix` starts the branches of requests; `elsewhere` is offered responses that no transaction is for.
    `newest` is the id of the connection that was opened last. With `redials` an INVITE or OPTIONS that was lost with a
    connection older than itself is sent once more, over a new one.
    """

    def __init__(
        self,
        values: TimerValues,
        random: Random,
        max_transactions: int = 100_000,
        overload_headers: tuple[str, ...] = (),
    ) -> None:
        self.values = values
        self.trying_after = values.until_t2
        self.timers = Timers()
        self.out: list[Output] = []
        self.user: TransactionUser
        self.counters: Counter[str] = Counter()
        self.responses = [0] * 1000
        self._bytes = random.randbytes
        self._page = ""
        self._at = 0
        self._key = random.randbytes(16)
        self._max = max_transactions
        self.overload_headers = overload_headers
        self._servers: dict[ServerKey, ServerTransaction] = {}
        self._clients: dict[str, ClientTransaction] = {}
        self._by_peer: dict[Hop | int, dict[ClientTransaction, int]] = {}
        self.newest = 0
        self.redials = False
        self.admits: Callable[[Request, Flow, float], bool] | None = None
        self.inside: Callable[[Request], bool] | None = None
        self._unmerged: set[tuple[str, ...]] = set()
        self.flows: dict[int, Flow] = {}
        self.endpoint = False
        self.seal: Callable[[Request | Response, Flow | Hop], None] | None = None
        self.hears: Callable[[Request | Response, Flow, float], bool] | None = None
        self.branch_prefix = MAGIC_COOKIE
        self.elsewhere: Callable[[Response, Flow], bool] | None = None

    def reconfigure(self, values: TimerValues, max_transactions: int) -> None:
        """Other durations for timers that are started from now on, and another bound."""
        self.values = values
        self.trying_after = values.until_t2
        self._max = max_transactions

    def new_branch(self) -> str:
        return self.branch_prefix + self._digits(18)

    def new_tag(self) -> str:
        return self._digits(12)

    def _digits(self, count: int) -> str:
        """So many random hexadecimal digits, of which none are used twice: a call takes half a dozen such texts."""
        at, end = self._at, self._at + count
        if end > len(self._page):
            self._page, at, end = self._bytes(PAGE).hex(), 0, count
        self._at = end
        return self._page[at:end]

    def stateless_tag(self, request: Request) -> str:
        """A To tag for an answer that leaves no state: the same for every copy of a request (§8.2.7)."""
        number = (request.first("cseq") or "").partition(" ")[0]
        return self.tag_of(request.first("via") or "", request.call_id, request.first("from") or "", number)

    def tag_of(self, via: str, call_id: str, sender: str, number: str) -> str:
        """The same from the values of Via, Call-ID and From and the number of CSeq: all that an ACK has, too."""
        seen = f"{via}\n{call_id}\n{sender}\n{number}".encode("latin-1", "replace")
        return blake2s(seen, key=self._key, digest_size=6).hexdigest()

    def knows(self, via: Via, method: str) -> bool:
        """Whether there is a server transaction for a request with this top Via, whose branch has the magic cookie."""
        return (via.branch, via.place, method) in self._servers

    def receive_request(self, request: Request, flow: Flow, now: float) -> None:
        """A request whose top Via was stamped. Raises MalformedMessage when there is no key to be had from it."""
        if self.hears is not None and not self.hears(request, flow, now):
            self.counters["unheard"] += 1
            return
        key = server_key(request)
        transaction = self._servers.get(key)
        if transaction is None and len(key) > 3 and request.method == "ACK":
            transaction = self._servers.get(server_key(request, "INVITE", any_tag=True))
        if transaction is not None and self._is_for(transaction, request):
            transaction.receive(request, now)
        elif request.method == "ACK":
            self.user.on_ack(request, flow, now)
        elif self._has_no_room(request) or (self.admits is not None and not self.admits(request, flow, now)):
            self._refuse(request, flow)
        else:
            transaction = ServerTransaction(self, request, key, flow, reply_flow(request.via, flow))
            self._servers[key] = transaction
            self.user.on_request(transaction, now)

    def _is_for(self, transaction: ServerTransaction, request: Request) -> bool:
        """Without a branch an ACK must also carry the To tag of the response that it acknowledges (§17.2.3)."""
        if request.method != "ACK" or len(transaction.key) == 3 or not transaction.final_tag:
            return True
        return transaction.final_tag == request.to_tag

    def _has_no_room(self, request: Request) -> bool:
        """Calls go on, so some more is let in of what belongs to them. CANCEL and BYE make room besides."""
        count = len(self._servers)
        if count < self._max:
            return False
        if count >= self._max * 2:
            return True
        return request.method not in ("CANCEL", "BYE") and (self.inside is None or not self.inside(request))

    def _refuse(self, request: Request, flow: Flow) -> None:
        self.note_refusal()
        response = response_to(request, 503, to_tag=self.stateless_tag(request), headers=self.overload_headers)
        self.send(response, reply_flow(request.via, flow))

    def note_refusal(self) -> None:
        """Count a 503 that leaves no state."""
        self.counters["refused"] += 1
        self.responses[503] += 1

    def send(self, message: Request | Response, to: Flow | Hop) -> None:
        """Send without a transaction."""
        self.out.append(Send(self.encoded(message, to), to))

    def encoded(self, message: Request | Response, to: Flow | Hop) -> bytes:
        """A message as it goes to somebody. To be asked once for each message: what is sent again stays as it was."""
        if self.seal is not None:
            self.seal(message, to)
        return message.encode()

    def receive_response(self, response: Response, flow: Flow, now: float) -> None:
        if self.hears is not None and not self.hears(response, flow, now):
            self.counters["unheard"] += 1
            return
        branch = response.via.branch
        method = line_method(response.first("cseq"))
        transaction = self._clients.get(f"{branch}/CANCEL" if method == "CANCEL" else branch)
        if transaction is None:  # §7.3.1: some spell our branch in capitals
            branch = MAGIC_COOKIE + branch[len(MAGIC_COOKIE) :].lower()
            transaction = self._clients.get(f"{branch}/CANCEL" if method == "CANCEL" else branch)
        if transaction is None and self.elsewhere is not None and self.elsewhere(response, flow):
            return  # another worker has sent the request
        if transaction is None or transaction.method != method:
            self.counters["stray"] += 1
            self.user.on_stray_response(response, flow, now)
        elif self.endpoint and (response.names.count("via") > 1 or "," in response.lines[response.index["via"]]):
            self.counters["misaddressed"] += 1  # §8.1.3.3
        elif self.seal is not None and not _was_asked(transaction.to, flow):
            self.counters["misaddressed"] += 1  # else who reads along could answer, unsigned, for one who has to sign
        elif transaction.sent_by != response.via.sent_by and not _same_place(transaction, response):
            self.counters["misaddressed"] += 1
        else:
            transaction.receive(response, now)

    def send_request(
        self,
        user: ClientUser,
        request: Request,
        branch: str,
        to: Flow | Hop,
        now: float,
        give_up_after: float | None = None,
        data: bytes = b"",
        sent_by: str = "",
    ) -> ClientTransaction:
        """Start a client transaction for a request that carries `branch` in its top Via.

        `give_up_after` is how long to wait for a first response, where that is less than 64*T1; `data` the request
        encoded, where that is at hand. Responses whose top Via does not name `sent_by` are dropped, when it is given.
        """
        transaction = ClientTransaction(self, user, request, data or self.encoded(request, to), branch, sent_by, to)
        return self._start(transaction, now, give_up_after)

    def send_cancel(self, invite: ClientTransaction, cancel: Request, now: float) -> None:
        key = f"{invite.key}/CANCEL"
        data = self.encoded(cancel, invite.to)
        transaction = ClientTransaction(self, NOBODY, cancel, data, key, invite.sent_by, invite.to)
        self._start(transaction, now)

    def _start(
        self, transaction: ClientTransaction, now: float, give_up_after: float | None = None
    ) -> ClientTransaction:
        self._clients[transaction.key] = transaction
        if transaction.to.reliable:
            self._by_peer.setdefault(peer_key(transaction.to), {})[transaction] = self.newest
        transaction.start(now, give_up_after)
        return transaction

    def find_cancelled(self, cancel: Request) -> ServerTransaction | None:
        """The transaction that a CANCEL asks to end (§9.2): nearly always an INVITE."""
        for method in _CANCELLABLE:
            found = self._servers.get(server_key(cancel, method))
            if found is not None:
                return found
        return None

    def merged(self, transaction: ServerTransaction) -> bool:
        """Whether another copy of this request is being worked on, having come another way (§8.2.2.2).

        To be asked by whatever acts as the UAS of the request, once.
        """
        request = transaction.request
        if request.to_tag:
            return False
        # with From and To whole: clients that start in the same second may agree in all that chance should make differ
        sides = request.first("from") or "", request.first("to") or ""
        key = (request.call_id, *sides, str(request.cseq.number), request.method)
        if key in self._unmerged:
            return True
        transaction.merge_key = key
        self._unmerged.add(key)
        return False

    def send_failed(self, key: str | ServerKey, reason: str, now: float) -> None:
        """The transport could not deliver a request or a response."""
        if isinstance(key, tuple):
            server = self._servers.get(key)
            if server is not None:
                server.transport_failed(now)
            return
        client = self._clients.get(key)
        if client is not None:
            client.transport_failed(reason, now)

    def peer_lost(self, peer: Hop | int, reason: str, now: float) -> None:
        """A connection went away: what waits for an answer from it will not get one (§17.1.4)."""
        for transaction in list(self._by_peer.get(peer, ())):
            transaction.transport_failed(reason, now)

    def hop_lost(self, hop: Hop, cid: int, reason: str, now: float) -> None:
        """The connection to a hop went away. One that was there before a request may have been forgotten by the other
        side long ago, which that learns with the request: this says nothing of a new one. Whoever has taken an INVITE
        already knows it again by its branch (§17.2.3), whatever it has answered. Where the transport is reliable others
        are forgotten with their answer (§17.2.2 Timer J), so of these only what does no harm twice is sent."""
        waiting = self._by_peer.get(hop, {})
        for transaction, newest in list(waiting.items()):
            aged = self.redials and cid <= newest and transaction.state in (CALLING, TRYING)
            if aged and transaction.method in REPEATABLE:
                waiting[transaction] = 0  # once
                self.counters["redialled"] += 1
                transaction.send_anew()
            else:
                transaction.transport_failed(AGED + reason if aged else reason, now)

    def superseded(self, hop: Hop, flow: Flow) -> None:
        """What is sent to a hop goes over another connection from now on. What waits for answers over the one that it
        had stays with that, and so do its CANCEL and ACK."""
        waiting = self._by_peer.pop(hop, {})
        for transaction in waiting:
            transaction.to = flow
        if waiting:
            self._by_peer[flow.cid] = {**self._by_peer.get(flow.cid, {}), **waiting}

    def settled(self, transaction: ClientTransaction) -> None:
        """A final response has come or none will: losing the connection does not matter any more."""
        if transaction.to.reliable:
            peer = peer_key(transaction.to)
            waiting = self._by_peer.get(peer)
            if waiting is not None:
                waiting.pop(transaction, None)
                if not waiting:
                    del self._by_peer[peer]

    def forget_client(self, transaction: ClientTransaction) -> None:
        self._clients.pop(transaction.key, None)

    def forget_server(self, transaction: ServerTransaction) -> None:
        self._servers.pop(transaction.key, None)
        if transaction.merge_key:
            self._unmerged.discard(transaction.merge_key)

    @property
    def waiting(self) -> bool:
        """Whether any client transaction still waits for a final response."""
        return any(transaction.state in UNANSWERED for transaction in self._clients.values())

    @property
    def size(self) -> tuple[int, int]:
        """How many server and client transactions exist."""
        return len(self._servers), len(self._clients)


def _was_asked(to: Flow | Hop, flow: Flow) -> bool:
    """Whether a response comes from where its request went."""
    if isinstance(to, Flow) and to.cid:
        return flow.cid == to.cid
    same = flow.host == to.host or (":" in to.host and _address(flow.host) == _address(to.host))
    return same and flow.transport == to.transport


def _address(host: str) -> IPv4Address | IPv6Address:
    """An address whatever its spelling, as a URI may have any."""
    return ip_address(host.partition("%")[0])


def _same_place(transaction: ClientTransaction, response: Response) -> bool:
    """§18.1.2: a response whose topmost Via is not the one that we wrote is not for us."""
    return transaction.sent_by.lower() in ("", response.via.sent_by.lower())


def peer_key(to: Flow | Hop) -> Hop | int:
    return to.cid if isinstance(to, Flow) else to


def server_key(request: Request, method: str = "", any_tag: bool = False) -> ServerKey:
    """What tells one server transaction from another (§17.2.3); `method` overrides the request's own.

    A branch with the magic cookie, sent-by and method; an ACK belongs to its INVITE. Without the cookie, as with
    clients that send no branch at all, the older rule: Request-URI, To tag, From tag, Call-ID, CSeq and top Via. An ACK
    has the To tag of the response; `any_tag` leaves it out, to find an INVITE that had none. Raises MalformedMessage.
    """
    via = request.via
    method = method or request.method
    if method == "ACK":
        method = "INVITE"
    branch = via.branch
    if branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE):
        return (branch, via.place, method)
    to_tag = "" if any_tag else request.to_tag
    number = str(request.cseq.number)
    return (request.uri, to_tag, request.from_tag, request.call_id, number, method, via.encode())
