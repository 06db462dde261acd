"""Luong's attention: against scalar loops, PyTorch's modules, and what its options refuse."""

from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(71)
SMALL = {"operations": 400}
"""Softmaxes of at most 9 scores below about 10."""


def parameters(score: str, p: int, r: int, n: int, a: int = 5) -> dict[str, np.ndarray]:
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        "dot": {},
        "general": {"w_score": (p, r)},
        "concat": {"w_score": (p + r, a), "v": (a,)},
        "additive": {"w_query": (p, a), "w_key": (r, a), "b_query": (a,), "v": (a,)},
        "location": {"w_score": (p, n + 2)},
    }
    return {name: RNG.normal(size=shape) for name, shape in shapes[score].items()}


def score_by_loop(score: str, q: np.ndarray, k: np.ndarray, j: int, given: dict[str, np.ndarray]) -> float:
    """One query and one key, letter by letter from the paper."""
    if score == "dot":
        return sum(x * y for x, y in zip(q, k, strict=True))
    if score == "general":
        return float(q @ (given["w_score"] @ k))
    if score == "concat":
        return float(given["v"] @ np.tanh(given["w_score"].T @ np.array([*q, *k])))
    if score == "additive":
        return float(given["v"] @ np.tanh(given["w_query"].T @ q + given["w_key"].T @ k + given["b_query"]))
    return float(given["w_score"][:, j] @ q)


SCORES = ("dot", "general", "concat", "additive", "location")


@pytest.mark.parametrize("score", SCORES)
def test_scores_are_those_of_the_paper(score: str) -> None:
    p, r = 3, 3 if score == "dot" else 4
    query, key, value = RNG.normal(size=(5, p)), RNG.normal(size=(7, r)), RNG.normal(size=(7, 2))
    given = parameters(score, p, r, 7)
    expected = np.array([[score_by_loop(score, q, k, j, given) for j, k in enumerate(key)] for q in query])
    assert_equal_up_to_rounding(attlas_ref.luong_score(query, key, score=score, **given), expected, **SMALL)
    weights = np.exp(expected) / np.exp(expected).sum(axis=-1, keepdims=True)
    output = attlas_ref.luong_attention(query, key, value, score=score, **given)
    assert_equal_up_to_rounding(output, weights @ value, **SMALL)


def test_the_attentional_vector_is_a_linear_layer_of_torch(torch: Any) -> None:
    query, key, value = RNG.normal(size=(2, 5, 3)), RNG.normal(size=(2, 7, 3)), RNG.normal(size=(2, 7, 4))
    layer = torch.nn.Linear(4 + 3, 6, dtype=torch.float64)
    weight, bias = (x.detach().numpy() for x in (layer.weight, layer.bias))
    found = attlas_ref.luong_attention(
        query, key, value, w_out=weight.T, b_out=bias, return_attentional=True, return_weights=True
    )
    tensors = [torch.from_numpy(x) for x in (query, key, value)]
    context = torch.nn.functional.scaled_dot_product_attention(*tensors, scale=1.0)
    expected = torch.tanh(layer(torch.cat([context, tensors[0]], dim=-1))).detach().numpy()
    assert_equal_up_to_rounding(found.output, context.numpy(), **SMALL)
    assert_equal_up_to_rounding(found.attentional, expected, **SMALL)
    assert_equal_up_to_rounding(found.weights @ value, found.output, **SMALL)


def local_by_loop(
    query: np.ndarray, key: np.ndarray, value: np.ndarray, centers: np.ndarray, window: int, sigma: float | None
) -> np.ndarray:
    """The definition for one head with dot scores: a window, a softmax, and a bell if there is a sigma."""
    rows = []
    for q, p in zip(query, centers, strict=True):
        middle = round(p)  # halves to the even neighbor
        near = range(max(middle - window, 0), min(middle + window + 1, len(key)))
        odds = [np.exp(q @ key[j]) for j in near]
        bells = [1.0 if sigma is None else np.exp(-((j - p) ** 2) / (2 * sigma**2)) for j in near]
        shares = [o / sum(odds) * b for o, b in zip(odds, bells, strict=True)]
        rows.append(sum((s * value[j] for s, j in zip(shares, near, strict=True)), np.zeros(value.shape[-1])))
    return np.array(rows)


@pytest.mark.parametrize("window", [1, 2, 9])
@pytest.mark.parametrize("alignment", ["monotonic", "predictive"])
def test_local_attention_is_that_of_the_paper(window: int, alignment: str) -> None:
    query, key, value = RNG.normal(size=(9, 3)), RNG.normal(size=(7, 3)), RNG.normal(size=(7, 2))
    bell = alignment == "predictive"
    options: dict[str, Any] = {"window": window, "alignment": alignment}
    for centers in (np.array([0.5, 1.5, 2.5, -3.0, 40.0, 6.49, 3.0, 0.0, 5.51]), None):
        network = {"w_position": RNG.normal(size=(3, 4)), "v_position": RNG.normal(size=4)}
        given = network if bell and centers is None else {}
        where = centers
        if centers is None:
            share = 1 / (1 + np.exp(-np.tanh(query @ network["w_position"]) @ network["v_position"]))
            where = 7 * share if bell else np.arange(9.0)
        output, center = attlas_ref.luong_local_attention(
            query, key, value, center=centers, return_center=True, **options, **given
        )
        expected = local_by_loop(query, key, value, where, window, window / 2 if bell else None)
        assert_equal_up_to_rounding(output, expected, **SMALL)
        assert_equal_up_to_rounding(center, where, **SMALL, magnitude=40)


