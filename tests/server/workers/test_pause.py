"""How long a worker that has ended is waited with."""

from sipgw.server.workers.spawn import FIRST_PAUSE, LONG_ENOUGH, LONGEST_PAUSE, Pause


def test_longer_each_time_that_it_ends_soon() -> None:
    pause = Pause()
    pauses = [pause.after(0.2) for _ in range(12)]
    assert pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert pauses[-2:] == [LONGEST_PAUSE, LONGEST_PAUSE]
    assert pause.after(LONG_ENOUGH) == FIRST_PAUSE, "it had been well in between"
    assert pause.after(0.2) == 2 * FIRST_PAUSE
