"""What the channel service needs to know, and its bounds."""

from dataclasses import dataclass

MAX_ROOMS = 1_000  # of a pool


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """`domain` is that of the room URIs, `channel_uris` the SIP URIs that `cmd:requri` hands out in turn.

    Sizes of texts are in characters, those of envelopes in bytes. What happens at a bound is told beside it; each
    time, `ChannelService.counters["bound_…"]` counts it under the name in brackets.
    """

    domain: str
    channel_uris: tuple[str, ...]

    message_size: int = 512  # a longer message is refused [message_size]
    story_size: int = 4096  # and so is a longer story [story_size]
    search_limit: int = 999  # results beyond it are left out [search]; more history than it is not given [context]
    max_request: int = 65_536  # a longer envelope is refused unread (counted as "malformed")
    max_answer: int = 200_000  # what does not fit is left out: results [search], the oldest messages [context], users
    # from lists [participants]; rooms of a batch are not joined [answer]. A connection takes bodies of 262,144.

    max_rooms: int = MAX_ROOMS  # more are an error at the start
    max_sessions: int = 10_000  # `open` raises SessionsFull [sessions]
    max_rooms_per_session: int = 200  # a further join is refused [rooms_per_session]
    max_joined: int = 100_000  # users of open rooms who are remembered as members; a further one is not [joined]
    history_per_room: int = 1_000  # messages in memory; the oldest goes [history]
    preference_size: int = 16_384  # a longer one is refused [preference_size]
    max_preferences: int = 10_000  # of all users; a further one is refused [preferences]

    def __post_init__(self) -> None:
        assert self.channel_uris, "cmd:requri needs a URI to answer with"
