"""Pointer networks: against PyTorch, and against all orders and all sequences."""

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(61)
SMALL = {"operations": 400, "magnitude": 10.0}
"""Chains of at most 6 steps over at most 6 units, whose logits are below 10."""


def network(d: int = 4, d_e: int = 3, glimpses: int = 0, a: int | None = None) -> dict[str, Any]:
    """Random parameters of a decoder."""
    a = d if a is None or glimpses else a
    shapes: dict[str, tuple[int, ...]] = {"h0": (d,), "c0": (d,), "start": (d_e,), "v": (a,)}
    shapes |= {"w_ih": (d_e, 4 * d), "w_hh": (d, 4 * d), "b_ih": (4 * d,), "b_hh": (4 * d,)}
    shapes |= {"w_query": (d, a), "w_key": (d, a), "b_query": (a,), "b_key": (a,)}
    if glimpses:
        shapes |= {"glimpse_w_query": (d, a), "glimpse_w_key": (d, a), "glimpse_v": (a,)}
        shapes |= {"glimpse_b_query": (a,), "glimpse_b_key": (a,)}
    return {**{name: RNG.normal(size=shape) for name, shape in shapes.items()}, "glimpses": glimpses}


def memory(n: int, d: int = 4, d_e: int = 3) -> tuple[np.ndarray, np.ndarray]:
    return RNG.normal(size=(n, d_e)), RNG.normal(size=(n, d))


def by_loops(query: np.ndarray, key: np.ndarray, options: dict[str, Any], clip: float | None) -> np.ndarray:
    """Eq. (3) of the paper with one number after the other."""
    p = np.zeros((len(query), len(key)))
    for i, q in enumerate(query):
        for j, k in enumerate(key):
            hidden = q @ options["w_query"] + options["b_query"] + k @ options["w_key"] + options["b_key"]
            u = sum(v * np.tanh(x) for v, x in zip(options["v"], hidden, strict=True))
            p[i, j] = np.exp(u if clip is None else clip * np.tanh(u))
        p[i] /= p[i].sum()
    return p


@pytest.mark.parametrize("clip", [None, 2.0])
def test_the_distribution_is_that_of_equation_3(clip: float | None) -> None:
    query, key = RNG.normal(size=(3, 2)), RNG.normal(size=(5, 4))
    shapes = {"w_query": (2, 6), "w_key": (4, 6), "b_query": (6,), "b_key": (6,), "v": (6,)}
    options = {name: RNG.normal(size=shape) for name, shape in shapes.items()}
    p = attlas_ref.pointer_attention(query, key, **options, logit_clip=clip)
    assert_equal_up_to_rounding(p, by_loops(query, key, options, clip), **SMALL)


def test_a_bilinear_score_has_one_projection() -> None:
    query, key, weight = RNG.normal(size=(3, 2)), RNG.normal(size=(5, 4)), RNG.normal(size=(2, 4))
    bilinear = {"score": "dot", "return_logits": True}
    logits = query @ weight @ key.T / 2
    left = attlas_ref.pointer_attention(query, key, w_query=weight, **bilinear).logits
    right = attlas_ref.pointer_attention(query, key, w_key=weight.T, scale=0.5, **bilinear).logits
    assert_equal_up_to_rounding(left, logits, **SMALL)
    assert_equal_up_to_rounding(right, logits, **SMALL)


