"""A whole session of pidgin-sipe 1.25 (Debian) that signed in with NTLM, as `pidgin_sipe_ntlm.json`: of each message
that was signed, or a step of the handshake, the lines that matter here; of those of the client also what it signed."""

import json
from dataclasses import dataclass
from pathlib import Path

from sipgw.message.message import Request, Response, names_of

_FILE = json.loads(Path(__file__).with_name("pidgin_sipe_ntlm.json").read_text("utf-8"))
NAME, PASSWORD, URI, EPID = _FILE["user"], _FILE["password"], "sip:alice@example.test", "b34afb6ebb23"
SESSION_KEY = bytes.fromhex(_FILE["session_key"])
TARGETNAME = "fe01.example.test"
OPAQUE = "4A6D0001"
SERVER_CHALLENGE = bytes.fromhex("62e424e31b8a0f91")
SIGNED_IN_AT = 1_795_385_270.0  # 2026-11-22 22:07:50 UTC


@dataclass(frozen=True)
class Captured:
    """One message. `buffer` is what its signature covers, "" where that was not written down."""

    from_client: bool
    start: str
    lines: tuple[str, ...]
    buffer: str

    def message(self) -> Request | Response:
        """As the parser makes it."""
        first, second, rest = self.start.split(" ", 2)
        lines, names = list(self.lines), names_of(self.lines)
        message: Request | Response
        if first == "SIP/2.0":
            message = Response(int(second), rest, lines, names, b"")
        else:
            message = Request(first, second, lines, names, b"")
        message.reindex()
        return message

    @property
    def is_signed(self) -> bool:
        return any(' response="' in line or ' rspauth="' in line for line in self.lines)


MESSAGES = [
    Captured(each["client"], each["start"], tuple(each["lines"]), each.get("buffer", "")) for each in _FILE["messages"]
]
CLIENT = [each for each in MESSAGES if each.from_client and each.is_signed]
SERVER = [each for each in MESSAGES if not each.from_client and each.is_signed]
