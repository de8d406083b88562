"""The four transaction machines as tables (RFC 3261 §17.1.1.2, §17.1.2.2, §17.2.1, §17.2.2; RFC 6026 §7.1, §7.2, §8).

A table gives for each state and event the next state and the action, the name of a method of the transaction that
runs it. All states live here; what actions do lives in client.py and server.py. A message that a state does not
list is dropped and counted; a request of the transaction user that a state does not list is our own bug.
"""

from typing import Final

# states
CALLING: Final = "Calling"
TRYING: Final = "Trying"
PROCEEDING: Final = "Proceeding"
COMPLETED: Final = "Completed"
CONFIRMED: Final = "Confirmed"
ACCEPTED: Final = "Accepted"
TERMINATED: Final = "Terminated"

# events: messages
REQUEST: Final = "request"
ACK: Final = "ACK"
PROVISIONAL: Final = "1xx"
SUCCESS: Final = "2xx"
FAILURE: Final = "300-699"
# events: the transaction user sends a response of that class
SEND_1XX: Final = "send 1xx"
SEND_2XX: Final = "send 2xx"
SEND_FINAL: Final = "send 300-699"
# events: timers by their job (A, E, G retransmit; B, F, H give up; D, I, J, K, L, M linger) and the transport
RETRANSMIT: Final = "retransmit"
TIMEOUT: Final = "timeout"
LINGER: Final = "linger"
TRANSPORT_ERROR: Final = "transport error"

Table = dict[str, dict[str, tuple[str, str]]]

_ENDED: Final = {LINGER: (TERMINATED, "nothing")}  # the transport failed while it lingered

INVITE_CLIENT: Final[Table] = {
    CALLING: {
        RETRANSMIT: (CALLING, "resend_doubling"),  # Timer A
        TIMEOUT: (TERMINATED, "report_timeout"),  # Timer B
        TRANSPORT_ERROR: (TERMINATED, "report_transport_error"),
        PROVISIONAL: (PROCEEDING, "pass_provisional"),
        SUCCESS: (ACCEPTED, "pass_and_linger"),  # RFC 6026 §7.2; Timer M
        FAILURE: (COMPLETED, "ack_and_pass"),  # Timer D
    },
    PROCEEDING: {
        TIMEOUT: (TERMINATED, "report_timeout"),  # only after a CANCEL (§9.1)
        TRANSPORT_ERROR: (TERMINATED, "report_transport_error"),
        PROVISIONAL: (PROCEEDING, "pass_provisional"),
        SUCCESS: (ACCEPTED, "pass_and_linger"),
        FAILURE: (COMPLETED, "ack_and_pass"),
    },
    COMPLETED: {
        FAILURE: (COMPLETED, "ack_again"),
        TRANSPORT_ERROR: (TERMINATED, "drop"),
        LINGER: (TERMINATED, "drop"),
    },
    ACCEPTED: {
        SUCCESS: (ACCEPTED, "pass_up"),  # a further 2xx of a fork, or one sent again
        TRANSPORT_ERROR: (ACCEPTED, "nothing"),
        LINGER: (TERMINATED, "drop"),
    },
    TERMINATED: _ENDED,
}

CLIENT: Final[Table] = {
    TRYING: {
        RETRANSMIT: (TRYING, "resend_to_t2"),  # Timer E
        TIMEOUT: (TERMINATED, "report_timeout"),  # Timer F
        TRANSPORT_ERROR: (TERMINATED, "report_transport_error"),
        PROVISIONAL: (PROCEEDING, "pass_up"),
        SUCCESS: (COMPLETED, "pass_and_linger"),  # Timer K
        FAILURE: (COMPLETED, "pass_and_linger"),
    },
    PROCEEDING: {
        RETRANSMIT: (PROCEEDING, "resend_at_t2"),
        TIMEOUT: (TERMINATED, "report_timeout"),
        TRANSPORT_ERROR: (TERMINATED, "report_transport_error"),
        PROVISIONAL: (PROCEEDING, "pass_up"),
        SUCCESS: (COMPLETED, "pass_and_linger"),
        FAILURE: (COMPLETED, "pass_and_linger"),
    },
    COMPLETED: {
        PROVISIONAL: (COMPLETED, "nothing"),
        SUCCESS: (COMPLETED, "nothing"),
        FAILURE: (COMPLETED, "nothing"),
        TRANSPORT_ERROR: (COMPLETED, "nothing"),
        LINGER: (TERMINATED, "drop"),
    },
    TERMINATED: _ENDED,
}

INVITE_SERVER: Final[Table] = {
    PROCEEDING: {
        REQUEST: (PROCEEDING, "resend"),
        SEND_1XX: (PROCEEDING, "send"),
        SEND_2XX: (ACCEPTED, "send_and_linger"),  # RFC 6026 §7.1; Timer L
        SEND_FINAL: (COMPLETED, "send_until_ack"),  # Timers G and H
        TRANSPORT_ERROR: (PROCEEDING, "nothing"),  # RFC 6026 §8.8; it is counted, and a CANCEL may still come
    },
    COMPLETED: {
        REQUEST: (COMPLETED, "resend"),
        RETRANSMIT: (COMPLETED, "resend_to_t2"),  # Timer G
        ACK: (CONFIRMED, "confirm"),  # Timer I
        TIMEOUT: (TERMINATED, "ack_never_came"),  # Timer H
        TRANSPORT_ERROR: (COMPLETED, "nothing"),
    },
    CONFIRMED: {
        REQUEST: (CONFIRMED, "nothing"),
        ACK: (CONFIRMED, "nothing"),
        LINGER: (TERMINATED, "drop"),
    },
    ACCEPTED: {
        REQUEST: (ACCEPTED, "nothing"),
        ACK: (ACCEPTED, "pass_ack"),
        SEND_2XX: (ACCEPTED, "send"),
        SEND_FINAL: (ACCEPTED, "nothing"),
        TRANSPORT_ERROR: (ACCEPTED, "nothing"),
        LINGER: (TERMINATED, "drop"),
    },
    TERMINATED: {
        SEND_2XX: (TERMINATED, "send"),  # §16.7 item 9: without state; a branch may repeat its 2xx after Timer L
        LINGER: (TERMINATED, "nothing"),
    },
}

SERVER: Final[Table] = {
    TRYING: {
        REQUEST: (TRYING, "nothing"),
        SEND_1XX: (PROCEEDING, "send"),
        SEND_2XX: (COMPLETED, "send_and_linger"),  # Timer J
        SEND_FINAL: (COMPLETED, "send_and_linger"),
        TRANSPORT_ERROR: (TRYING, "nothing"),
    },
    PROCEEDING: {
        REQUEST: (PROCEEDING, "resend"),
        SEND_1XX: (PROCEEDING, "send"),
        SEND_2XX: (COMPLETED, "send_and_linger"),
        SEND_FINAL: (COMPLETED, "send_and_linger"),
        TRANSPORT_ERROR: (PROCEEDING, "nothing"),
    },
    COMPLETED: {
        REQUEST: (COMPLETED, "resend"),
        SEND_1XX: (COMPLETED, "nothing"),
        SEND_2XX: (COMPLETED, "nothing"),
        SEND_FINAL: (COMPLETED, "nothing"),
        TRANSPORT_ERROR: (COMPLETED, "nothing"),
        LINGER: (TERMINATED, "drop"),
    },
    TERMINATED: _ENDED,
}
