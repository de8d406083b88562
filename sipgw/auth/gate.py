"""Who may come in: all schemes in one, and an end of asking on a connection that never gets it right.

Who a request says that it is from has to be compared with the account by whoever lets it in.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from sipgw.auth.accounts import Account, Accounts
from sipgw.auth.answer import Answer
from sipgw.auth.digest_gate import DigestGate
from sipgw.auth.own_credentials import drop_credentials
from sipgw.auth.sipae_associations import FlowKey
from sipgw.auth.sipae_server import SipaeServer
from sipgw.events import Flow, Hop
from sipgw.message.message import Request, Response

_ASKED = (401, 407)


class Gate:
    """`accounts` are those who may come in. `max_challenges` are sent on one connection without a sign-in between them:
    after that the connection is closed, as the real client goes on answering for ever. Datagrams are held back by the
    rates of their sources alone."""

    def __init__(
        self,
        accounts: Accounts,
        sipae: SipaeServer | None,
        digest: DigestGate | None,
        counters: Counter[str],
        max_challenges: int = 16,
    ) -> None:
        self.accounts = accounts
        self._sipae = sipae
        self._digest = digest
        self._counters = counters
        self._max = max_challenges
        self._asked: dict[int, int] = {}

    def judge(self, request: Request, flow: Flow, now: float) -> Account | Answer:
        """The account that a request has proved, or how to answer it. Not for ACK and CANCEL."""
        found = self._sipae.judge(request, flow, now) if self._sipae is not None else None
        if found is None or (isinstance(found, Answer) and found.status in _ASKED and not found.headers):
            found = self._ask(request, found, flow, now)
        if isinstance(found, Answer):
            return self._counted(found, flow)
        self._asked.pop(flow.cid, None)
        return self._still_good(found)

    def _still_good(self, proved: Account) -> Account | Answer:
        """An association lasts for hours: the account may have been disabled or removed meanwhile."""
        account = self.accounts.find(proved.uri)
        if account is None or not account.enabled:
            return Answer(403, (), "the account is disabled" if account else "the account is gone", proved.uri)
        return account

    def _ask(self, request: Request, refused: Answer | None, flow: Flow, now: float) -> Account | Answer:
        """Offer every scheme, or take Digest, which has no turns of its own to remember."""
        status = 401 if request.method == "REGISTER" else 407
        if self._digest is None:
            answer: Account | Answer = refused or Answer(status)
        elif refused is None:
            answer = self._digest.judge(request, flow.host, now)
        else:
            answer = replace(refused, headers=self._digest.challenges(refused.status, flow.host, now))
        if isinstance(answer, Account) or self._sipae is None or answer.status not in _ASKED:
            return answer
        return replace(answer, headers=(*self._sipae.challenges(answer.status, now), *answer.headers))

    def _counted(self, answer: Answer, flow: Flow) -> Answer:
        if answer.failed:
            self._counters["sign_ins_failed"] += 1
        if answer.status not in _ASKED:
            return answer
        if flow.cid:
            asked = self._asked[flow.cid] = self._asked.get(flow.cid, 0) + 1
            if asked > self._max:
                self._counters["challenges_exhausted"] += 1
                reason = f"{self._max} challenges on one connection have led to no sign-in"
                return Answer(403, (), answer.reason or reason, answer.name, answer.failed, close=True)
        self._counters["challenged"] += 1
        return answer

    def admits_ack(self, ack: Request, flow: Flow, now: float) -> Account | bool:
        """Who has signed an ACK, which is never challenged. Where it is signed the signature has to be good. It may do
        without, True, where Digest is spoken and nobody signs on its way: what routes it is a token that we have made
        ourselves."""
        found = self.signer_of(ack, flow, now)
        if isinstance(found, Account):
            return found
        return found is None and self._digest is not None and not self.signs_for(flow)

    def signer_of(self, request: Request, flow: Flow, now: float) -> Account | Answer | None:
        """Who has signed an ACK or a CANCEL, None where nobody seems to; an answer, not to be sent, for a fault."""
        found = self._sipae.judge(request, flow, now) if self._sipae is not None else None
        return self._still_good(found) if isinstance(found, Account) else found

    def hears(self, message: Request | Response, flow: Flow, now: float) -> bool:
        """False for a response with a signature that is not its sender's. A good one goes no further than here."""
        if self._sipae is None or isinstance(message, Request):
            return True
        if not self._sipae.check_response(message, flow, now):
            return False
        drop_credentials(message)
        return True

    def tell_flows(self, tell: Callable[[FlowKey, bool], None]) -> None:
        """Have `tell` called for each flow on which somebody signs in by a scheme that signs, and when nobody is left:
        by the id of its connection, or the peer's address and port."""
        if self._sipae is not None:
            self._sipae.tell_flows(tell)

    def signs_for(self, to: Flow) -> bool:
        """Whether somebody has signed in on this flow by a scheme that signs."""
        return self._sipae is not None and self._sipae.signs_for(to)

    def seal(self, message: Request | Response, to: Flow | Hop) -> None:
        """Sign what goes to a client that has signed in by a scheme that signs."""
        if self._sipae is None:
            return
        if isinstance(to, Flow):
            self._sipae.sign(message, to)
        elif to.transport == "UDP":  # a client's contact, as it may be any address that it has signed in from
            self._sipae.sign(message, Flow("UDP", to.host, to.port, None))

    def connection_lost(self, flow: Flow) -> None:
        self._asked.pop(flow.cid, None)
        if self._sipae is not None:
            self._sipae.connection_lost(flow)

    def take_over(self, other: "Gate") -> None:
        """Go on with who has signed in, after a change of configuration."""
        self._asked = other._asked
        if self._sipae is not None and other._sipae is not None:
            self._sipae.take_over(other._sipae)
        if self._digest is not None and other._digest is not None:
            self._digest.take_over(other._digest)

    def sizes(self) -> dict[str, int]:
        """How much is kept in mind."""
        sizes = self._sipae.sizes() if self._sipae is not None else {}
        return {**sizes, "asked": len(self._asked)}
