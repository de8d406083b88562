"""Kerberos for the emulated client: from the tickets of whoever runs it (kinit) to a signed session."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from sipgw.auth.mechanism import Session
from sipgw.auth.sipae_client import SignInError
from sipgw.server.kerberos import reason_of, verified

if TYPE_CHECKING:
    import gssapi


class TicketInitiator:
    """One sign-in: a ticket for the server, and the keys that come with it."""

    def __init__(self, context: "gssapi.SecurityContext") -> None:
        self._context = context
        self.session: Session | None = None

    def step(self, token: bytes, now: float) -> bytes:
        import gssapi

        try:  # around both: what is wrong may show only at the next use of the context
            reply, complete = self._context.step(token or None), self._context.complete
        except gssapi.raw.misc.GSSError as error:
            raise SignInError(f"no Kerberos ticket: {reason_of(error)}") from None
        if complete and self.session is None:
            self.session = _Ticket(self._context)
        return reply or b""


class _Ticket:
    def __init__(self, context: "gssapi.SecurityContext") -> None:
        self._context = context

    def sign(self, data: bytes) -> bytes:
        return bytes(self._context.get_signature(data))

    def verify(self, data: bytes, signature: bytes) -> bool:
        return verified(self._context, data, signature)


def begin(targetname: str) -> TicketInitiator:
    """Sign in at the server that its challenge calls `targetname` ("sip/fqdn"). Raises SignInError."""
    if find_spec("gssapi") is None:
        raise SignInError("Kerberos needs the extra kerberos: pip install 'sipgw[kerberos]'")
    import gssapi

    flags = gssapi.RequirementFlag.integrity  # no mutual authentication: everything that comes is signed anyway
    try:
        # the principal as it stands, as legacy clients have it: as a service's name GSSAPI would look it up in DNS
        name = gssapi.Name(targetname, gssapi.NameType.kerberos_principal)
        mech = gssapi.MechType.kerberos
        return TicketInitiator(gssapi.SecurityContext(name=name, usage="initiate", flags=flags, mech=mech))
    except gssapi.raw.misc.GSSError as error:
        raise SignInError(f"no Kerberos ticket: {reason_of(error)}") from None
