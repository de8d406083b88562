"""`-LdapFilter`: RFC 4515 filters of equality, presence and substrings, over the attributes that an object here has."""

import re

from sipgw.management.cmdlets.errors import CmdletError
from sipgw.management.cmdlets.filters import Condition, wildcards
from sipgw.management.cmdlets.items import Item, as_text

ATTRIBUTES = {  # of the directory, to our properties
    "displayname": "DisplayName",
    "msrtcsip-primaryuseraddress": "SipAddress",
    "msrtcsip-userenabled": "Enabled",
    "distinguishedname": "Identity",
}
MAX_DEPTH = 50
_ITEM = re.compile(r"\(([A-Za-z][A-Za-z0-9-]*)=([^()\0]*)\)")


def ldap_condition(text: str) -> Condition:
    """Raises CmdletError for what is no such filter."""
    reader = _Reader(text.strip())
    found = reader.read(0)
    if reader.at != len(reader.text):
        raise reader.error()
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def error(self) -> CmdletError:
        return CmdletError(f'"{self.text}" is no filter; write one like (displayName=Chat*)', "BadLdapFilter")

    def read(self, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise self.error()
        item = _ITEM.match(self.text, self.at)
        if item is not None:
            self.at = item.end()
            return _condition(item[1].lower(), item[2])
        kind = self.text[self.at + 1 : self.at + 2]
        if self.text[self.at : self.at + 1] != "(" or kind not in ("&", "|", "!"):
            raise self.error()
        self.at += 2
        inner: list[Condition] = []
        while self.text[self.at : self.at + 1] == "(":
            inner.append(self.read(depth + 1))
        if self.text[self.at : self.at + 1] != ")" or (kind == "!" and len(inner) != 1):
            raise self.error()
        self.at += 1
        return _combined(kind, inner)


def _combined(kind: str, inner: list[Condition]) -> Condition:
    if kind == "!":
        return lambda item: not inner[0](item)
    return lambda item: (all if kind == "&" else any)(one(item) for one in inner)


def _condition(attribute: str, written: str) -> Condition:
    """An attribute that an object does not have fits nothing."""
    if attribute == "objectclass":
        return lambda item: written == "*" or written.lower() in ("top", "contact", "user", "person")
    pattern = wildcards([re.escape(_unescaped(part)) for part in written.split("*")])

    def fits(item: Item) -> bool:
        value = item.properties.get(ATTRIBUTES.get(attribute, ""))
        return value not in (None, "") and pattern.fullmatch(as_text(value)) is not None

    return fits


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), text)
