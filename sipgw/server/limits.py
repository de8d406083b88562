"""What the shell is bounded by."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ShellLimits:
    """Bytes, counts and seconds. `max_per_peer` 0 is no limit."""

    max_head: int = 16_384
    max_body: int = 262_144
    max_connections: int = 10_000
    max_per_peer: int = 0
    idle: float = 3600.0
    connect_timeout: float = 3.0
    max_delay: float = 0.1
    gather: float = 0.001
