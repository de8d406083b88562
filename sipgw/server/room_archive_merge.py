"""Two histories of one room in one: what was said here, and what an archive brings."""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from sipgw.groupchat.records import Message


@dataclass
class Merged:
    """`messages` is the room's history from now on, None where it stays as it is. Of the given messages `new` are in it
    now, `there` were, and `beyond` were older than all that is kept."""

    messages: list[Message] | None
    new: int
    there: int
    beyond: int
    renumbered: bool = False


def merge(held: Sequence[Message], given: Sequence[Message], history: int) -> Merged:
    """Both in the order of their chat_id. A message is known by what was said, by whom and when: its number is its
    place in one pool's history only. Numbers stay while they tell the order without great gaps, by which a pool judges
    what is too old; else they are given anew."""
    known = Counter(map(_said, held))
    new = []
    for message in given:
        said = _said(message)
        if known[said]:
            known[said] -= 1
        else:
            new.append(message)
    there = len(given) - len(new)
    if not new:
        return Merged(None, 0, there, 0)
    fresh = {id(message) for message in new}
    kept = list(heapq.merge(held, new, key=lambda message: message.ts))[-history:]  # neither's own order changes
    added = sum(id(message) in fresh for message in kept)
    if not added or [*map(_said, kept)] == [*map(_said, held)]:
        return Merged(None, 0, there, len(new))
    numbers = [message.chat_id for message in kept]
    in_order = all(one < other for one, other in pairwise(numbers)) and numbers[-1] - numbers[0] < history
    if not in_order:
        kept = [replace(message, chat_id=number) for number, message in enumerate(kept, 1)]
    return Merged(kept, added, there, len(new) - added, not in_order)


def _said(message: Message) -> tuple[Any, ...]:
    return message.ts, message.author, message.display, message.text, message.story, message.alert
