"""Messages out of a byte stream (RFC 3261 §18.3, §7.5) with CRLF keep-alives (RFC 5626 §4.4.1) and bounds."""

from sipgw.message.errors import MalformedMessage

PING = b"\r\n\r\n"
PONG = b"\r\n"
_LENGTH_NAMES = (b"content-length", b"l")


class StreamFramer:
    """Cuts one connection's bytes into whole messages.

    `feed` returns them in order, `PING` standing for a double-CRLF keep-alive that wants a `PONG`. It raises
    MalformedMessage (413 or 400, `message` holding the head's bytes when one was complete) when the stream cannot be
    followed any longer: the caller answers if it can and closes. How the bytes are split makes no difference.
    """

    __slots__ = ("_buffer", "_max_body", "_max_head", "_scanned")

    def __init__(self, max_head: int, max_body: int) -> None:
        self._buffer = bytearray()
        self._scanned = 0  # bytes already searched for the end of a head, so that a slow peer costs linear time
        self._max_head = max_head
        self._max_body = max_body

    @property
    def pending(self) -> int:
        """Bytes of an unfinished message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        buffer = self._buffer
        buffer += data
        frames: list[bytes] = []
        while buffer:
            if buffer[0] == 13 and self._skip_line_breaks(frames):
                continue
            size = self._message_size()
            if size == 0 or len(buffer) < size:
                break
            frames.append(bytes(buffer[:size]))
            del buffer[:size]
            self._scanned = 0
        return frames

    def _skip_line_breaks(self, frames: list[bytes]) -> bool:
        """CRLFs before a start line are to be ignored (§7.5); two in a row are a ping. False when more bytes are due."""
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
        end = buffer.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end > self._max_head or (end < 0 and len(buffer) > self._max_head):
            raise MalformedMessage(f"a header longer than {self._max_head} bytes", 413)
        if end < 0:
            self._scanned = len(buffer)
            return 0
        self._scanned = end  # the head is complete; only the body may still be on its way
        length = content_length(bytes(buffer[:end]))
        if length > self._max_body:
            head = bytes(buffer[: end + 4])
            raise MalformedMessage(f"a body longer than {self._max_body} bytes", 413, head)
        return end + 4 + length


def content_length(head: bytes) -> int:
    """The Content-Length of a raw head, 0 when it has none. Raises MalformedMessage: nothing tells where it ends."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() in _LENGTH_NAMES:
            digits = value.strip()
            if not digits.isdigit() or len(digits) > 10:
                raise MalformedMessage("Content-Length is not a number", 400, head + b"\r\n\r\n")
            return int(digits)
    return 0
