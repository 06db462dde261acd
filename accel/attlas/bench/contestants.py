"""Who takes part in a comparison: the reference, an engine, a peer.

All of them are called alike: `prepare` brings the inputs to where the contestant computes, which is not timed, and
returns the call that is; that call ends when its result is there, also on a GPU.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attlas_ref.records import Record
from attlas_ref.testing.drawn import Call

from ..arrays import KINDS
from ..dispatch import call_on
from ..engines import TABLE, Engine, simulated


@dataclass(frozen=True)
class Contestant:
    """One way to compute a formulation."""

    name: str
    prepare: Callable[[Call], Callable[[], Any]]
    """Takes a call on NumPy arrays and returns what is to be timed."""
    to_numpy: Callable[[Any], Any] = lambda result: result


def reference_contestant(record: Record) -> Contestant:
    """The reference."""

    def prepare(call: Call) -> Callable[[], Any]:
        return lambda: record.reference(*call.arrays, **call.options)

    return Contestant("reference", prepare)


def engine_contestant(record: Record, engine: Engine) -> Contestant:
    """One engine, called as the public function calls it, on arrays that already live where it computes."""
    native, host = KINDS[engine.arrays], KINDS["numpy"]
    synchronize = _synchronizer(engine)

    def there(value: Any) -> Any:
        return each(value, lambda part: native.take(part, part.dtype.name))

    def prepare(call: Call) -> Callable[[], Any]:
        arrays = tuple(map(there, call.arrays))
        options = {name: there(value) for name, value in call.options.items()}

        def run() -> Any:
            result = call_on(engine, record.name, *arrays, **options)
            synchronize()
            return result

        return run

    return Contestant(engine.name, prepare, lambda result: each(result, lambda part: host.take(part, None)))


def engines_here() -> list[Engine]:
    """The engines that this machine can run, in the order of the tables; a simulated GPU has nothing to measure."""
    able = [engine for engine in TABLE.values() if engine.missing() is None]
    return [engine for engine in able if not (simulated() and engine.arrays == "cuda")]


def engines_for(record: Record) -> list[Engine]:
    """The engines of this machine that compute a formulation; none for a utility, which exists once."""
    return [] if record.kind == "U" else [engine for engine in engines_here() if engine.name in record.engines]


def on_host(contestant: Contestant) -> bool:
    """Whether it computes in the memory of the host, which can be measured."""
    return contestant.name not in TABLE or TABLE[contestant.name].arrays == "numpy"


def each(value: Any, change: Callable[[Any], Any]) -> Any:
    """Apply a change to an array or to every array of a tuple, named or not; all else stays as it is."""
    if not isinstance(value, tuple):
        return change(value) if hasattr(value, "shape") else value
    parts = [each(part, change) for part in value]
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)


def _synchronizer(engine: Engine) -> Callable[[], None]:
    """What waits until an engine has finished."""
    if engine.arrays == "cupy":
        import cupy

        return lambda: cupy.cuda.get_current_stream().synchronize()
    if engine.arrays == "cuda":
        from ..numba_cuda.target import cuda

        return lambda: cuda.synchronize()
    return lambda: None