def test_large_logits_keep_their_logarithms() -> None:
    query, key = np.array([[1e4]]), np.array([[1.0], [0.0], [-1.0]])
    log_p = attlas_ref.pointer_attention(query, key, score="dot", scale=1.0, log=True)
    assert log_p.tolist() == [[0.0, -1e4, -2e4]]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "w_query is None"),
        ({"w_query": np.ones((2, 3)), "v": np.ones(3)}, "w_key is None"),
        ({"w_query": np.ones((2, 3)), "w_key": np.ones((4, 3))}, "v is None"),
        ({"w_query": np.ones((2, 3)), "w_key": np.ones((4, 3)), "v": np.ones(5)}, "v has 5"),
        ({"w_query": np.ones((2, 3)), "w_key": np.ones((4, 3)), "v": np.ones(3), "scale": 2.0}, "scale is 2.0"),
        ({"score": "dot"}, "query is compared at width 2"),
        ({"score": "dot", "w_query": np.ones((2, 4)), "v": np.ones(4)}, "v is given"),
        ({"score": "dot", "w_query": np.ones((2, 4)), "b_query": np.ones(3)}, "b_query has 3"),
        ({"score": "dot", "w_query": np.ones((2, 4)), "logit_clip": 0.0}, "logit_clip is 0"),
        ({"score": "dot", "w_query": np.ones((2, 4)), "temperature": 0.0}, "temperature is 0"),
    ],
)
def test_what_a_score_lacks_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=f"pointer_attention: {named}"):
        attlas_ref.pointer_attention(np.ones((1, 2)), np.ones((3, 4)), **options)


def test_glimpses_that_do_not_fit_are_refused() -> None:
    weights = {"w_query": np.ones((2, 3)), "w_key": np.ones((4, 3)), "v": np.ones(3)}
    with pytest.raises(ValueError, match="makes queries of width 3"):
        attlas_ref.pointer_glimpse(np.ones((1, 2)), np.ones((5, 4)), **weights, glimpses=2)
    assert attlas_ref.pointer_glimpse(np.ones((1, 2)), np.ones((5, 4)), **weights).shape == (1, 3)
    assert attlas_ref.pointer_glimpse(np.ones((1, 2)), np.ones((5, 4)), **weights, value="key").shape == (1, 4)


def in_torch(
    embedded: np.ndarray, key: np.ndarray, sequence: list[int], options: dict[str, Any], clip: float | None
) -> float:
    """The decoder of the public code for tours, with PyTorch's LSTM cell."""
    torch = pytest.importorskip("torch")
    o = {name: torch.tensor(value) for name, value in options.items()}
    cell = torch.nn.LSTMCell(embedded.shape[-1], key.shape[-1], dtype=torch.float64)
    cell.weight_ih.data, cell.weight_hh.data = o["w_ih"].T, o["w_hh"].T
    cell.bias_ih.data, cell.bias_hh.data = o["b_ih"], o["b_hh"]
    keys, x = torch.tensor(key), o["start"]
    state = (o["h0"], o["c0"])
    visited = torch.zeros(len(key), dtype=torch.bool)
    total = 0.0

    def logits(query: Any, prefix: str) -> tuple[Any, Any]:
        e = torch.nn.functional.linear(keys, o[f"{prefix}w_key"].T, o[f"{prefix}b_key"])
        q = torch.nn.functional.linear(query, o[f"{prefix}w_query"].T, o[f"{prefix}b_query"])
        return e, torch.mv(torch.tanh(q + e), o[f"{prefix}v"])

    for place in sequence:
        state = cell(x, state)
        query = state[0]
        for _ in range(options["glimpses"]):
            e, u = logits(query, "glimpse_")
            query = torch.softmax(u.masked_fill(visited, -torch.inf), dim=0) @ e
        u = logits(query, "")[1]
        u = u if clip is None else clip * torch.tanh(u)
        total += float(torch.log_softmax(u.masked_fill(visited, -torch.inf), dim=0)[place].detach())
        visited[place] = True
        x = torch.tensor(embedded[place])
    return total


@pytest.mark.parametrize("glimpses", [0, 1, 2])
@pytest.mark.parametrize("clip", [None, 3.0])
def test_the_likelihood_is_that_of_torch(glimpses: int, clip: float | None) -> None:
    options, (embedded, key) = network(glimpses=glimpses), memory(5)
    sequence = [3, 0, 4, 2]
    found = attlas_ref.pointer_network_log_prob(embedded, key, np.array(sequence), **options, logit_clip=clip)
    assert_equal_up_to_rounding(found, in_torch(embedded, key, sequence, options, clip), **SMALL)


