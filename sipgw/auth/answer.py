"""What a request gets that is not let in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What a request gets that is not let in: `headers` are whole lines. `reason` and `name`, the user name that was
    given, are for the log; `failed` says that a sign-in failed, `skewed` that the clocks are too far apart, `close`
    that the connection is to be closed after the answer."""

    status: int
    headers: tuple[str, ...] = ()
    reason: str = ""
    name: str = ""
    failed: bool = False
    skewed: bool = False
    close: bool = False
