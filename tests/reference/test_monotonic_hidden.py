"""What a mask hides cannot be felt by pointers and by what reads behind them."""

from typing import Any

import numpy as np
import pytest

import attlas_ref
from attlas_ref.contract.results import flat

RNG = np.random.default_rng(83)
M, N = 4, 6
HIDDEN = np.array([False, True, False, False, True, True])
"""Keys that nobody sees; the last row sees nothing at all."""
MASK = ~HIDDEN & (np.arange(M) < M - 1)[:, None]
QUERY, KEY, VALUE = RNG.normal(size=(M, 3)), RNG.normal(size=(N, 3)), RNG.normal(size=(N, 2))
FUTURE, ENERGY, NOISE = RNG.normal(size=(M, 3)), RNG.normal(size=(M, N)), RNG.normal(size=(M, N))
HEADS = tuple(np.stack([x, -x]) for x in (QUERY, KEY, VALUE))
SOFT = {"soft_query": HEADS[0], "soft_key": HEADS[1]}
ONE = np.eye(3)
MATRICES = {"w_query": ONE, "w_key": ONE, "w_future": ONE, "w_future_key": ONE}
LEARNED = {"w_query": ONE, "w_key": ONE, "v": np.ones(3)}

CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("monotonic_energy", (QUERY, KEY), {**LEARNED, "noise": NOISE, "return_probability": True}),
    ("monotonic_energy", (QUERY, KEY), {"score": "dot"}),
    ("lm_augmented_monotonic_energy", (QUERY, KEY, FUTURE), {**MATRICES, "noise": NOISE}),
    ("monotonic_attention", (QUERY, KEY, VALUE), {"score": "dot", "noise": NOISE, "return_weights": True}),
    ("monotonic_attention", (QUERY, KEY, VALUE), {**LEARNED, "mass_preservation": True}),
    ("monotonic_attention", (QUERY, KEY, VALUE), {"score": "dot", "hard": True, "mass_preservation": True}),
    ("mocha_attention", (QUERY, KEY, VALUE), {"score": "dot", "chunk_size": 2, "energy": ENERGY}),
    ("mocha_attention", (QUERY, KEY, VALUE), {"score": "dot", "chunk_size": 3, "hard": True}),
    ("monotonic_multihead_attention", HEADS, {"return_weights": True}),
    ("monotonic_multihead_attention", HEADS, {"kind": "infinite_lookback", **SOFT}),
    ("monotonic_multihead_attention", HEADS, {"kind": "chunkwise", "chunk_size": 2, **SOFT, "streaming": True}),
    ("monotonic_multihead_attention", HEADS, {"streaming": True, "return_reads": True}),
]
IDS = [f"{name}-{index}" for index, (name, _, _) in enumerate(CALLS)]
BY_QUERY, BY_PAIR = ("soft_query",), ("noise", "energy")


def fouled(array: Any, seen: Any, strange: float) -> Any:
    return np.where(seen, array, strange)


@pytest.mark.parametrize(("name", "arrays", "options"), CALLS, ids=IDS)
@pytest.mark.parametrize("strange", [np.nan, np.inf, -np.inf])
def test_what_stands_behind_the_mask_cannot_leak(name: str, arrays: Any, options: Any, strange: float) -> None:
    function, sees, seen = getattr(attlas_ref, name), MASK.any(axis=1)[:, None], MASK.any(axis=0)[:, None]
    # Of the arrays the second and, where there are values, the third belong to keys.
    by_key = (1,) if name.endswith("energy") else (1, 2)
    dirty = [fouled(array, seen if place in by_key else sees, strange) for place, array in enumerate(arrays)]
    strange_options = {
        key: fouled(x, sees, strange) if key in BY_QUERY else fouled(x, MASK, strange) if key in BY_PAIR else x
        for key, x in options.items()
    }
    if "soft_key" in options:
        strange_options["soft_key"] = fouled(options["soft_key"], seen, strange)
    clean, felt = (flat(function(*a, mask=MASK, **o)) for a, o in ((arrays, options), (dirty, strange_options)))
    for one, other in zip(clean, felt, strict=True):
        np.testing.assert_array_equal(one, other)
        assert not np.isnan(one).any()


@pytest.mark.parametrize(("name", "arrays", "options"), CALLS, ids=IDS)
def test_a_row_that_sees_nothing_reads_nothing(name: str, arrays: Any, options: Any) -> None:
    if name.endswith("energy"):
        options = {**options, "return_probability": True}
    output = flat(getattr(attlas_ref, name)(*arrays, mask=MASK, **options))[0]
    assert not output[..., -1, :].any()
    assert output[..., 0, :].any()


@pytest.mark.parametrize(("name", "arrays", "options"), CALLS, ids=IDS)
def test_without_keys_there_is_nothing_to_read(name: str, arrays: Any, options: Any) -> None:
    by_key = (1,) if name.endswith("energy") else (1, 2)
    cut = [array[..., :0, :] if place in by_key else array for place, array in enumerate(arrays)]
    options = {key: x[..., :0] if key in BY_PAIR else x[..., :0, :] if key == "soft_key" else x for key, x in
               options.items()}  # fmt: skip
    for part in flat(getattr(attlas_ref, name)(*cut, **options)):
        assert not part.any()