@pytest.mark.parametrize("glimpses", [0, 1])
@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_all_orders_have_probability_one(n: int, glimpses: int) -> None:
    options, (embedded, key) = network(glimpses=glimpses), memory(n)
    log_prob = attlas_ref.pointer_network_log_prob(embedded, key, np.array(list(permutations(range(n)))), **options)
    assert_equal_up_to_rounding(np.exp(log_prob).sum(), 1.0, **SMALL)


def test_all_sequences_have_probability_one() -> None:
    options, (embedded, key) = network(a=6), memory(4)
    every = np.array(list(product(range(4), repeat=4)))
    log_prob = attlas_ref.pointer_network_log_prob(embedded, key, every, **options, forbid_repeats=False)
    assert_equal_up_to_rounding(np.exp(log_prob).sum(), 1.0, **SMALL)


def test_more_steps_than_positions_are_impossible() -> None:
    options, (embedded, key) = network(), memory(2)
    assert attlas_ref.pointer_network_log_prob(embedded, key, np.array([0, 1, 0]), **options) == -np.inf
    with pytest.raises(ValueError, match="sequence leaves the positions"):
        attlas_ref.pointer_network_log_prob(embedded, key, np.array([0, 2]), **options)
    with pytest.raises(TypeError, match="sequence holds a number that is not whole"):
        attlas_ref.pointer_network_log_prob(embedded, key, np.array([0.5]), **options)


@pytest.mark.parametrize("glimpses", [0, 2])
@pytest.mark.parametrize(("n", "length"), [(4, 4), (5, 2), (3, 3)])
def test_an_exhaustive_beam_is_the_best_of_all_sequences(n: int, length: int, glimpses: int) -> None:
    for _ in range(4):
        options, (embedded, key) = network(glimpses=glimpses), memory(n)
        every = np.array(list(permutations(range(n), length)))
        log_prob = attlas_ref.pointer_network_log_prob(embedded, key, every, **options)
        found = attlas_ref.pointer_network_decode(
            embedded, key, **options, length=length, method="beam", beam_width=len(every)
        )
        assert found.sequence.tolist() == every[log_prob.argmax()].tolist()
        assert_equal_up_to_rounding(found.log_prob, log_prob.max(), **SMALL)


def test_an_exhaustive_beam_with_an_end_is_the_best_of_all_sequences() -> None:
    end, n = 1, 4
    for _ in range(6):
        options, (embedded, key) = network(), memory(n)
        best, best_log_prob = [], -np.inf
        for length in range(1, n + 1):
            for order in permutations(range(n), length):
                if end in order[:-1] or (order[-1] != end and length < n):
                    continue
                log_prob = float(attlas_ref.pointer_network_log_prob(embedded, key, np.array(order), **options))
                if log_prob > best_log_prob:
                    best, best_log_prob = [*order, *(-1,) * (n - length)], log_prob
        found = attlas_ref.pointer_network_decode(embedded, key, **options, method="beam", beam_width=65, end_index=end)
        assert found.sequence.tolist() == best
        assert_equal_up_to_rounding(found.log_prob, best_log_prob, **SMALL)


def test_a_wider_beam_may_do_worse() -> None:
    # Greedy finds the best by luck; a beam of two keeps a prefix that looks better and loses it.
    worse = 0
    for _ in range(60):
        options, (embedded, key) = network(), memory(6)
        each = [
            attlas_ref.pointer_network_decode(embedded, key, **options, method="beam", beam_width=width).log_prob
            for width in (1, 2, 3)
        ]
        worse += each[1] < each[0] or each[2] < each[1]
    assert worse


def test_samples_occur_as_often_as_they_are_likely() -> None:
    options, (embedded, key) = network(), memory(3)
    count = 6000
    sequence, _ = attlas_ref.pointer_network_decode(
        embedded, key, **options, method="sample", uniform=RNG.random((count, 3))
    )
    for order in permutations(range(3)):
        p = float(np.exp(attlas_ref.pointer_network_log_prob(embedded, key, np.array(order), **options)))
        share = (sequence == np.array(order)).all(axis=-1).mean()
        assert abs(share - p) < 5 * np.sqrt(p * (1 - p) / count)  # five standard deviations


