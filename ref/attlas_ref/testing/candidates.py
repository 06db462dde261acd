"""Who is tested: the reference, each engine that this process can run, and any function of yours."""

import functools
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..records import find


@dataclass(frozen=True)
class Candidate:
    """Something that computes formulations: ``candidate("softmax_attention", query, key, value, causal=True)``."""

    name: str
    call: Callable[..., Any]
    """``call(formulation, *arrays, **options)``; NumPy arrays in, NumPy arrays out."""
    covers: Callable[[str], bool] = lambda name: True
    """Whether it computes a formulation."""
    largest: int = 65
    """The largest size to draw; small for kernels that are simulated thread by thread."""

    def __call__(self, name: str, *arrays: Any, **options: Any) -> Any:
        return self.call(name, *arrays, **options)

    def __repr__(self) -> str:
        return self.name

    @classmethod
    def of(cls, function: Callable[..., Any], name: str) -> "Candidate":
        """Make a candidate of one function that computes the formulation `name`.

        Where a law ties it to others, those are computed by their references.

        Examples
        --------
        >>> import attlas_ref
        >>> Candidate.of(attlas_ref.softmax_attention, "softmax_attention").covers("relu_attention")
        False
        """

        def call(formulation: str, *arrays: Any, **options: Any) -> Any:
            return (function if formulation == name else find(formulation).reference)(*arrays, **options)

        return cls(getattr(function, "__name__", name), call, covers=lambda formulation: formulation == name)


def reference_candidate() -> Candidate:
    """Return the references as a candidate."""
    return Candidate("reference", lambda name, *arrays, **options: find(name).reference(*arrays, **options))


def candidates() -> tuple[Candidate, ...]:
    """Return every candidate that this process can run.

    Without the package `attlas` that is the reference alone. With Numba's CUDA simulator switched on
    (``NUMBA_ENABLE_CUDASIM=1``) it is the simulated engine alone, since simulated kernels are slow and everything else
    has been tested without the simulator.
    """
    if not importlib.util.find_spec("attlas"):
        return (reference_candidate(),)
    from attlas.engines import TABLE, cupy_on_numpy  # type: ignore[import-not-found, unused-ignore]

    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
        return (_on_engine("numba-cuda-simulator", TABLE["numba-cuda"], largest=9),)
    found = [reference_candidate()]
    for name, engine in TABLE.items():
        if engine.missing() is None:
            found.append(_on_engine(name, engine, largest=65 if engine.arrays == "numpy" else 257))
    return (*found, _on_engine("cupy-as-numpy", cupy_on_numpy()))


def _on_engine(name: str, engine: Any, largest: int = 65) -> Candidate:
    from attlas.dispatch import call_on  # type: ignore[import-not-found, unused-ignore]

    return Candidate(
        name,
        functools.partial(call_on, engine),
        covers=lambda formulation: find(formulation).kind == "U" or engine.name in find(formulation).engines,
        largest=largest,
    )