def test_predicted_centers_have_a_length_and_an_offset() -> None:
    query, key = RNG.normal(size=(2, 4, 3)), RNG.normal(size=(2, 8, 3))
    options: dict[str, Any] = {"window": 2, "alignment": "predictive", "return_center": True}
    network = {
        "w_position": RNG.normal(size=(3, 4)),
        "b_position": RNG.normal(size=4),
        "v_position": RNG.normal(size=4),
    }
    whole = attlas_ref.luong_local_attention(query, key, key, **options, **network).center
    moved = attlas_ref.luong_local_attention(
        query, key, key, lengths=[8, 4], center_offset=-1.0, **options, **network
    ).center
    assert_equal_up_to_rounding(moved, whole * np.array([[1], [0.5]]) - 1, **SMALL, magnitude=8)
    assert (whole > 0).all()
    assert (whole < 8).all()
    # A network without weights looks at the middle.
    middle = attlas_ref.luong_local_attention(
        query, key, key, w_position=np.zeros((3, 1)), v_position=np.zeros(1), **options
    ).center
    np.testing.assert_array_equal(middle, np.full((2, 4), 4.0))


def test_a_center_that_is_no_number_spoils_its_row_alone() -> None:
    query, key, value = RNG.normal(size=(4, 3)), RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2))
    mask = np.ones((4, 6), dtype=bool)
    mask[2] = False
    for alignment in ("monotonic", "predictive"):
        output, weights = attlas_ref.luong_local_attention(
            query,
            key,
            value,
            window=1,
            alignment=alignment,
            center=np.array([1.0, np.nan, np.nan, np.inf]),
            mask=mask,
            return_weights=True,
        )
        np.testing.assert_array_equal(np.isnan(output).all(axis=-1), [False, True, False, False])
        assert not output[2:].any()
        assert np.isnan(weights[1]).all()


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_what_no_query_sees_cannot_leak(strange: float) -> None:
    query, key, value = RNG.normal(size=(4, 3)), RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2))
    mask = RNG.random((4, 6)) < 0.7
    mask[1], mask[:, 2] = False, False
    seen, sees = mask.any(axis=0)[:, None], mask.any(axis=1)[:, None]
    fouled = [np.where(keep, x, strange) for keep, x in zip((sees, seen, seen), (query, key, value), strict=True)]
    for score in ("dot", "general", "concat", "additive"):
        given = {"score": score, "mask": mask, **parameters(score, 3, 3, 6)}
        for function, options in ((attlas_ref.luong_attention, {}), (attlas_ref.luong_local_attention, {"window": 2})):
            clean, found = (function(*arrays, **options, **given) for arrays in ((query, key, value), fouled))
            assert_equal_up_to_rounding(found, clean, **SMALL)
            assert not found[1].any()


def test_missing_parameters_are_named() -> None:
    query, key = np.zeros((2, 3)), np.zeros((4, 5))
    for score, name in (
        ("general", "w_score"),
        ("concat", "w_score"),
        ("additive", "w_query"),
        ("location", "w_score"),
    ):
        with pytest.raises(ValueError, match=name):
            attlas_ref.luong_score(query, key, score=score)
    with pytest.raises(ValueError, match="key"):
        attlas_ref.luong_score(query, key)
    for score, shape in (("general", (5, 3)), ("location", (3, 3)), ("concat", (8, 2))):
        with pytest.raises(ValueError, match="w_score"):
            attlas_ref.luong_score(query, key, score=score, w_score=np.zeros(shape), v=np.zeros(3))
    with pytest.raises(ValueError, match="w_out"):
        attlas_ref.luong_attention(query, query, query, return_attentional=True)
    predictive: dict[str, Any] = {"alignment": "predictive", "window": 1}
    with pytest.raises(ValueError, match="w_position"):
        attlas_ref.luong_local_attention(query, query, query, **predictive)
    with pytest.raises(ValueError, match="v_position"):
        attlas_ref.luong_local_attention(query, query, query, w_position=np.zeros((3, 2)), **predictive)
    with pytest.raises(ValueError, match="window"):
        attlas_ref.luong_local_attention(query, query, query, alignment="predictive", window=0, center=np.zeros(2))
    with pytest.raises(ValueError, match="sigma"):
        attlas_ref.luong_local_attention(query, query, query, window=1, sigma=0.0)