def test_ties_take_the_earlier_beam_and_the_lower_position() -> None:
    options = {name: np.zeros_like(x) for name, x in network().items() if name != "glimpses"}
    embedded, key = memory(4)
    for method in ("greedy", "beam"):
        found = attlas_ref.pointer_network_decode(embedded, key, **options, method=method, beam_width=3)
        assert found.sequence.tolist() == [0, 1, 2, 3]


def test_a_draw_on_a_border_takes_the_next_position() -> None:
    options = {name: np.zeros_like(x) for name, x in network().items() if name != "glimpses"}
    embedded, key = memory(4)
    draws = {"method": "sample", "uniform": np.array([0.5, 0.0, 0.0, 0.0])}  # of four equal parts of [0, 1)
    assert attlas_ref.pointer_network_decode(embedded, key, **options, **draws).sequence.tolist() == [2, 0, 1, 3]


def test_a_mask_that_shows_too_little_ends_the_sequence() -> None:
    options, (embedded, key) = network(), memory(4)
    mask = np.array([[False, True, False, True], [False] * 4])
    for method in ({}, {"method": "beam", "beam_width": 3}, {"method": "sample", "uniform": RNG.random((2, 4))}):
        found = attlas_ref.pointer_network_decode(np.stack([embedded] * 2), key, **options, mask=mask, **method)
        assert sorted(found.sequence[0, :2].tolist()) == [1, 3]
        assert found.sequence[0, 2:].tolist() == [-1, -1]
        assert found.sequence[1].tolist() == [-1] * 4
        assert found.log_prob.tolist() == [-np.inf, -np.inf]


def test_a_visible_nan_reaches_its_own_batch_alone() -> None:
    options, (embedded, key) = network(), memory(4)
    keys = np.stack([key, key])
    keys[0, 2, 0] = np.nan
    for method in ({}, {"method": "beam", "beam_width": 3}, {"method": "sample", "uniform": RNG.random((2, 4))}):
        both = attlas_ref.pointer_network_decode(embedded, keys, **options, **method)
        alone = attlas_ref.pointer_network_decode(embedded, keys[1:], **options, **{**method, **_last(method)})
        assert both.sequence[0].tolist() == [-1] * 4
        assert np.isnan(both.log_prob[0])
        assert both.sequence[1].tolist() == alone.sequence[0].tolist()
        assert both.log_prob[1] == alone.log_prob[0]


def _last(method: dict[str, Any]) -> dict[str, Any]:
    return {"uniform": method["uniform"][1:]} if "uniform" in method else {}


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"method": "sample"}, "uniform is None"),
        ({"method": "sample", "uniform": np.full(3, 0.5)}, "uniform has 3 entries"),
        ({"method": "sample", "uniform": np.ones(4)}, "uniform leaves the range"),
        ({"beam_width": 0}, "beam_width is 0"),
        ({"length": 5}, "length is 5"),
        ({"end_index": 4}, "end_index is 4"),
        ({"method": "best"}, "method is 'best'"),
        ({"glimpses": 1}, "glimpse_w_query is None"),
    ],
)
def test_searches_that_make_no_sense_are_refused(more: dict[str, Any], named: str) -> None:
    options, (embedded, key) = network(), memory(4)
    with pytest.raises(ValueError, match=f"pointer_network_decode: {named}"):
        attlas_ref.pointer_network_decode(embedded, key, **{**options, **more})


def test_an_end_allows_more_steps_than_positions() -> None:
    options, (embedded, key) = network(), memory(3)
    found = attlas_ref.pointer_network_decode(embedded, key, **options, length=7, end_index=2)
    stop = found.sequence.tolist().index(2)
    assert found.sequence[stop + 1 :].tolist() == [-1] * (6 - stop)
    free = attlas_ref.pointer_network_decode(embedded, key, **options, length=7, forbid_repeats=False)
    assert (free.sequence >= 0).all()
