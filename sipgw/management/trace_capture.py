"""Traced calls as a file for Wireshark."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from sipgw import __version__
from sipgw.observability.addresses import ends_of
from sipgw.observability.pcapng import Packet, encode
from sipgw.server.admin.call_models import CallBody


def write_capture(path: Path, calls: Iterable[CallBody]) -> int:
    """All messages in the order of their times, with the decisions as comments. Returns how many there are."""
    packets = sorted((packet for call in calls for packet in _packets(call)), key=lambda packet: packet.at)
    with path.open("wb") as file:
        file.writelines(encode(packets, f"sipgw {__version__}"))
    return len(packets)


def _packets(call: CallBody) -> Iterator[Packet]:
    comments = [f"FAILED: {call.failure}"] if call.failure else []
    packet: Packet | None = None
    for step in call.steps or ():
        if step.kind == "decision":
            (comments if packet is None else packet.comments).append(step.label)
            continue
        if packet is not None:
            yield packet
        ends = ends_of(step.local, step.peer)
        packet = Packet(step.at, step.text.encode(step.encoding), ends, step.kind == "in", comments)
        comments = []
    if packet is not None:
        yield packet
