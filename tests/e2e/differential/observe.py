"""What a case looked like from outside, as flat text fields that can be compared between the two sides.

For each party there is the field `<party>`, the sequence of what it heard, and for each message fields
`<party> <message>.<part>`: `uri`, `reason`, `body`, `order` (header names as spelt, of what was passed on) and one for
every header by its long name. What a proxy is free to choose is taken out or replaced by a name:

- addresses become {caller}, {proxy} and so on; branches and tags that the proxy made {branch} and {tag}
- the user part of a Record-Route or Route URI of the proxy: RFC 3261 §16.6 item 4 leaves it to the proxy, sipgw has
  its flow token there
- parameters of Via and of Record-Route are sorted; ms-received-port and ms-received-cid are what a Front End adds; i=
  and r2=on are notes of Kamailio's to itself, on the connection and on a pair of Record-Route values
- Max-Breadth, but in the cases that it is about: RFC 5393 §5.3.3 has a proxy add it, Kamailio does not know it
- P-Registrar-Error, by which Kamailio says to people what was wrong
- in answers of the proxy's own: the reason phrase, Date, Server, Warning, ms-diagnostics (for people)
- in the 200 to a REGISTER: Expires, Allow-Events, Supported, presence-state and the GRUU, which Lync clients need
- Max-Forwards of the ACK and CANCEL that a proxy makes: 70 (§8.1.1.6), or as of the request that they belong to; the
  Reason that Kamailio finds for its own CANCELs (RFC 3326 leaves it to the proxy)
- a pong stands after the messages: it comes from the proxy, answers from further away, and either may be first
- expiry times are rounded up to tens of seconds, and a registrar's contacts sorted: their order means nothing
"""

import math
import re
from binascii import crc32
from collections import Counter

from tests.e2e.differential.stage import Stage
from tests.e2e.differential.wire import Message, long_name

Fields = dict[str, str]
_OURS_TO_CHOOSE = ("server", "warning", "ms-diagnostics", "content-length", "date", "p-registrar-error")
_FRONT_END = ("expires", "allow-events", "supported", "presence-state")  # [MS-SIPREGE], in the 200 to REGISTER
_PER_HOP = ("max-breadth", "via", "record-route", "route", "max-forwards", "content-length")
_ITS_OWN = re.compile("ms-received-|i=")  # parameters that a proxy puts into Via for itself
_LONG = 160


def observe(stage: Stage) -> Fields:
    fields: Fields = {}
    plain = _Plain(stage)
    for party in (*stage.side.pools.values(), *stage.parties):
        heard = sorted(stage.heard_by(party), key=lambda message: message.start == "pong")
        fields[party.name] = ", ".join(map(_label, heard)) or "nothing"
        fields.update(_fields(party.name, heard, plain))
    return fields


def _fields(name: str, heard: list[Message], plain: "_Plain") -> Fields:
    fields: Fields = {}
    seen: Counter[str] = Counter()
    for message in heard:
        label = _label(message)
        seen[label] += 1
        number = f"#{seen[label]}" if seen[label] > 1 else ""
        for part, value in _parts(message, plain).items():
            fields[f"{name} {label}{number}.{part}"] = value
    return fields


def _label(message: Message) -> str:
    if message.start in ("closed", "pong"):
        return message.start
    return message.method or f"{message.status} to {' '.join(message.first('cseq').split())}"


