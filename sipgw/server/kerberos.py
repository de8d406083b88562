"""Kerberos through the system's GSSAPI: contexts for clients' tickets, with the gateway's key from a keytab."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sipgw.auth.kerberos_mechanism import Refusal
from sipgw.config import Config, ConfigError

if TYPE_CHECKING:
    import gssapi


class AcceptedContext:
    """One client's context; `credentials` are the gateway's."""

    def __init__(self, credentials: "gssapi.Credentials") -> None:
        import gssapi

        self._context = gssapi.SecurityContext(creds=credentials, usage="accept")

    def accept(self, token: bytes) -> tuple[str, bytes]:
        import gssapi

        try:  # around all of it: what is wrong may show only at the next use of the context
            reply, complete = self._context.step(token), self._context.complete
            principal = str(self._context.initiator_name) if complete else ""
        except gssapi.raw.misc.GSSError as error:
            raise Refusal(_reason(error), "skew" in str(error).lower()) from None
        if not principal:
            raise Refusal("the ticket asks for another turn, which there is none of")
        return principal, reply or b""

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


def gateway_credentials(config: Config) -> "gssapi.Credentials":
    """The gateway's key, to read tickets with. Raises ConfigError with one line that says what is wrong."""
    if find_spec("gssapi") is None:
        need = "has \"kerberos\", which needs the extra kerberos: pip install 'sipgw[kerberos]'"
        raise ConfigError([f"{config.source}: auth.schemes: {need}"])
    import gssapi

    keytab, principal = config.auth.keytab, f"sip/{config.gateway.fqdn}"
    assert keytab is not None, "the configuration has to name one"
    name = gssapi.Name(f"sip@{config.gateway.fqdn}", gssapi.NameType.hostbased_service)
    try:
        return gssapi.Credentials(name=name, usage="accept", store={"keytab": f"FILE:{keytab}"})
    except gssapi.raw.misc.GSSError as error:
        advice = f"it has to hold the key of {principal}"
        raise ConfigError([f"{config.source}: auth.keytab: {Path(keytab)}: {_reason(error)}; {advice}"]) from None


def _reason(error: "gssapi.raw.misc.GSSError") -> str:
    """The mechanism's own words, which say more than GSSAPI's."""
    texts = [text for code, text in ((error.min_code, error.get_all_statuses(error.min_code, False)),) if code]
    words = [word if isinstance(word, str) else word.decode("utf-8", "replace") for text in texts for word in text]
    return " ".join(words) or str(error)
