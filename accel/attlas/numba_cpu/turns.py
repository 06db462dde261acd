"""Which tasks a thread takes next: numbers that all threads of a call share, counted without the interpreter.

Only one thread at a time may run Python, and to hand that right over costs tens of microseconds wherever a thread has
gone to sleep over it. So a kernel asks for its tasks itself. Everything is in one array of whole numbers: the chunks
taken so far, the tasks altogether, how many a chunk has, and the threads that are still inside.

A thread says that it is inside before it takes a chunk: once nothing is left and nobody is inside, all is done.
"""

import platform
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

Turns = NDArray[np.int64]
"""The shared numbers of one call."""

TAKEN, TASKS, CHUNK, INSIDE = range(4)

_HAS_PAUSE = platform.machine() in ("x86_64", "AMD64")


def turns_of(tasks: int, chunk: int) -> Turns:
    """Of so many tasks, so many at a time."""
    return np.array([0, tasks, chunk, 0], dtype=np.int64)


def only(task: int) -> Turns:
    """Of one task."""
    return np.array([task, task + 1, 1, 0], dtype=np.int64)


def _address(context: Any, builder: Any, turns_type: Any, turns: Any, index: Any) -> Any:
    return builder.gep(context.make_array(turns_type)(context, builder, turns).data, [index])


@intrinsic
def add(typing: Any, turns: Any, index: Any, number: Any) -> Any:
    """Add to one of the numbers, in one step for all threads; return what it was."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = _address(context, builder, signature.args[0], arguments[0], arguments[1])
        return builder.atomic_rmw("add", at, arguments[2], "seq_cst")

    return types.int64(turns, types.int64, types.int64), generate


@intrinsic
def look(typing: Any, turns: Any, index: Any) -> Any:
    """Return one of the numbers; what its thread had written before is seen from now on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        at = _address(context, builder, signature.args[0], *arguments)
        return builder.load_atomic(at, "seq_cst", 8)

    return types.int64(turns, types.int64), generate


@intrinsic
def pause(typing: Any) -> Any:
    """Leave the core to its other thread for a moment."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if _HAS_PAUSE:
            name, form = "llvm.x86.sse2.pause", ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.globals.get(name) or ir.Function(builder.module, form, name), [])
        return context.get_dummy_value()

    return types.void(), generate