def _parts(message: Message, plain: "_Plain") -> Fields:
    if message.start in ("closed", "pong"):
        return {}
    passed_on = message.first("x-said") or (len(split(message.all("via"))) > 1 and message.method)
    parts: Fields = {}
    for spelt, value in message.lines:
        name = long_name(spelt)
        if (not passed_on and name in _OURS_TO_CHOOSE) or (name == "max-breadth" and not plain.limits_breadth):
            continue
        if not passed_on and message.method and (name == "max-forwards" or value.startswith(" SIP;cause=")):
            continue
        if message.status == 200 and message.cseq_method == "REGISTER" and name in _FRONT_END:
            continue
        text = plain.value(name, value, message)
        parts[name] = f"{parts[name]} | {text}" if name in parts else text
    if message.status and message.cseq_method == "REGISTER" and "contact" in parts:
        parts["contact"] = " | ".join(sorted(parts["contact"].split(" | ")))
    if passed_on:
        names = [spelt for spelt, _ in message.lines if long_name(spelt) not in _PER_HOP]
        parts["order"] = ", ".join(names)
        if message.status:
            parts["reason"] = message.start.partition(" ")[2].partition(" ")[2]
    if message.method:
        parts["uri"] = plain.text(message.uri)
    body = plain.text(message.body.decode("latin-1"))
    parts["body"] = repr(body) if len(body) <= _LONG else f"{len(body)} bytes, crc {crc32(body.encode('latin-1')):08x}"
    return parts


class _Plain:
    """Replaces what differs by nature."""

    def __init__(self, stage: Stage) -> None:
        self._case = stage.case
        self.limits_breadth = stage.case.startswith("max_breadth")
        self._names = {address: f"{{{name}}}" for name, address in stage.addresses().items()}
        self._address = re.compile("|".join(rf"{re.escape(address)}(?!\d)" for address in self._names) or "$^")
        clients = {party.address.rpartition(":")[2]: party.name for party in stage.parties}
        self._ports = clients

    def text(self, text: str) -> str:
        return self._address.sub(lambda match: self._names[match[0]], text)

    def value(self, name: str, value: str, message: Message) -> str:
        value = self.text(value)
        if name == "max-forwards":
            return value.strip()
        if name == "via":
            return " | ".join(self._via(via) for via in split([value]))
        if name in ("record-route", "route", "path"):
            return " | ".join(self._route(route) for route in split([value]))
        if name in ("to", "from"):
            return re.sub(r";tag=(?!tag-)[^;]+", ";tag={tag}", value)
        if name == "contact" and message.cseq_method == "REGISTER" and message.status:
            return " | ".join(self._binding(contact) for contact in split([value]))
        return value

    def _via(self, value: str) -> str:
        main, *params = [piece.strip() for piece in value.split(";")]
        kept = sorted(self._via_param(param) for param in params if not _ITS_OWN.match(param))
        return ";".join([main, *kept])

    def _via_param(self, param: str) -> str:
        key, _, value = param.partition("=")
        if key == "branch" and self._case not in value:
            return "branch={branch}"
        if key == "rport" and value in self._ports:
            return f"rport={{{self._ports[value]}}}"
        return param

    def _route(self, value: str) -> str:
        value = re.sub(r"<sip:[^@>]*@(?=\{proxy\})", "<sip:", value)
        uri, *params = value.strip("<>").split(";")
        params = sorted(param for param in params if param != "r2=on")
        return "<" + ";".join([uri, *params]) + ">" if value.endswith(">") else value

    @staticmethod
    def _binding(value: str) -> str:
        value = re.sub(r';(pub-|temp-)?gruu="[^"]*"', "", value)
        uri, *params = value.split(";") if "<" not in value else [value.partition(">")[0] + ">", *_after(value)]
        return ";".join([uri, *sorted(_rounded(param) for param in params)])


def _after(value: str) -> list[str]:
    return [param for param in value.partition(">")[2].split(";") if param]


def _rounded(param: str) -> str:
    key, _, value = param.partition("=")
    return f"expires={math.ceil(int(value) / 10) * 10}" if key == "expires" and value.isdigit() else param


def split(lines: list[str]) -> list[str]:
    """The values of comma lists, commas in quotes and angle brackets aside."""
    return [value.strip() for line in lines for value in re.findall(r'(?:"(?:\\.|[^"])*"|<[^>]*>|[^,"<])+', line)]
