"""What hypothesis chooses: how bad each link is, who does what and when, what the called do, what breaks down."""

from hypothesis import strategies as st

from tests.harness import CONTACT_OBJECT
from tests.link.network import Conditions
from tests.link.plays import Part
from tests.link.scene import BOB, BOBS, CALLERS, FIRST_STEP, NAMES, POOLS, Scene
from tests.link.tiny_agent import Step

LOSS = 0.25
SECONDS = st.sampled_from([0.0, 0.1, 0.4, 0.6, 1.0, 2.0, 2.9, 3.1, 5.0, 8.0, 20.0])
PARTS = st.fixed_dictionaries(
    {name: st.builds(Part, st.sampled_from([200, 200, 200, 486, 503, 603, 0]), SECONDS) for name in (*POOLS, *BOBS)}
).map(lambda parts: tuple(parts.items()))
MOMENTS = st.sampled_from([0.0, 0.0, 0.001, 0.5, 1.0, 7.0, 30.0])
CALLS = st.builds(
    Step,
    st.just("call"),
    MOMENTS,
    st.sampled_from([CONTACT_OBJECT, BOB]),
    PARTS,
    infos=st.integers(0, 3),
    talk=SECONDS,
    patience=st.one_of(st.just(90.0), st.just(300.0), SECONDS, st.floats(0.0, 12.0)),
)
REQUESTS = st.builds(Step, st.sampled_from(["MESSAGE", "SUBSCRIBE"]), MOMENTS, st.just(BOB), PARTS)
BY_CALLERS = st.tuples(st.sampled_from(CALLERS), st.one_of(CALLS, CALLS, REQUESTS))
BY_BOBS = st.tuples(st.sampled_from(BOBS), st.builds(Step, st.just("REGISTER"), MOMENTS))
STEPS = st.lists(st.one_of(BY_CALLERS, BY_CALLERS, BY_CALLERS, BY_BOBS), min_size=4, max_size=12).map(tuple)
MOMENTS_OF_ALL = st.one_of(MOMENTS.map(lambda moment: FIRST_STEP + moment), st.floats(0.0, 200.0))
LATE = st.sampled_from([0.0, 0.1, 0.7, 4.0])


def scenes(
    transport: str, conditions: st.SearchStrategy[Conditions], max_resets: int, max_deaths: int
) -> st.SearchStrategy[Scene]:
    return st.builds(
        Scene,
        seed=st.integers(0, 2**32),
        transport=st.just(transport),
        conditions=st.fixed_dictionaries(dict.fromkeys(NAMES, conditions)),
        own_pool=st.booleans(),
        store_delay=st.sampled_from([0.0, 0.1, 5.0]),
        steps=STEPS,
        resets=st.lists(st.tuples(MOMENTS_OF_ALL, st.integers(0, 20)), max_size=max_resets).map(tuple),
        deaths=st.lists(st.tuples(MOMENTS_OF_ALL, st.sampled_from([*POOLS, *BOBS])), max_size=max_deaths).map(tuple),
    )


LOSSY = scenes("UDP", st.builds(Conditions, st.just(LOSS), st.sampled_from([0.0, 0.1, 0.25]), LATE), 0, 0)
UNEVEN = scenes("UDP", st.builds(Conditions, st.sampled_from([0.0, 0.1, LOSS]), st.just(0.1), LATE), 0, 2)
BREAKING = scenes("TCP", st.builds(Conditions, late=LATE), 12, 1)
