"""Calls that several workers have seen something of, put together: each keeps what has come by it."""

from collections.abc import Iterable, Sequence

from sipgw.server.admin.call_models import CallBody, CallPage, StepBody


def read(texts: Iterable[str]) -> list[CallPage]:
    """Pages as the workers tell them."""
    return [CallPage.model_validate_json(text) for text in texts]


def part(every: CallPage, matching: CallPage) -> CallPage:
    """What one worker has seen of a call. A part that is not what was asked for does not say where the call stands
    among the others: what belongs to a page is known by the parts that are."""
    if matching.calls:
        return every
    return every.model_copy(update={"calls": [call.model_copy(update={"serial": 0}) for call in every.calls]})


def whole(pages: Iterable[CallPage], before: int | None) -> list[CallBody]:
    """The calls of these pages, each once, the one that has changed last first; those before a serial number only, as
    the others were on a page before."""
    parts: dict[str, list[CallBody]] = {}
    for page in pages:
        for call in page.calls:
            parts.setdefault(call.call_id, []).append(call)
    found = sorted(map(merged_call, parts.values()), key=lambda call: -call.serial)
    return [call for call in found if before is None or call.serial < before]


def in_order(pages: Sequence[CallPage]) -> tuple[list[str], int | None]:
    """The ids of the calls on these pages, the one that has changed last first, and what the next page is before: below
    where a page ends there may be more that nobody has told of yet."""
    newest: dict[str, int] = {}
    for page in pages:
        for call in page.calls:
            newest[call.call_id] = max(call.serial, newest.get(call.call_id, 0))
    lowest = max((page.next for page in pages if page.next is not None), default=None)
    found = sorted(newest, key=lambda call_id: -newest[call_id])
    return [one for one in found if lowest is None or newest[one] >= lowest], lowest


def merged_page(pages: Sequence[CallPage], calls: list[CallBody], limit: int, lowest: int | None) -> CallPage:
    """One page of whole calls, the one that has changed last first."""
    more = len(calls) > limit
    kept = calls[:limit]
    return CallPage(
        enabled=any(page.enabled for page in pages),
        calls=kept,
        next=kept[-1].serial if more else lowest,
        newest=min(page.newest for page in pages),
        kept=sum(page.kept for page in pages),
        evicted=sum(page.evicted for page in pages),
        missed=sum(page.missed for page in pages),
        bytes=sum(page.bytes for page in pages),
    )


def merged_call(parts: Iterable[CallBody]) -> CallBody:
    """The parts of one call as one. What it was about the one knows that saw its first request; who only passed on an
    answer comes behind, as times are known to the millisecond."""
    found = sorted(parts, key=lambda part: (not part.method, part.began))
    first = found[0]
    final = next((part for part in found if part.status and part.method == first.method), first)
    failed = next((part for part in found if part.failure), first)
    return first.model_copy(
        update={
            "began": min(part.began for part in found),
            "serial": max(part.serial for part in found),
            "touched": max(part.touched for part in found),
            "status": final.status,
            "reason": final.reason,
            "failure": failed.failure,
            "diagnostics": failed.diagnostics,
            "matched": next((part.matched for part in found if part.matched), ""),
            "messages": sum(part.messages for part in found),
            "left_out": sum(part.left_out for part in found),
            "incomplete": any(part.incomplete for part in found),
            "steps": _steps(found) if first.steps is not None else None,
        }
    )


def _steps(parts: Sequence[CallBody]) -> list[StepBody]:
    """By the time at which they happened, their turns numbered anew. Clocks are read to the millisecond: within one,
    what came in is before what was only sent, as one worker sends what another has got."""
    turns: dict[tuple[int, int], list[StepBody]] = {}
    for at, part in enumerate(parts):
        for step in part.steps or ():
            turns.setdefault((at, step.turn), []).append(step)
    in_order = sorted(turns.values(), key=lambda steps: (round(steps[0].at, 3), all(s.kind != "in" for s in steps)))
    return [step.model_copy(update={"turn": number}) for number, turn in enumerate(in_order, 1) for step in turn]
