"""What is said about a call is what the table says, where it matters for that call."""

from typing import Any

import numpy as np
import pytest

from attlas import interop

RNG = np.random.default_rng(6)


def rows(*shapes: tuple[int, ...], dtype: Any = np.float32) -> list[Any]:
    return [RNG.normal(size=shape).astype(dtype) for shape in shapes]


def same(*lead: int, m: int = 3, n: int = 5) -> list[Any]:
    return rows((*lead, m, 4), (*lead, n, 4), (*lead, n, 4))


WORDS: list[tuple[str, str, dict[str, Any]]] = [
    ("causal", "causal with m = 3 and n = 5", {"causal": True}),
    ("empty row", "1 query sees nothing", {"mask": np.array([True, True, False])[:, None]}),
    ("temperature", "there is a temperature", {"temperature": 0.5}),
    ("negative scale", "the scale is negative", {"scale": -1.0}),
    ("boolean mask", "there is a mask", {"mask": np.ones((3, 5), dtype=bool)}),
    ("mask and causal", "come together", {"mask": np.ones((3, 5), dtype=bool), "causal": True}),
    ("empty bias row", "leaves a query nothing", {"bias": np.full((3, 5), -np.inf, dtype=np.float32)}),
    ("cap", "capped", {"cap": 1.0, "bias": np.zeros((3, 5), dtype=np.float32)}),
]


@pytest.mark.parametrize("library", interop.LIBRARIES)
@pytest.mark.parametrize(("name", "words", "options"), WORDS, ids=lambda part: part if isinstance(part, str) else "")
def test_differences_are_those_of_the_table(library: str, name: str, words: str, options: dict[str, Any]) -> None:
    cell = next(c for c in interop.CONVENTIONS if c.name == name).cells[library]
    told = [s for s in interop.differences(library, *same(1, 1), **options) if words.lower() in s.lower()]
    plain = [s for s in interop.differences(library, *same(1, 1)) if words.lower() in s.lower()]
    assert not plain
    assert len(told) == (0 if cell.same else 1)
    assert all(cell.text in sentence for sentence in told)


def test_differences_look_at_the_values_behind_the_mask() -> None:
    query, key, value = same(1, 1)
    value[..., 4, :] = np.nan
    hidden = {"mask": np.arange(5) < 4}
    assert any("not finite" in sentence for sentence in interop.differences("jax", query, key, value, **hidden))
    assert not any("not finite" in sentence for sentence in interop.differences("jax", query, key, value))


def test_differences_look_at_dtypes_heads_and_widths() -> None:
    query, key, value = rows((1, 4, 3, 4), (1, 1, 5, 4), (1, 1, 5, 6), dtype=np.float64)
    said = " ".join(interop.differences("jax", query, key, value))
    for words in ("An array is float64", "differ in their heads", "differ in width"):
        assert words in said
    assert interop.differences("pytorch", *same(2, 3, m=4, n=4), causal=True) == ()
    with pytest.raises(ValueError, match="library"):
        interop.differences("numpy", query, key, value)
