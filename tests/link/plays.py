"""What a called party does is written in the request, so that all know their parts: `X-Play: bob1=486@2.5 pool0=200@0`.

A part is a status and the seconds until it is sent; 0 for a status means that it rings and never answers.
"""

from typing import NamedTuple

HEADER = "x-play"


class Part(NamedTuple):
    status: int = 200
    after: float = 0.0

    def __str__(self) -> str:
        return f"{self.status}@{self.after}"


def write(parts: dict[str, Part]) -> str:
    return " ".join(f"{name}={part}" for name, part in parts.items())


def read(text: str, name: str) -> Part:
    """The part of one party; it says yes at once where it has none."""
    for item in text.split():
        key, _, part = item.partition("=")
        if key == name:
            status, _, after = part.partition("@")
            return Part(int(status), float(after))
    return Part()
