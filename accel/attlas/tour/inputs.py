"""Calls on real inputs for any formulation, read from its record.

Queries, keys and values are those of a transformer that reads a text. What else a formulation needs is found by rule:
a group of arrays is what another formulation returns (partial attentions, each over its share of the keys), anything
else is drawn at the shapes of the signature.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attlas_ref.contract import Array, Flag, bind, parse_signature
from attlas_ref.contract.signature import Core, is_group, is_open
from attlas_ref.data import alice
from attlas_ref.records import Record, all_records
from attlas_ref.testing.drawn import Call, example_call, legal

LAYERS = (0, 3, 5)
HEADS = (0, 4, 8)
FEW_TOKENS = 24
"""Where the reference takes long: for all tuples of tokens, or an integral for each pair."""


def real_heads(layers: Sequence[int], heads: Sequence[int], dtype: str = "float32") -> dict[str, Any]:
    """Queries, keys and values of some layers and heads, each (layers, heads, token, head dimension)."""
    chosen = np.ix_(layers, heads)
    return {name: getattr(alice(), name)[chosen].astype(dtype) for name in ("query", "key", "value")}


def real_call(
    record: Record,
    layers: Sequence[int] = LAYERS,
    heads: Sequence[int] = HEADS,
    dtype: str = "float32",
    **options: Any,
) -> Call:
    """Make a call of a formulation on real inputs."""
    real = real_heads(layers, heads, dtype)
    inputs = parse_signature(record.signature).inputs
    if record.largest.keys() & {"m", "n", "n_1"}:
        real = {name: array[..., :FEW_TOKENS, :] for name, array in real.items()}
    tokens, width = real["query"].shape[-2:]
    sizes = {"d": width, "e": width, "b": width, "h": len(heads)}
    sizes |= dict.fromkeys(("m", "n", "n_1", "n_2", "n_3"), tokens)
    # Where the heads of a layer see each other, they are an axis of the formulation, not of the batch.
    batch = (len(layers),) if ("h", "n", "d") in inputs else (len(layers), len(heads))
    drawn = example_call(record.name, np.random.default_rng(0), sizes, batch, dtype, **options)
    groups = [position for position, entry in enumerate(inputs) if is_group(entry) and not is_open(entry)]
    arrays = []
    for position, (name, array) in enumerate(zip(record.takes, drawn.arrays, strict=True)):
        one = real.get(name.rstrip("123s"))  # key1 and key2 are keys, and so is each of `keys`
        if position in groups:
            share = groups.index(position), len(groups)
            array = _returned_by_another(inputs[position], real, share, fallback=array)  # type: ignore[arg-type]
        elif one is not None:
            many = isinstance(array, tuple)
            array = tuple(one for _ in array) if many else one if one.shape == array.shape else array
        arrays.append(array)
    return _allowed(record, drawn.given(*arrays, **_learned(record, drawn.options)))


def _allowed(record: Record, call: Call) -> Call:
    """The call as it is if the contract takes it, otherwise with arrays made legal (bits, unit vectors)."""
    return call if _is_taken(record, call) else call.given(*legal(record, call.arrays, call.options))


def _is_taken(record: Record, call: Call) -> bool:
    """Whether the contract takes a call."""
    try:
        bind(record, call.arrays, call.options)
    except ValueError:
        return False
    return True


def _learned(record: Record, options: Mapping[str, Any]) -> dict[str, Any]:
    """Weight matrices as a network begins with them: what comes out is about as large as what goes in."""
    return {
        name: (value / np.sqrt(max(value.shape[-2], 1))).astype(value.dtype)
        for name, value in options.items()
        if isinstance(kind := record.options[name], Array) and not kind.batched and np.ndim(value) > 1
    }


def variants(record: Record, call: Call) -> list[Call]:
    """The call as it is, and once with each flag switched on, but for those that ask for other arrays."""
    flags = [name for name, option in record.options.items() if isinstance(option, Flag) and name not in record.wider]
    switched = [_allowed(record, call.given(**{name: True})) for name in flags]
    return [call, *(one for one in switched if _is_taken(record, one))]


def _returned_by_another(
    cores: tuple[Core, ...], real: Mapping[str, Any], share: tuple[int, int], fallback: tuple[Any, ...]
) -> tuple[Any, ...]:
    """What a formulation of queries, keys and values that returns such a group makes of a share of the keys."""
    number, shares = share
    for other in all_records():
        if parse_signature(other.signature).outputs == cores and set(other.takes) == set(real):
            key, value = (np.array_split(real[name], shares, axis=-2)[number] for name in ("key", "value"))
            return tuple(other.reference(real["query"], key, value))
    return fallback
