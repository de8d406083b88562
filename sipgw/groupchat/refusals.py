"""Why a command was not done.

The wire codes other than 200 are not documented anywhere that we know of, so these are chosen: the SIP or HTTP code
that says the same, which a reader of a trace will understand. A client shows the text to its user (pidgin-sipe does for
a join and a search), so the texts are sentences. Beside each, Persistent Chat's own name for the case in its API.
"""

SUCCESS = (200, "SUCCESS_OK")

BAD_REQUEST = 400  # InvalidArgument: not an envelope, or a part of the command is missing or wrong
NOT_A_MEMBER = 403  # ErrorPermission: the room has a member list and the user is not on it
NO_SUCH_ROOM = 404  # NoSuchNode
TOO_LARGE = 413  # LimitExceeded: a message, story or preference is too long
NOT_SUPPORTED = 501  # MsgNotSupported: a command, or a form of one, that this service does not have
LIMIT_REACHED = 503  # LimitExceeded: a table is full

REFUSALS = {
    BAD_REQUEST: "The request could not be understood",
    NOT_A_MEMBER: "You are not a member of this chat room",
    NO_SUCH_ROOM: "There is no such chat room",
    TOO_LARGE: "This is too long",
    NOT_SUPPORTED: "This is not supported here",
    LIMIT_REACHED: "A limit of this server has been reached",
}


class Refused(Exception):
    """A command is answered with this code; `str()` is the sentence for the user, `bound` the limit met, if any."""

    def __init__(self, code: int, detail: str = "", bound: str = "") -> None:
        super().__init__(f"{REFUSALS[code]}: {detail}" if detail else REFUSALS[code])
        self.code = code
        self.bound = bound
