"""Whose a message is among several workers."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipgw.core.ownership import (
    BUCKETS,
    MAX_WORKERS,
    Sharing,
    branch_prefix,
    bucket_of,
    first_cid,
    next_in_ring,
    worker_of,
    worker_of_branch,
)
from sipgw.events import Flow, HandOver
from sipgw.message.message import Request, Response
from sipgw.message.parser import parse_message
from sipgw.transaction.layer import TransactionLayer
from sipgw.transaction.timers import TimerValues

WORKERS = st.integers(0, MAX_WORKERS - 1)
FLOW = Flow("TCP", "127.0.0.9", 5070, None, first_cid(1, 77) + 4)


@given(WORKERS, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_an_id_names_its_worker(worker: int, drawn: int, count: int) -> None:
    assert worker_of(first_cid(worker, drawn) + count) == worker


def test_ids_of_two_starts_differ() -> None:
    assert first_cid(3, 1) != first_cid(3, 2)


@given(WORKERS, st.text("0123456789abcdef", max_size=20))
def test_a_branch_names_its_worker(worker: int, rest: str) -> None:
    branch = f"{branch_prefix(worker)}{rest}"
    assert worker_of_branch(branch) == worker
    assert worker_of_branch(branch.upper()) == worker, "some spell our branch in capitals"


@pytest.mark.parametrize("branch", ["", "z9hG4bK", "z9hG4bK0123456789", "z9hG4bKw", "z9hG4bKw1", "w01", "z9hG4bKwxy"])
def test_other_branches_name_nobody(branch: str) -> None:
    assert worker_of_branch(branch) is None


def test_buckets() -> None:
    found = {bucket_of(f"user{number}@contoso.com") for number in range(2000)}
    assert len(found) > 1500 and min(found) >= 0 and max(found) < BUCKETS


@given(st.sets(WORKERS, min_size=1), st.data())
def test_a_ring_comes_by_everybody_once(alive: set[int], data: st.DataObject) -> None:
    worker = start = data.draw(st.sampled_from(sorted(alive)))
    seen, passed = [start], 0
    while (following := next_in_ring(worker, alive, passed)) is not None:
        worker, passed = following, passed + 1
        seen.append(worker)
    assert sorted(seen) == sorted(alive)


def sharing(*alive: int) -> tuple[TransactionLayer, Sharing]:
    layer = TransactionLayer(TimerValues(), Random(1))
    found = Sharing(layer, 0)
    found.alive = set(alive)
    return layer, found


def response(branch: str) -> Response:
    text = (
        f"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 127.0.0.1;branch={branch}\r\nFrom: <sip:a@b>;tag=1\r\n"
        "To: <sip:c@d>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    )
    message = parse_message(text.encode())
    assert isinstance(message, Response)
    return message


def cancel() -> Request:
    text = (
        "CANCEL sip:c@d SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
        "To: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 CANCEL\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
    message = parse_message(text.encode())
    assert isinstance(message, Request)
    return message


def handed(layer: TransactionLayer) -> list[HandOver]:
    found = [output for output in layer.out if isinstance(output, HandOver)]
    layer.out.clear()
    return found


def test_requests_of_a_worker_bear_its_mark() -> None:
    layer, _ = sharing(0, 1)
    assert worker_of_branch(layer.new_branch()) == 0


def test_a_response_goes_to_who_has_sent_the_request() -> None:
    layer, _ = sharing(0, 1, 2)
    message = response(f"{branch_prefix(2)}abc")
    layer.receive_response(message, FLOW, 0.0)
    (output,) = handed(layer)
    assert (output.worker, output.flow, output.passed) == (2, FLOW, 1)
    assert output.data == message.encode()
    assert layer.counters == {"handed_over": 1}


@pytest.mark.parametrize("branch", [f"{branch_prefix(0)}abc", f"{branch_prefix(3)}abc", "z9hG4bKother"])
def test_a_response_to_nobody_who_lives_is_stray(branch: str) -> None:
    layer, found = sharing(0, 1)
    assert not found.pass_response(response(branch), FLOW)
    assert not layer.out


def test_a_response_is_passed_on_once() -> None:
    layer, found = sharing(0, 1)
    found.passed = 1
    assert not found.pass_response(response(f"{branch_prefix(1)}abc"), FLOW)
    assert not layer.out


def test_a_request_goes_round() -> None:
    layer, found = sharing(0, 1, 2)
    assert found.pass_request(cancel(), FLOW)
    found.passed = 1
    assert found.pass_request(cancel(), FLOW)
    assert [(one.worker, one.passed) for one in handed(layer)] == [(1, 1), (1, 2)]
    found.passed = 2
    assert not found.pass_request(cancel(), FLOW), "all have looked"


def test_alone_nobody_is_asked() -> None:
    layer, found = sharing(0)
    assert not found.pass_request(cancel(), FLOW)
    assert not layer.out
