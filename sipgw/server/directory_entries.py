"""From entries of a directory, with the attributes that Active Directory has, to accounts."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sipgw.auth.accounts import Account
from sipgw.config.values import parse_endpoint_address

Entry = Mapping[str, Sequence[Any]]  # attribute to values: text, bytes, bool or int, as the library reads them

URI, ENABLED, ALIASES = "msRTCSIP-PrimaryUserAddress", "msRTCSIP-UserEnabled", "proxyAddresses"
LOGON, UPN, CONTROL = "sAMAccountName", "userPrincipalName", "userAccountControl"
DNS = ("distinguishedName", "entryDN")  # as Active Directory calls an entry's own name, and RFC 5020
ATTRIBUTES = (URI, ENABLED, ALIASES, LOGON, UPN, CONTROL, *DNS)
MAX_ALIASES = 32  # SIP addresses of one user; the rest is left out
_ACCOUNT_DISABLED = 2  # a bit of userAccountControl
_RDN = re.compile(r"(?:\\.|[^\\,])+", re.DOTALL)  # of a DN (RFC 4514 §2): a comma in a name is escaped
_LABEL = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class EntryRules:
    """Which `domains` are served here, what stands before a logon name ("" for nothing), where NT hashes are."""

    domains: tuple[str, ...]
    netbios_domain: str = ""
    nt_hash_attribute: str = ""

    @property
    def attributes(self) -> list[str]:
        """What has to be asked for."""
        return [*ATTRIBUTES, *([self.nt_hash_attribute] if self.nt_hash_attribute else [])]


@dataclass
class Found:
    """What a reading has given; `passed_over` are the names of entries without a usable SIP address of ours."""

    accounts: list[Account] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def read_entries(entries: Iterable[Entry], rules: EntryRules) -> Found:
    """The accounts that entries describe."""
    found = Found()
    for entry in entries:
        account = read_entry(entry, rules)
        if account is not None:
            found.accounts.append(account)
        else:
            found.passed_over.append(_text(entry, LOGON) or _text(entry, URI) or "?")
    return found


def read_entry(entry: Entry, rules: EntryRules) -> Account | None:
    """The account of an entry, None when it has no SIP address in one of our domains."""
    try:
        uri = parse_endpoint_address(_text(entry, URI))
    except ValueError:
        return None
    if uri.rpartition("@")[2] not in rules.domains:
        return None
    return Account(uri, _names(entry, rules), _nt_hash(entry, rules), {}, _is_enabled(entry))


def _names(entry: Entry, rules: EntryRules) -> tuple[str, ...]:
    """The logon name, with its domain where that is known; the principal names; further SIP addresses."""
    logon = _text(entry, LOGON)
    if logon and rules.netbios_domain:
        logon = f"{rules.netbios_domain}\\{logon}"
    aliases = [str(value) for value in entry.get(ALIASES, ()) if str(value).lower().startswith("sip:")]
    return tuple(dict.fromkeys(name for name in (logon, *_principals(entry), *aliases[:MAX_ALIASES]) if name))


def _principals(entry: Entry) -> tuple[str, ...]:
    """The explicit principal name, and the implicit one that a ticket has ([MS-ADTS] §5.1.1.1.1): the logon name in the
    domain that the entry is in, whatever the explicit one says. An explicit one without a domain is good for a ticket
    in that domain as well, which may be the name of another; what two entries claim belongs to neither.
    """
    logon, explicit, domain = _text(entry, LOGON), _text(entry, UPN), domain_of(_dn(entry))
    if not domain:
        return (explicit,)
    if explicit and "@" not in explicit:
        explicit = f"{explicit}@{domain}"
    return explicit, f"{logon}@{domain}" if logon else ""


def _dn(entry: Entry) -> str:
    return next(filter(None, (_text(entry, attribute) for attribute in DNS)), "")


def domain_of(dn: str) -> str:
    """`corp.contoso.com` of `CN=Alice,OU=Sales,DC=corp,DC=contoso,DC=com` (RFC 2247 §2), "" for what ends otherwise."""
    labels: list[str] = []
    for rdn in reversed(_RDN.findall(dn)):
        if rdn[:3].lower() != "dc=":
            break
        labels.insert(0, rdn[3:])
    return ".".join(labels) if all(map(_LABEL.fullmatch, labels)) else ""


def _is_enabled(entry: Entry) -> bool:
    """For SIP, and at all."""
    control = _text(entry, CONTROL)
    disabled = control.isdecimal() and int(control) & _ACCOUNT_DISABLED
    return _text(entry, ENABLED).upper() == "TRUE" and not disabled


def _nt_hash(entry: Entry, rules: EntryRules) -> bytes:
    """Written in hexadecimal (Samba) or as it is; b"" for anything else."""
    values = entry.get(rules.nt_hash_attribute, ()) if rules.nt_hash_attribute else ()
    value = values[0] if values else b""
    if isinstance(value, bytes) and len(value) == 16:
        return value
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
    return bytes.fromhex(text) if re.fullmatch(r"[0-9A-Fa-f]{32}", text) else b""


def _text(entry: Entry, attribute: str) -> str:
    """The first value of an attribute as a text, "" without one."""
    values = entry.get(attribute, ())
    value = values[0] if values else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
