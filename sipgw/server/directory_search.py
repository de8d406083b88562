"""One reading of a directory over LDAP. It waits, so it is for a thread of its own."""

from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from sipgw.config import Config, ConfigError
from sipgw.server.directory_entries import EntryRules, Found, read_entries

if TYPE_CHECKING:
    import bonsai

PAGE = 500  # entries asked for at once; Active Directory gives no more than 1000
CONNECT, ANSWER = 5.0, 10.0  # seconds


class DirectoryError(Exception):
    """A directory that cannot be read; the text is for the operator."""


@dataclass(frozen=True)
class Source:
    """Where and how to read. `url` is ldap:// or ldaps:// with host and port."""

    url: str
    base: str
    filter: str
    bind_dn: str
    password_file: Path | None
    ca: Path | None
    max_users: int
    rules: EntryRules


def source_of(config: Config) -> Source:
    """The directory that `auth.users` names. Raises ConfigError where the extra is not installed."""
    if find_spec("bonsai") is None:
        text = f"is the directory {config.auth.users}, which needs the extra ldap: pip install 'sipgw[ldap]'"
        raise ConfigError([config.problem(("auth", "users"), text)])
    table = config.directory
    rules = EntryRules(config.gateway.domains, table.netbios_domain, table.nt_hash_attribute)
    secret, ca = table.password_file, table.ca
    return Source(str(config.auth.users), table.base, table.filter, table.bind_dn, secret, ca, table.max_users, rules)


def read_directory(source: Source) -> Found:
    """All users of a directory. Raises DirectoryError, also when there are too many."""
    import bonsai

    try:
        client = _client(source)
        with client.connect(timeout=CONNECT) as connection:
            return _read(connection, source)
    except bonsai.errors.InvalidDN as error:  # the library takes no entry at all then
        advice = "which the LDAP library cannot read; leave it out by directory.filter"
        raise DirectoryError(f"{source.url}: there is an entry {_reason(error)}, {advice}") from None
    except bonsai.errors.LDAPError as error:
        raise DirectoryError(f"{source.url}: {_reason(error)}") from None
    except OSError as error:
        raise DirectoryError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from None
    except UnicodeDecodeError:  # whose words have some of the password
        raise DirectoryError(f"{source.password_file}: not UTF-8") from None


def _client(source: Source) -> "bonsai.LDAPClient":
    import bonsai

    client = bonsai.LDAPClient(source.url, tls=source.ca is not None and source.url.startswith("ldap:"))
    if source.ca is not None:
        client.set_ca_cert(str(source.ca))
    client.set_cert_policy("demand")
    client.set_server_chase_referrals(False)
    client.set_auto_page_acquire(True)
    if source.bind_dn:
        secret = source.password_file.read_text("utf-8").rstrip("\r\n") if source.password_file else ""
        client.set_credentials("SIMPLE", user=source.bind_dn, password=secret)
    return client


def _read(connection: "bonsai.LDAPConnection", source: Source) -> Found:
    import bonsai

    entries = connection.paged_search(
        source.base, bonsai.LDAPSearchScope.SUBTREE, source.filter, source.rules.attributes, ANSWER, page_size=PAGE
    )
    some = list(islice(entries, source.max_users + 1))
    if len(some) > source.max_users:
        raise DirectoryError(f"{source.url}: more than directory.max_users = {source.max_users} users match the filter")
    return read_entries(some, source.rules)


def _reason(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
