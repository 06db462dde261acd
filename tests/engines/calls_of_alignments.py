"""Calls of choices, noise and captions with every result, for engines whose blocks are smaller than the arrays."""

from collections.abc import Iterator
from typing import Any

import numpy as np

RNG = np.random.default_rng


def normal(seed: int, *shape: int, dtype: Any = np.float32) -> Any:
    return RNG(seed).normal(size=shape).astype(dtype)


def draws(seed: int, *shape: int, dtype: Any = np.float32) -> Any:
    return ((RNG(seed).integers(1024, size=shape) + 0.5) / 1024).astype(dtype)


def calls_of(name: str, m: int, n: int, batch: tuple[int, ...] = (), dtype: Any = np.float32) -> Iterator[Any]:
    """Calls that are larger than a block, with every result."""
    options: dict[str, Any] = {"mask": RNG(m + n).random((m, n)) < 0.7, "return_weights": True}
    of = {"dtype": dtype}
    if name in ("hard_attention", "gumbel_softmax_attention"):
        arrays = normal(1, *batch, m, 6, **of), normal(2, *batch, n, 6, **of), normal(3, *batch, n, 5, **of)
        options |= {"bias": normal(4, m, n, **of), "causal": True}
        if name == "hard_attention":
            options["return_index"] = True
            yield arrays, options
            yield arrays, {**options, "uniform": draws(5, *batch, m, **of), "temperature": 0.7}
        else:
            options["uniform"] = draws(5, *batch, m, n, **of)
            yield arrays, {**options, "temperature": 0.7}
            yield arrays, {**options, "hard": True}
        return
    hidden, regions = normal(1, *batch, m, 6, **of), normal(2, *batch, n, 5, **of)
    options |= {"w_hidden": normal(3, 6, 9, **of), "w_score": normal(4, 9, **of)}
    if name == "visual_sentinel_attention":
        options |= {"w_feature": normal(5, 5, 9, **of), "w_sentinel": normal(6, 5, 9, **of), "return_sentinel": True}
        yield (hidden, regions, normal(7, *batch, m, 5, **of)), options
        return
    options |= {"w_annotation": normal(5, 5, 9, **of), "b_annotation": normal(6, 9, **of)}
    options |= {"b_hidden": normal(7, 9, **of), "return_gate": True}
    yield (hidden, regions), options
    gate = {"w_gate": normal(8, 6, 5, **of), "b_gate": normal(9, 5, **of)}
    yield (hidden, regions), {**options, **gate, "activation": "relu"}
