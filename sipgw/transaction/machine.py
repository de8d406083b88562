"""What client and server transactions share: a state, a table, and two timers."""

from collections.abc import Callable
from typing import Any

from sipgw.transaction.tables import Table
from sipgw.transaction.timers import Queue

Action = Callable[[Any, Any, float], None]
Machine = dict[str, dict[str, tuple[str, Action]]]


def bind(table: Table, transaction_class: type) -> Machine:
    """A table with its action names replaced by the methods of the class that runs it."""
    return {
        state: {event: (target, getattr(transaction_class, action)) for event, (target, action) in row.items()}
        for state, row in table.items()
    }


class Deadlines:
    """The two timers that any machine can have running: one to send again, one to give up or to end lingering."""

    __slots__ = ("_again", "_end")

    def __init__(self) -> None:
        self._again: Queue | None = None
        self._end: Queue | None = None

    def stop_again(self) -> None:
        if self._again is not None:
            self._again.pop(self, None)  # type: ignore[call-overload]
            self._again = None

    def stop_end(self) -> None:
        if self._end is not None:
            self._end.pop(self, None)  # type: ignore[call-overload]
            self._end = None
