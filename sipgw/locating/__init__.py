"""Locating SIP servers (RFC 3263): which transport, address and port a destination is reached by, in which order.

No I/O: questions for the name service come out, answers go in with the time.
"""

from sipgw.locating.cache import CacheLimits
from sipgw.locating.destination import Destination, of_pool, of_server, of_uri
from sipgw.locating.locator import Locator
from sipgw.locating.plan import Reach
from sipgw.locating.records import Answer, Question
from sipgw.locating.result import Located, NotLocated, ServerAddress

__all__ = [
    "Answer",
    "CacheLimits",
    "Destination",
    "Located",
    "Locator",
    "NotLocated",
    "Question",
    "Reach",
    "ServerAddress",
    "of_pool",
    "of_server",
    "of_uri",
]
