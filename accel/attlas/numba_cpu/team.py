"""Threads that go through a course of turns together, within one launch.

A turn has some tasks; whoever is there claims the next one, and who finishes the last one prepares the next turn while
the others wait. A launch per turn instead costs tens of microseconds, more than a turn of a few megabytes.

Nobody is counted on: one thread alone gets through the whole course, and one that comes late joins in the middle. Who
waits too long, because a thread with a task is not running, calls everybody back to the host, which waits as the
system prefers and launches the course anew, where it stands.
"""

from typing import Any

from numba import types
from numba.extending import intrinsic

from .compile import part

COURSE = 24
"""Whole numbers of a course, all 0 at first; what different threads write lies on different lines of the cache."""

TICKET, FINISHED, RECALL = 0, 8, 16
"""Places in a course: the turn (high half) and its next task (low half), negative at the end; how many tasks of the
turn are finished; whether all shall return."""

PATIENCE = 2**16
"""Looks at the turn, about 0.1 ms, after which a waiting thread calls everybody back."""

ENDED = -(2**62)
_PLACES = 32
"""Bits of a ticket below the turn."""
_TASK = 2**_PLACES - 1

NONE = -1
"""No task: the course has ended, or everybody returns."""


@intrinsic
def _add(typing: Any, course: Any, at: Any, number: Any) -> Any:
    """Add to a number as one step that no other thread cuts in two; returns what it was."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", builder.gep(arguments[0], [arguments[1]]), arguments[2], "acq_rel")

    return types.int64(course, types.int64, types.int64), generate


@intrinsic
def _read(typing: Any, course: Any, at: Any) -> Any:
    """A number as it is now; what was written before it was stored is seen as well."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(builder.gep(arguments[0], [arguments[1]]), "acquire", 8)

    return types.int64(course, types.int64), generate


@intrinsic
def _store(typing: Any, course: Any, at: Any, number: Any) -> Any:
    """Set a number, after all that was written before."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store_atomic(arguments[2], builder.gep(arguments[0], [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(course, types.int64, types.int64), generate


def _claim(course, at, tasks, patience):
    """The next task, of this turn or the next; `NONE` if there is none."""
    while _read(course, at + RECALL) == 0:
        ticket = _add(course, at + TICKET, 1)
        if ticket < 0:
            return NONE
        if ticket & _TASK < tasks:
            return ticket & _TASK
        looks = 0
        while _read(course, at + TICKET) >> _PLACES == ticket >> _PLACES:
            looks += 1
            if looks > patience:
                _store(course, at + RECALL, 1)
                return NONE
    return NONE


def _is_last(course, at, tasks):
    """Note that a task is finished; whether all tasks of the turn are."""
    return _add(course, at + FINISHED, 1) == tasks - 1


def _begin_turn(course, at, ended):
    """Let everybody go on to the next turn, or home."""
    _store(course, at + FINISHED, 0)
    _store(course, at + TICKET, ENDED if ended else ((_read(course, at + TICKET) >> _PLACES) + 1) << _PLACES)


claim: Any = part(_claim)
is_last: Any = part(_is_last)
begin_turn: Any = part(_begin_turn)
