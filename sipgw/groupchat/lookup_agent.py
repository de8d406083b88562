"""One service of a legacy pool as a user agent: a registration, and behind it the dialogs of a Lookup or Channel
service.

Every Lookup service of a pool is signed in under the same address, so the Front End forks each INVITE to all of them,
and each accepts it. The caller keeps the first 200 (RFC 3261 §13.2.2.4). What an RFC 3261 caller does to the others is
ACK and BYE; pidgin-sipe does neither, so they wait for the ACK for 64*T1 and end the dialog by themselves (§13.3.1.4).
"""

from collections.abc import Callable, Iterator
from random import Random

from sipgw.core.dialog import Dialog
from sipgw.core.user_agent import UserAgent
from sipgw.events import Flow, Hop, Listener, Log, Output
from sipgw.groupchat.lookup_registration import Place, Registration
from sipgw.groupchat.pool import ChatService, PoolAgent
from sipgw.transaction.server import ServerTransaction
from sipgw.transaction.timers import TimerValues


class LegacyService(UserAgent):
    """Its `registration` and, behind `pool`, its dialogs. Of several that share `service` and `numbers`, each is given
    what the Notices of the others have for its sessions; see PoolAgent. `is_lookup` tells how a call that comes to
    nothing is to be read: as one that another service has taken."""

    def __init__(
        self,
        listeners: list[Listener],
        random: Random,
        place: Place,
        service: ChatService,
        numbers: Iterator[int],
        wall_offset: float,
        is_lookup: bool,
        on_change: Callable[["LegacyService"], None],
    ) -> None:
        super().__init__(listeners, random, TimerValues())
        self.place = place
        self.pool = PoolAgent(self, service, wall_offset, place.name, numbers)
        self.registration = Registration(self, place, self._registration_changed)
        self.application = _Calls(self, self.pool, is_lookup)
        self._on_change = on_change

    def _registration_changed(self) -> None:
        self.pool.contact = self.registration.contact
        self._on_change(self)

    def connection_lost(self, flow: Flow, hop: Hop | None, reason: str, now: float) -> list[Output]:
        outputs = super().connection_lost(flow, hop, reason, now)
        if hop == self.place.server:
            self.registration.connection_lost(now)
        return [*outputs, *self.outputs()]

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        """A NOTIFY of the registrar is about our REGISTER, which has opened no dialog: it is looked at first."""
        request = transaction.request
        event = (request.first("event") or "").partition(";")[0].strip().lower()
        if event != "registration-notify" or transaction.method not in ("NOTIFY", "BENOTIFY"):
            super().on_request(transaction, now)
            return
        if transaction.method == "BENOTIFY":
            transaction.abandon(now)  # [MS-SIP] §3.6: it gets no response
        else:
            self.answer(transaction, 200, now)
        self.registration.notified(request, now)


class _Calls:
    """What the user agent core tells of requests and dialogs. A Lookup service in whose dialog nobody has asked
    anything has lost nothing when it ends by itself."""

    def __init__(self, agent: LegacyService, pool: PoolAgent, is_lookup: bool) -> None:
        self._agent = agent
        self._pool = pool
        self._is_lookup = is_lookup
        self._asked: set[Dialog] = set()

    def on_request(self, transaction: ServerTransaction, dialog: Dialog | None, now: float) -> None:
        if dialog is not None and transaction.method == "INFO":
            self._asked.add(dialog)
        elif dialog is not None and transaction.method == "BYE":
            self._asked.discard(dialog)
        self._pool.on_request(transaction, dialog, now)

    def on_dialog_lost(self, dialog: Dialog, reason: str, now: float) -> None:
        if not self._is_lookup or dialog in self._asked:
            self._asked.discard(dialog)
            self._pool.on_dialog_lost(dialog, reason, now)
            return
        fields = {"service": self._agent.place.name, "caller": dialog.remote}
        self._agent.layer.out.append(Log("info", "call not taken: another Lookup service was faster", fields))
        self._pool.end(dialog, now)
