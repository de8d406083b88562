"""Kerberos through the system's GSSAPI: contexts for clients' tickets, with the gateway's key from a keytab."""

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sipgw.auth.kerberos_mechanism import Refusal
from sipgw.config import Config, ConfigError
from sipgw.server.kerberos_keytab import KeytabError, read_principals

if TYPE_CHECKING:
    import gssapi

_ERRORS = 2_529_638_912  # where Kerberos' own error numbers (RFC 4120 §7.5.9) begin among GSSAPI's minor ones
_NOT_YET_VALID, _SKEWED = _ERRORS + 33, _ERRORS + 37
_SAYS_NOTHING = ("", "Success", "Unknown error")
_MAX_NAMED = 5  # principals in one line


@dataclass(frozen=True)
class GatewayKey:
    """What tickets for `service` ("sip/fqdn") are read with."""

    service: str
    credentials: "gssapi.Credentials" = field(repr=False)


class AcceptedContext:
    """One client's context."""

    def __init__(self, key: GatewayKey) -> None:
        import gssapi

        self._service = key.service
        self._context = gssapi.SecurityContext(creds=key.credentials, usage="accept")

    def accept(self, token: bytes) -> tuple[str, bytes, float]:
        import gssapi

        try:  # around all of it: what is wrong may show only at the next use of the context
            reply, complete = self._context.step(token), self._context.complete
            target = str(self._context.target_name) if complete else ""
            principal = str(self._context.initiator_name) if complete else ""
            lasts = float(self._context.lifetime) if complete else 0.0  # of the ticket, and what clocks may differ
        except gssapi.raw.misc.GSSError as error:
            raise Refusal(reason_of(error), error.min_code in (_NOT_YET_VALID, _SKEWED)) from None
        if not complete:
            raise Refusal("the ticket asks for another turn, which there is none of")
        if not _is_of(target, self._service):  # a keytab may have keys of other services too
            raise Refusal(f"the ticket is for {target}, not for {self._service}")
        return principal, reply or b"", lasts

    def sign(self, data: bytes) -> bytes:
        return bytes(self._context.get_signature(data))

    def verify(self, data: bytes, signature: bytes) -> bool:
        return verified(self._context, data, signature)


def verified(context: "gssapi.SecurityContext", data: bytes, signature: bytes) -> bool:
    """Whether the signature is the peer's. Which messages have come before is looked at by their numbers elsewhere."""
    import gssapi

    try:
        context.verify_signature(data, signature)
    except gssapi.raw.exceptions.SupplementaryError:
        return True  # the signature was good, its turn was not (RFC 2743 §1.2.1.1)
    except gssapi.raw.misc.GSSError:
        return False
    return True


def gateway_credentials(config: Config) -> GatewayKey:
    """The gateway's key, to read tickets with. Raises ConfigError with one line that says what is wrong.

    The keytab is read again for each ticket: a key that is changed there needs no restart.
    """
    if find_spec("gssapi") is None:
        need = "has \"kerberos\", which needs the extra kerberos: pip install 'sipgw[kerberos]'"
        raise ConfigError([config.problem(("auth", "schemes"), need)])
    import gssapi

    keytab, service = config.auth.keytab, f"sip/{config.gateway.fqdn}"
    assert keytab is not None, "the configuration has to name one"
    problem = _problem(keytab, service)
    if problem:
        raise _config_error(config, keytab, problem)
    # Tickets of the last minutes are kept beside the store, to know one that comes again, after a restart too. No name
    # is given, as GSSAPI would look it up in DNS first; no mechanism but Kerberos may answer for a user.
    kept: dict[bytes | str, bytes | str]
    kept = {"keytab": f"FILE:{keytab}", "rcache": f"file2:{config.store.path}.tickets"}
    try:
        credentials = gssapi.Credentials(usage="accept", mechs=[gssapi.MechType.kerberos], store=kept)
    except gssapi.raw.misc.GSSError as error:
        raise _config_error(config, keytab, reason_of(error)) from None
    return GatewayKey(service, credentials)


def _config_error(config: Config, keytab: Path, problem: str) -> ConfigError:
    return ConfigError([config.problem(("auth", "keytab"), f"{keytab}: {problem}")])


def _problem(keytab: Path, service: str) -> str:
    """What is wrong with a keytab, in one line; "" for nothing."""
    advice = f"it has to hold the key of {service}"
    try:
        principals = read_principals(keytab)
    except KeytabError as error:
        return f"{error}; {advice}"
    if any(_is_of(principal, service) for principal in principals):
        return ""
    named = " ".join(principals[:_MAX_NAMED]) + (" ..." if len(principals) > _MAX_NAMED else "")
    return f"has keys of {named or 'nobody'}; {advice}"


def _is_of(principal: str, service: str) -> bool:
    """Windows writes host names as they come."""
    return principal.rpartition("@")[0].lower() == service.lower()


def reason_of(error: "gssapi.raw.misc.GSSError") -> str:
    """The mechanism's own words where it has any, as they say more than GSSAPI's."""
    for code, is_major in ((error.min_code, False), (error.maj_code, True)):
        words = " ".join(error.get_all_statuses(code, is_major))
        if words not in _SAYS_NOTHING:
            return words
    return str(error)
