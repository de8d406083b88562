"""SIP messages: grammar, URIs, header values, reading and building. No I/O, no clock.

The head of a message is held as Latin-1 text: one byte is one character, so every byte survives a round trip,
offsets are byte offsets, and the code can compare with plain string literals. Bodies stay bytes.
"""

from sipgw.message.errors import MalformedMessage, MalformedUri
from sipgw.message.message import Message, Request, Response
from sipgw.message.parser import parse_message
from sipgw.message.uri import SipUri, parse_uri
from sipgw.message.values import NameAddr, Via, parse_name_addr, parse_via

__all__ = [
    "MalformedMessage",
    "MalformedUri",
    "Message",
    "NameAddr",
    "Request",
    "Response",
    "SipUri",
    "Via",
    "parse_message",
    "parse_name_addr",
    "parse_uri",
    "parse_via",
]
