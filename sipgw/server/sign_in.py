"""Sign-in as the configuration has it: the accounts, the schemes, and the gate that the engine asks."""

from collections import Counter
from collections.abc import Iterator
from random import SystemRandom

from structlog.typing import FilteringBoundLogger

from sipgw.auth.digest_gate import DigestGate
from sipgw.auth.digest_server import DigestServer, DigestSettings
from sipgw.auth.gate import Gate
from sipgw.auth.kerberos_mechanism import KerberosMechanism
from sipgw.auth.lockout import Lockout, LockoutSettings
from sipgw.auth.mechanism import Mechanism
from sipgw.auth.sipae_server import SipaeServer, SipaeSettings
from sipgw.config import Config
from sipgw.server.kerberos import AcceptedContext, gateway_credentials
from sipgw.server.user_source import UserSource


class SignIn:
    """Who may come in, by which schemes. `gate` goes into the engine. Raises ConfigError when it is made, for a file of
    users with a line for every mistake, and for a keytab that cannot be used.

    `wall_offset` added to the engine's clock gives the time of day. `lockout` goes on over a change of configuration.
    """

    def __init__(
        self,
        config: Config,
        log: FilteringBoundLogger,
        counters: Counter[str],
        wall_offset: float,
        lockout: Lockout | None = None,
    ) -> None:
        self.lockout = lockout or Lockout(LockoutSettings(), counters)
        self.users = UserSource(config, log, counters)
        self._random = SystemRandom()
        self.gate = self._gate(config, counters, wall_offset)

    def _gate(self, config: Config, counters: Counter[str], wall_offset: float) -> Gate:
        mechanisms = list(self._mechanisms(config, wall_offset))
        sipae = None
        if mechanisms:
            settings = sipae_settings(config, wall_offset)
            sipae = SipaeServer(mechanisms, settings, self.lockout, self._random, counters)
        digest = None
        if "digest" in config.auth.schemes:
            offered = DigestSettings(config.gateway.domains[0], config.auth.digest_algorithms)
            digest = DigestGate(DigestServer(offered, self.users, self._random, counters), self.lockout)
        return Gate(self.users, sipae, digest, counters, config.auth.max_challenges)

    def _mechanisms(self, config: Config, wall_offset: float) -> Iterator[Mechanism]:
        """Those that sign, the better one first: clients take the first that they can."""
        if "kerberos" in config.auth.schemes:
            key = gateway_credentials(config)
            yield KerberosMechanism(self.users, config.gateway.fqdn, lambda: AcceptedContext(key))
        if "ntlm" in config.auth.schemes:
            from sipgw.auth.ntlm_mechanism import NtlmMechanism  # what it needs takes long to load

            yield NtlmMechanism(self.users, config.gateway.fqdn, self._random, wall_offset, config.auth.clock_skew)


def check_sign_in(config: Config, log: FilteringBoundLogger) -> None:
    """Raises ConfigError for what `SignIn` would."""
    if config.auth.schemes:
        SignIn(config, log, Counter(), 0.0)


def sipae_settings(config: Config, wall_offset: float) -> SipaeSettings:
    """What NTLM and Kerberos need of a configuration."""
    auth = config.auth
    return SipaeSettings(
        lifetime=auth.association_lifetime,
        idle=auth.association_idle,
        max_associations=auth.max_associations,
        clock_skew=auth.clock_skew,
        wall_offset=wall_offset,
    )
