"""Messages out of a byte stream (RFC 3261 §18.3, §7.5) with CRLF keep-alives (RFC 5626 §4.4.1) and bounds."""

import re
from typing import Final

from sipgw.message.errors import MalformedMessage

_FOLD: Final = re.compile(rb"[ \t]*\r\n[ \t]+")
PING: Final = b"\r\n\r\n"
PONG: Final = b"\r\n"
_LENGTH: Final = re.compile(rb"\r\n(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_TYPE: Final = re.compile(rb"\r\n(?:content-type|c)[ \t]*:", re.IGNORECASE)


class StreamFramer:
    """Cuts one connection's bytes into whole messages.

    `feed` returns them in order, `PING` standing for a double-CRLF keep-alive that wants a `PONG`. It raises
    MalformedMessage (413, 513 or 400, `message` holding the head's bytes as far as they came) when the stream cannot be
    followed any longer: the caller answers if it can and closes. What was good before the fault is returned first; the
    fault is raised by the next call, so call again with b"" until nothing comes. How the bytes are split makes no
    difference.
    """

    __slots__ = ("_buffer", "_fault", "_max_body", "_max_head", "_scanned", "_size")

    def __init__(self, max_head: int, max_body: int) -> None:
        self._buffer = bytearray()
        self._scanned = 0  # bytes already searched for the end of a head, so that a slow peer costs linear time
        self._size = 0  # of the first message, once its head is complete
        self._fault: MalformedMessage | None = None
        self._max_head = max_head
        self._max_body = max_body

    @property
    def pending(self) -> int:
        """Bytes of an unfinished message; half a keep-alive is none."""
        return 0 if PING.startswith(bytes(self._buffer[:4])) else len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        if self._fault is not None:
            raise self._fault
        self._buffer += data
        frames: list[bytes] = []
        try:
            self._cut(frames)
        except MalformedMessage as fault:
            if not frames:
                raise
            self._fault = fault
        return frames

    def _cut(self, frames: list[bytes]) -> None:
        buffer = self._buffer
        while buffer:
            if buffer[0] == 13 and self._skip_line_breaks(frames):
                continue
            self._size = self._size or self._message_size()
            if self._size == 0 or len(buffer) < self._size:
                return
            frames.append(bytes(buffer[: self._size]))
            del buffer[: self._size]
            self._scanned = self._size = 0

    def _skip_line_breaks(self, frames: list[bytes]) -> bool:
        """CRLFs before a start line are ignored (§7.5); two in a row are a ping. False when more bytes are due."""
        buffer = self._buffer
        if buffer.startswith(PING):
            frames.append(PING)
            del buffer[:4]
            return True
        if len(buffer) < 4 and PING.startswith(bytes(buffer)):
            return False
        if buffer.startswith(PONG):
            del buffer[:2]
            return True
        raise MalformedMessage("a message starts with a lone carriage return")

    def _message_size(self) -> int:
        """Bytes of the first message, 0 while its head is not complete."""
        buffer = self._buffer
        if buffer[0] == 13:
            return 0
        end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end > self._max_head or (end < 0 and len(buffer) > self._max_head + 3):
            head = bytes(buffer[: self._max_head])
            raise MalformedMessage(f"a header longer than {self._max_head} bytes", 513, head)
        if end < 0:
            self._scanned = len(buffer)
            return 0
        length = content_length(bytes(buffer[:end]))
        if length > self._max_body:
            head = bytes(buffer[: end + 4])
            raise MalformedMessage(f"a body longer than {self._max_body} bytes", 413, head)
        return end + 4 + length


def content_length(head: bytes) -> int:
    """The Content-Length of a raw head, 0 when it has none and no body is announced either.

    Raises MalformedMessage when nothing tells for certain where the message ends (§18.3, §20.14): what follows must not
    be taken for a message of its own.
    """
    if b"\n " in head or b"\n\t" in head:
        head = _FOLD.sub(b" ", head)
    found = {value.rstrip(b" \t") for value in _LENGTH.findall(head)}
    if not found:
        if _TYPE.search(head):
            raise MalformedMessage("a body without Content-Length on a stream", 400, head + b"\r\n\r\n")
        return 0
    if len(found) > 1:
        raise MalformedMessage("Content-Length is there twice and differs", 400, head + b"\r\n\r\n")
    digits = found.pop()
    if not digits.isdigit() or len(digits) > 10:
        raise MalformedMessage("Content-Length is not a number", 400, head + b"\r\n\r\n")
    return int(digits)
