"""The best public peers: the same mathematics in PyTorch, as fast as PyTorch expresses it.

A record names its peer (`Record.peer`), a function of a module of this folder; it takes the record's arrays as tensors,
which share the memory of the NumPy arrays, and the options that it knows. PyTorch's fused attention is used wherever a
formulation can be brought to it, packages (entmax, torch-struct, POT, tslearn) for what they are made for; the others
are the shortest chain of steps. A suite sets further rivals beside it: the peer as `torch.compile` fuses it,
FlexAttention, a compiled loop, other ways.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from attlas_ref.records import Record
from attlas_ref.testing.drawn import Call

from ...threads import get_num_threads
from ..contestants import Contestant, each
from ..machine import installed

MISSING = "{} is not installed (pip install 'attlas[peers]')"

MODULES = (
    *("fused", "elementwise", "networks", "flex", "associative", "sequences", "tensor", "inference"),
    *("alignments", "locations", "loops"),
    *("simplex", "structured", "transport", "warping"),
)
"""Where peers are looked for, in this order: first what needs PyTorch alone."""
PACKAGES = {"package": "entmax", "struct": "torch_struct", "pot": "ot", "tslearn": "tslearn"}
"""How the names of peers begin that are made of another package, and how that is imported."""
RIVALS = ("torch", "compiled", "flex", "product", "features", "logs", "clamped", "loop", "loss")
TIMED_ONLY = ("clamped", "loss")
"""Rivals that lose mass or digits by their way of computing: there is nothing to check."""


def peer_contestant(record: Record, rival: str = "torch") -> Contestant:
    """The peer of a formulation as a contestant.

    Parameters
    ----------
    record : Record
        The formulation.
    rival : one of RIVALS
        "torch" is the peer that the record names, "compiled" the same through `torch.compile`; any other is another way
        in PyTorch, or a compiled loop.

    Raises
    ------
    LookupError
        If there is no such peer.
    ModuleNotFoundError
        If PyTorch, or another package that the peer is made of, is not installed.
    """
    package = lacking(record)
    if package is not None:
        raise ModuleNotFoundError(MISSING.format(package))
    import torch

    torch.set_num_threads(get_num_threads())
    plain = _function(record, rival)
    function = torch.compile(plain, dynamic=False) if rival == "compiled" else plain

    def prepare(call: Call) -> Callable[[], Any]:
        tensors = tuple(None if value is None else each(value, _tensor) for value in call.arrays)
        options = {name: _tensor(value) for name, value in _known(record, plain, call.options).items()}

        def run() -> Any:
            with torch.no_grad():
                return function(*tensors, **options)

        return run

    return Contestant(rival, prepare, lambda result: each(result, lambda part: part.detach().numpy()))


def lacking(record: Record) -> str | None:
    """The package that a peer needs and that is not installed, if there is one."""
    own = PACKAGES.get(str(record.peer).partition("_")[0], "torch")
    return next((package for package in ("torch", own) if not installed(package)), None)


def _function(record: Record, rival: str) -> Callable[..., Any]:
    name = record.peer if rival in ("torch", "compiled") else f"{rival}_{record.name}"
    if name is not None:
        for module in MODULES:
            function = getattr(importlib.import_module(f"{__name__}.{module}"), name, None)
            if function is not None:
                found: Callable[..., Any] = function
                return found
    raise LookupError(f"{record.name} has no public peer")


def _tensor(value: Any) -> Any:
    import torch

    return torch.from_numpy(value) if hasattr(value, "dtype") else value


def _known(record: Record, function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a peer takes; it must not leave out one that changes the result."""
    known = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return dict(options)
    for name, value in options.items():
        default = record.python_signature.parameters[name].default
        if name not in known and (hasattr(value, "dtype") or value != default):
            raise ValueError(f"the peer of {record.name} does not take the option {name}")
    return {name: value for name, value in options.items() if name in known}
