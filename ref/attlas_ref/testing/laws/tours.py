"""What chains of scores and tours obey.

| in the specification | law, or test in `tests/reference/test_pointer_tours.py` |
| --- | --- |
| "exact" attains the largest raw score sum | `no_order_has_a_larger_sum`, `test_exact_is_the_best_of_all_orders` |
| "exact", closed, scores = −distance: `held_karp` | `an_exact_closed_chain_is_the_shortest_tour` |
| greedy = beam of width 1 | `a_chain_of_one_beam_is_greedy` |
| the result is a permutation for length n | `a_chain_visits_every_position` |
| log_prob is that of the sequence under the chain | `a_chain_has_its_likelihood` |
| a beam that forgets nothing | `a_beam_of_all_orders_finds_the_best` |
| sampling = inverse CDF | `test_sampled_chains_occur_as_often_as_they_are_likely` |
| `tour_length`: rotation and reversal | `a_tour_may_begin_anywhere`, `a_tour_may_be_walked_backward` |
| `tour_length` >= `held_karp` | `no_tour_is_shorter_than_the_shortest` |
| `held_karp` = brute force, asymmetric too | `test_the_tour_is_the_shortest_of_all` |
| `convex_hull_labels`, `delaunay_labels`, `pointer_task` | `tests/reference/test_pointer_tasks.py` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

DECODE, LENGTH, SHORTEST = "pointer_decode", "tour_length", "held_karp"
WHOLE: dict[str, Any] = {"length": None, "uniform": None}
LARGEST = 8
"""Most points of which a law asks for the shortest tour."""


def _sums(scores: Any, order: Any, closed: bool) -> Any:
    """The sum of scores along orders (..., n)."""
    batch, n = order.shape[:-1], scores.shape[-1]
    steps = order * n + np.roll(order, -1, axis=-1)
    flat = np.broadcast_to(scores, (*batch, n, n)).reshape(*batch, n * n)
    each = np.take_along_axis(flat, steps, axis=-1)
    return (each if closed else each[..., :-1]).sum(axis=-1)


def _log_prob(scores: Any, order: Any) -> Any:
    """The log probability of orders (..., n), step by step as the definition has it."""
    n = scores.shape[-1]
    total = np.zeros(order.shape[:-1], dtype=scores.dtype)
    left = np.broadcast_to(np.arange(n), (*order.shape[:-1], n)) != order[..., :1]
    for t in range(1, n):
        row = np.take_along_axis(scores, order[..., t - 1, None, None], axis=-2)[..., 0, :]
        own = np.take_along_axis(row, order[..., t, None], axis=-1)[..., 0]
        top = np.where(left, row, -np.inf).max(axis=-1)
        total = total + own - top - np.log(np.where(left, np.exp(row - top[..., None]), 0).sum(axis=-1))
        left = left & (np.arange(n) != order[..., t, None])
    return total


def _other(shape: tuple[int, ...], start: int, rng: np.random.Generator) -> Any:
    """Orders drawn at random that begin at the start."""
    rest = np.delete(np.arange(shape[-1]), start)
    found = np.full(shape, start)
    found[..., 1:] = rng.permuted(np.broadcast_to(rest, (*shape[:-1], len(rest))), axis=-1)
    return found


@law(DECODE, statement="Σ_t scores[C_t, C_(t+1)] <= that of exact, for every order C",
     fixed={**WHOLE, "method": "exact"}, least={"n": 1})  # fmt: skip
def no_order_has_a_larger_sum(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    order, closed = call.by(f).sequence, call.options.get("closed", False)
    other = _other(order.shape, call.options.get("start", 0), rng)
    return at_most(_sums(call.arrays[0], other, closed), _sums(call.arrays[0], order, closed))


@law(DECODE, ties=(SHORTEST,), statement="scores = −D: the exact closed order is as long as the shortest tour",
     fixed={**WHOLE, "method": "exact", "closed": True}, least={"n": 1})  # fmt: skip
def an_exact_closed_chain_is_the_shortest_tour(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    scores = call.arrays[0]
    lengths = np.empty(scores.shape[:-2])
    for place in np.ndindex(lengths.shape):
        lengths[place] = f(SHORTEST, -scores[place]).length
    sums = np.zeros_like(lengths) if scores.shape[-1] == 1 else _sums(scores, call.by(f).sequence, closed=True)
    return equal(-sums.astype(np.float64), lengths)


@law(DECODE, statement="beam_width = 1: beam = greedy")
def a_chain_of_one_beam_is_greedy(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    beam, greedy = call.given(method="beam", beam_width=1).by(f), call.given(method="greedy").by(f)
    return same(beam.sequence, greedy.sequence), same(beam.log_prob, greedy.log_prob)


@law(DECODE, statement="C is an order of all n positions, from the start", fixed={"length": None}, least={"n": 1})
def a_chain_visits_every_position(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    sequence = call.by(f).sequence
    first = np.full_like(sequence[..., 0], call.options.get("start", 0))
    whole = np.broadcast_to(np.arange(sequence.shape[-1]), sequence.shape)
    return same(np.sort(sequence, axis=-1), whole), same(sequence[..., 0], first)


@law(DECODE, statement="log_prob = Σ_t log softmax over what is left of scores[C_(t−1)]", fixed={"length": None},
     least={"n": 1})  # fmt: skip
def a_chain_has_its_likelihood(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    sequence, log_prob = call.by(f)
    scores = np.broadcast_to(call.arrays[0], (*sequence.shape, sequence.shape[-1]))
    return equal(log_prob, _log_prob(scores, sequence))


@law(DECODE, statement="beam_width >= (n − 1)!: log p(C) <= that of the beam, for every order C", fixed=WHOLE,
     least={"n": 1})  # fmt: skip
def a_beam_of_all_orders_finds_the_best(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    scores = call.arrays[0][..., :5, :5]
    start = call.options.get("start", 0) % scores.shape[-1]
    best = call.given(scores, method="beam", beam_width=24, start=start, uniform=None).by(f)
    return at_most(_log_prob(scores, _other(best.sequence.shape, start, rng)), best.log_prob)


@law(LENGTH, statement="f(π_(t+s)) = f(π_t)", fixed={"closed": True}, least={"n": 1})
def a_tour_may_begin_anywhere(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    points, tour = call.arrays
    return equal(call.given(points, np.roll(tour, int(rng.integers(9)), axis=-1)).by(f), call.by(f))


@law(LENGTH, statement="f(π_(T−t)) = f(π_t)", least={"n": 1})
def a_tour_may_be_walked_backward(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    points, tour = call.arrays
    return equal(call.given(points, tour[..., ::-1]).by(f), call.by(f))


@law(LENGTH, ties=(SHORTEST,), statement="f(any order of all points) >= the length of the shortest tour",
     fixed={"closed": True}, least={"n": 1})  # fmt: skip
def no_tour_is_shorter_than_the_shortest(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    points = call.arrays[0][..., :LARGEST, :]
    n = points.shape[-2]
    shortest, tours = np.empty(points.shape[:-2]), np.empty((*points.shape[:-2], n), dtype=np.int64)
    for place in np.ndindex(shortest.shape):
        apart = np.hypot(*np.moveaxis(points[place][:, None] - points[place], -1, 0))
        shortest[place], tours[place] = f(SHORTEST, apart)
    return at_most(shortest, f(LENGTH, points, rng.permutation(n))), equal(f(LENGTH, points, tours), shortest)
