"""/api/v1/calls: the calls that the trace ring holds, a page at a time, the one that has changed last first."""

from sipgw.observability.trace_read import Filter, Step, has_failed, is_call, is_of_endpoint, is_of_user
from sipgw.observability.trace_ring import TracedCall
from sipgw.server.admin.call_models import CallBody, CallPage, CallsQuery, StepBody
from sipgw.server.admin.operation import Answer, Call
from sipgw.server.tracing import Found, Query, Tracing

PATH = "/api/v1/calls"


async def list_calls(call: Call) -> Answer:
    """One page."""
    assert isinstance(call.query, CallsQuery)
    return Answer(await call.gateway.all_calls(call.query))


async def page_of(tracing: Tracing, query: CallsQuery) -> CallPage:
    """One page of what this process has seen."""
    wanted = Query(query.limit, query.after, query.before, query.since, _filters(query), query.steps)
    page, ring = await tracing.page(wanted), tracing.ring
    return CallPage(
        enabled=ring is not None,
        calls=[_body(one) for one in page.found],
        next=page.more,
        newest=page.newest,
        kept=len(ring.calls) + len(ring.background) if ring is not None else 0,
        evicted=ring.evicted if ring is not None else 0,
        missed=ring.missed if ring is not None else 0,
        bytes=ring.size if ring is not None else 0,
    )


def _filters(query: CallsQuery) -> list[Filter]:
    """The cheapest first."""
    filters: list[Filter] = []
    if query.call_id is not None:
        filters.append(_has_call_id(query.call_id))
    if not query.probes:
        filters.append(is_call)
    if query.user is not None:
        filters.append(is_of_user(query.user))
    if query.endpoint is not None:
        filters.append(is_of_endpoint(query.endpoint))
    if query.failed:
        filters.append(has_failed)
    return filters


def _has_call_id(wanted: str) -> Filter:
    """Compared as it is written (RFC 3261 §20.8)."""
    key = wanted.encode("latin-1", "replace")

    def matches(call: TracedCall) -> bool:
        return call.call_id == key

    return matches


def _body(found: Found) -> CallBody:
    return CallBody(
        **vars(found.summary),
        serial=found.serial,
        left_out=found.left_out,
        incomplete=found.incomplete,
        steps=[_step(step) for step in found.steps] if found.steps is not None else None,
    )


def _step(step: Step) -> StepBody:
    values = dict(vars(step))
    data = values.pop("data")
    try:
        return StepBody(**values, text=data.decode())
    except UnicodeDecodeError:
        return StepBody(**values, text=data.decode("latin-1"), encoding="latin-1")
