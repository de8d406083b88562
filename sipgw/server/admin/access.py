"""Who may use the API: bearer tokens (RFC 6750 §2.1), and nothing that a web page could send.

A page in a browser of this machine can send requests to loopback, and by a name of its own that it lets lead here (DNS
rebinding) read the answers too. So the Host has to be an address or a name of ours, and requests of other origins are
turned down.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from sipgw.config import Config, ConfigError
from sipgw.server.admin.problems import Problem
from sipgw.server.audit import Actor

MIN_TOKEN = 16  # characters
MAX_TOKENS = 100
_ADVICE = "write a token of at least 16 characters a line, such as openssl rand -hex 32 makes"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="sipgw"'}


@dataclass(frozen=True)
class Access:
    """`tokens` are the names of tokens by the token's digest; without any everybody who reaches the API may use it, and
    the configuration sees to it that only this machine can. `names` are hosts that we are known by."""

    tokens: Mapping[bytes, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset({"localhost"})

    def token_name(self, authorization: str | None) -> str | None:
        """The name of the token that an Authorization header carries; None where it is not one of ours."""
        scheme, _, token = (authorization or "").partition(" ")
        digest = _digest(token.strip())
        found = [name for known, name in self.tokens.items() if hmac.compare_digest(known, digest)]
        return found[0] if found and scheme.lower() == "bearer" else None

    def check_host(self, host: str | None) -> None:
        """Raises Problem for a name that is not ours. No browser leaves it out, but probes that speak HTTP/1.0 do."""
        if host is None:
            return
        name = _host_of(f"//{host}")
        if name not in self.names and not _is_address(name):
            known = ", ".join(sorted(self.names))
            advice = f"use an address, or one of {known}; behind another server have it pass one of these as Host"
            raise Problem("wrong-host", f'"{host}" is not this gateway; {advice}')

    def check_origin(self, origin: str | None, site: str | None, host: str | None) -> None:
        """Raises Problem for what a web page of somebody else has sent."""
        foreign = origin is not None and urlsplit(origin).netloc.lower() != (host or "").lower()
        if foreign or site in ("cross-site", "same-site"):
            raise Problem("cross-site", "this comes from a web page; use the command line, curl or a program")

    def actor(self, authorization: str | None, peer: str) -> Actor:
        """Who calls. Raises Problem where a token is needed and there is none that is known."""
        if not self.tokens:
            return Actor("api", "", peer)
        name = self.token_name(authorization)
        if name is None:
            said = "the token is not one of admin.token_file" if authorization else "send Authorization: Bearer TOKEN"
            raise Problem("unauthorized", f"{said}; the token stands in the gateway's admin.token_file", [], _CHALLENGE)
        return Actor("api", f"token {name}", peer)


def access_of(config: Config) -> Access:
    """What a configuration says. Raises ConfigError for a file of tokens that cannot be used, with a line for each
    fault."""
    names = frozenset({"localhost", config.gateway.fqdn.lower(), config.admin.listen[0].lower()})
    file = config.admin.token_file
    return Access({_digest(token): name for name, token in read_tokens(file)} if file is not None else {}, names)


def read_tokens(path: Path) -> list[tuple[str, str]]:
    """Names and tokens of a file: a line each, `NAME TOKEN` or the token alone. Raises ConfigError."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        advice = "make it readable for this user, or name another file in admin.token_file"
        raise ConfigError([f"{path}: {error.strerror}; {advice}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: not UTF-8; {_ADVICE}"]) from None
    found = [(at, line.split()) for at, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    problems = [f"{path}:{at}: {fault}; {_ADVICE}" for at, words in found if (fault := _fault(words))]
    if not found:
        problems = [f"{path}: holds no token; {_ADVICE}"]
    if len(found) > MAX_TOKENS:
        problems = [f"{path}: holds more than {MAX_TOKENS} tokens; remove some"]
    if problems:
        raise ConfigError(problems)
    return [(" ".join(words[:-1]) or (f"{at}" if len(found) > 1 else "1"), words[-1]) for at, words in found]


def _fault(words: list[str]) -> str:
    """What is wrong with a line; the token itself is not told."""
    if len(words) > 2:
        return "more than a name and a token"
    if len(words[-1]) < MIN_TOKEN:
        return f"a token of {len(words[-1])} characters, which can be guessed"
    return "" if words[-1].isascii() and words[-1].isprintable() else "a token with characters that no header has"


def _digest(token: str) -> bytes:
    """Of one length, so that comparing tells nothing about the token's."""
    return sha256(token.encode("utf-8", "surrogateescape")).digest()


def _host_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
