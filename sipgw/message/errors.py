"""What can be wrong with a received message."""


class MalformedMessage(ValueError):
    """Bytes that are not a message we can act on.

    `status` is what a request like this is owed (RFC 3261 §21.4); `message` is as much of it as could be read, when
    that suffices to send the answer, else None and there is nothing to do but drop.
    """

    def __init__(self, reason: str, status: int = 400, message: object | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.message = message


class MalformedUri(MalformedMessage):
    """Text that is not a SIP URI. `status` is 416 for a scheme we do not speak, else 400."""
