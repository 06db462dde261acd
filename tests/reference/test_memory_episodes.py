"""Free recall and multi-query recall: closed forms, loops, and what must hold by example."""

from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(81)
ENOUGH = {"operations": 1000}
"""Sums of at most eight products of at most five numbers, none above 1."""


@pytest.mark.parametrize("absorbing", [True, False])
@pytest.mark.parametrize("beta", [0.0, 0.25, 0.7, 1.0])
def test_the_association_solves_its_equation_and_is_strictly_upper_triangular(beta: float, absorbing: bool) -> None:
    memory = attlas_ref.cmr_encode(6, beta=beta, absorbing=absorbing)
    size = 6 + absorbing
    shift = np.eye(size, k=1)
    assert_equal_up_to_rounding(memory, np.linalg.solve(np.eye(size) - (1 - beta) * shift, shift), **ENOUGH)
    np.testing.assert_array_equal(memory, np.triu(memory, k=1))


def test_contexts_that_forget_at_once_associate_neighbors() -> None:
    np.testing.assert_array_equal(attlas_ref.cmr_encode(5, beta=1.0), np.eye(6, k=1))


def test_the_association_is_a_sum_of_contexts_and_items() -> None:
    beta, size = 0.25, 6  # powers of a quarter: exact
    memory, context = np.zeros((size, size)), np.zeros(size)
    for j in range(size):
        item = np.eye(size)[j]
        memory += np.outer(context, item)
        context = (1 - beta) * context + item
    np.testing.assert_array_equal(attlas_ref.cmr_encode(size, beta=beta, absorbing=False), memory)


@pytest.mark.parametrize("start", [0, 2, 4])
def test_recall_of_a_chain_is_serial(start: int) -> None:
    memory = attlas_ref.cmr_encode(5, beta=1.0)
    items = attlas_ref.cmr_recall(memory, RNG.random((3, 6)), beta=1.0, gamma=0.0, start=start)
    expected = [*range(start + 1, 5), *[-1] * 6][:6]
    np.testing.assert_array_equal(items, [expected] * 3)


def recalled(memory: np.ndarray, draws: Any, beta: float, gamma: float, start: int, absorbing: bool) -> list[int]:
    """One trial with lists."""
    size = len(memory)

    def unit(x: list[float]) -> list[float]:
        length = sum(a * a for a in x) ** 0.5
        return [a / length if length else 0.0 for a in x]

    context, items = [float(i == start) for i in range(size)], []
    for draw in draws:
        support = [sum(memory[i][j] * context[i] for i in range(size)) for j in range(size)]
        if sum(support) == 0:
            break
        item = next(j for j in range(size) if sum(support[: j + 1]) > draw * sum(support))
        if absorbing and item == size - 1:
            break
        items.append(item)
        brought = unit([(1 - gamma) * (i == item) + gamma * memory[i][item] for i in range(size)])
        context = unit([(1 - beta) * old + beta * new for old, new in zip(context, brought, strict=True)])
    return items + [-1] * (len(draws) - len(items))


@pytest.mark.parametrize(("beta", "gamma"), [(0.6, 0.3), (1.0, 1.0), (0.0, 0.5), (0.3, 0.0)])
@pytest.mark.parametrize("absorbing", [True, False])
def test_recall_is_the_loop_of_its_definition(beta: float, gamma: float, absorbing: bool) -> None:
    memory = attlas_ref.cmr_encode(6, beta=0.4, absorbing=absorbing)
    uniforms = RNG.random((20, 5))
    items = attlas_ref.cmr_recall(memory, uniforms, beta=beta, gamma=gamma, start=1, absorbing=absorbing)
    expected = [recalled(memory, draws, beta, gamma, 1, absorbing) for draws in uniforms]
    np.testing.assert_array_equal(items, expected)


def test_the_next_item_is_drawn_by_normalized_linear_attention() -> None:
    memory, count = attlas_ref.cmr_encode(7, beta=0.3), 5000
    uniforms = (np.arange(count)[:, None] + 0.5) / count  # evenly spaced: frequencies are shares up to one part
    items = attlas_ref.cmr_recall(memory, uniforms, beta=0.5, gamma=0.5, start=2)[:, 0]
    query, keys = np.eye(8)[2], memory.T
    shares = keys @ query / (keys @ query).sum()
    frequencies = np.array([(items == j).mean() for j in range(7)])
    assert (np.abs(frequencies - shares[:7]) <= 1 / count).all()
    assert abs((items == -1).mean() - shares[7]) <= 1 / count


def lags(gamma: float) -> np.ndarray:
    memory = attlas_ref.cmr_encode(8, beta=0.5)
    items = attlas_ref.cmr_recall(memory, RNG.random((500, 4)), beta=1.0, gamma=gamma, start=3)
    both = (items[:, :-1] >= 0) & (items[:, 1:] >= 0)
    steps: np.ndarray = np.diff(items, axis=1)[both]
    return steps


def test_recall_leads_forward_and_brings_back_what_came_before_with_gamma() -> None:
    forward = lags(0.0)
    assert (forward > 0).all()
    assert (forward == 1).sum() > (forward == 2).sum() > (forward == 3).sum() > 0
    for gamma in (0.5, 1.0):
        steps = lags(gamma)
        assert (steps < 0).any()
        assert (steps > 0).any()


def test_a_draw_of_zero_chooses_no_item_without_support() -> None:
    memory = attlas_ref.cmr_encode(4, beta=0.5)
    np.testing.assert_array_equal(
        attlas_ref.cmr_recall(memory, np.zeros((1, 5)), beta=1.0, gamma=0.0, start=1), [[2, 3, -1, -1, -1]]
    )


def test_a_context_that_supports_nothing_ends_the_trial() -> None:
    memory = attlas_ref.cmr_encode(3, beta=0.5, absorbing=False)
    items = attlas_ref.cmr_recall(memory, RNG.random((2, 3)), beta=1.0, gamma=0.0, start=2, absorbing=False)
    np.testing.assert_array_equal(items, np.full((2, 3), -1))


def test_fewer_recalls_are_the_first_columns() -> None:
    memory, uniforms = attlas_ref.cmr_encode(6, beta=0.4), RNG.random((9, 5))
    options: dict[str, Any] = {"beta": 0.5, "gamma": 0.5, "start": 0}
    whole = attlas_ref.cmr_recall(memory, uniforms, **options)
    np.testing.assert_array_equal(attlas_ref.cmr_recall(memory, uniforms, max_recalls=2, **options), whole[:, :2])


def profile(memory: list[list[Fraction]], beta: int, start: int, max_lag: int) -> list[Fraction]:
    """The closed forms of the definition in exact numbers; powers of M as sums over paths."""
    size = len(memory)

    def normalized(row: list[Fraction]) -> list[Fraction]:
        return [x / sum(row) if sum(row) else Fraction(0) for x in row]

    def power(d: int, end: int) -> Fraction:
        total = Fraction(0)
        for between in product(range(size), repeat=d - 1):
            path, term = (start, *between, end), Fraction(1)
            for a, b in pairwise(path):
                term *= memory[a][b]
            total += term
        return total

    rows, at = [normalized(row) for row in memory], normalized(memory[start])
    crp = []
    for d in range(-max_lag, max_lag + 1):
        inside = [s for s in range(size) if 0 <= s + d < size]
        if beta == 0:
            crp.append(sum((at[s] * at[s + d] for s in inside), Fraction(0)))
        elif d > 0:
            reached = normalized([power(d, s) for s in range(size)])
            crp.append(sum((reached[s] * rows[s][s + d] for s in inside), Fraction(0)))
        else:
            crp.append(Fraction(0))
    return normalized(crp)


@pytest.mark.parametrize("encoding", [Fraction(1, 4), Fraction(1, 2), Fraction(1)])
@pytest.mark.parametrize("beta", [0, 1])
@pytest.mark.parametrize("start", [0, 1])
def test_lag_profiles_are_their_closed_forms(beta: int, encoding: Fraction, start: int) -> None:
    size, max_lag = 5, 3
    memory = [[(1 - encoding) ** (j - i - 1) if j > i else Fraction(0) for j in range(size)] for i in range(size)]
    crp = attlas_ref.cmr_crp(
        attlas_ref.cmr_encode(size, beta=float(encoding), absorbing=False), beta=beta, start=start, max_lag=max_lag
    )
    assert_equal_up_to_rounding(crp, [float(x) for x in profile(memory, beta, start, max_lag)], **ENOUGH)


def test_lag_profiles_sum_to_one_and_lead_forward_or_both_ways_alike() -> None:
    memory = attlas_ref.cmr_encode(9, beta=0.3)
    forward, both = (attlas_ref.cmr_crp(memory, beta=beta, start=1, max_lag=5) for beta in (1, 0))
    for crp in (forward, both):
        assert_equal_up_to_rounding(crp.sum(), 1.0, **ENOUGH)
    assert not forward[:6].any()
    assert_equal_up_to_rounding(both, both[::-1], **ENOUGH)


def test_a_chain_always_leads_to_the_next() -> None:
    crp = attlas_ref.cmr_crp(attlas_ref.cmr_encode(6, beta=1.0), beta=1, start=0, max_lag=3)
    np.testing.assert_array_equal(crp, [0, 0, 0, 0, 1, 0, 0])


def test_a_profile_of_nothing_is_nothing() -> None:
    memory = attlas_ref.cmr_encode(3, beta=0.5, absorbing=False)
    for beta in (0, 1):
        assert not attlas_ref.cmr_crp(memory, beta=beta, start=2, max_lag=2).any()


def drawn(num_pairs: int, seq_len: int, passes: int = 1, count: int = 6) -> Any:
    return attlas_ref.mqar_draws(
        RNG, count, vocab_size=seq_len + 5, seq_len=seq_len, num_pairs=num_pairs, num_passes=passes
    )


@pytest.mark.parametrize(("num_pairs", "seq_len", "passes"), [(1, 4, 1), (3, 12, 1), (3, 30, 2), (4, 40, 3)])
def test_every_key_is_listed_and_asked_for_once(num_pairs: int, seq_len: int, passes: int) -> None:
    keys, values, gaps = drawn(num_pairs, seq_len, passes)
    inputs, labels = attlas_ref.mqar_task(keys, values, gaps, seq_len=seq_len, num_passes=passes)
    head = 2 * num_pairs * passes
    for row in range(len(keys)):
        pairs = dict(zip(keys[row].tolist(), values[row].tolist(), strict=True))
        written = [token for _ in range(passes) for pair in pairs.items() for token in pair]
        assert inputs[row, :head].tolist() == written
        asked = np.flatnonzero(labels[row] != -100)
        assert sorted(inputs[row, asked]) == sorted(pairs)
        assert [pairs[key] for key in inputs[row, asked].tolist()] == labels[row, asked].tolist()
        assert sorted(asked) == sorted(head + 2 * gaps[row])
        assert not np.delete(inputs[row], [*range(head), *asked]).any()


@pytest.mark.parametrize("passes", [1, 2])
def test_an_induction_circuit_answers_every_query(passes: int) -> None:
    # One softmax head: the query is the token itself, the keys are the tokens before each position, the values those at
    # it; with an inverse temperature of 50 the earlier successors of the same token have all but e^-50 of the weight.
    vocab, seq_len = 45, 40
    inputs, labels = attlas_ref.mqar_task(*drawn(5, seq_len, passes), seq_len=seq_len, num_passes=passes)
    tokens = np.eye(vocab)[inputs]  # (N, L, V)
    said = attlas_ref.softmax_attention(tokens[:, 1:], tokens[:, :-1], tokens[:, 1:], scale=50.0, causal=True)
    asked = labels[:, 1:] != -100
    np.testing.assert_array_equal(said.argmax(axis=-1)[asked], labels[:, 1:][asked])


def test_draws_are_different_numbers_of_their_ranges() -> None:
    keys, values, gaps = attlas_ref.mqar_draws(RNG, 50, vocab_size=33, seq_len=32, num_pairs=8)
    for array, low, high in ((keys, 1, 16), (values, 16, 33), (gaps, 0, 8)):
        assert array.shape == (50, 8)
        assert array.min() >= low
        assert array.max() < high
        assert all(len(set(row)) == 8 for row in array.tolist())


@pytest.mark.parametrize("power", [0.01, 1.0, 2.0])
def test_the_moment_of_a_single_query_follows_the_power_law(power: float) -> None:
    count, space = 4000, 7
    gaps = attlas_ref.mqar_draws(RNG, count, vocab_size=17, seq_len=16, num_pairs=1, power=power).gaps[:, 0]
    odds = np.arange(1, space + 1) ** (power - 1)
    shares = odds / odds.sum()
    observed = np.bincount(gaps, minlength=space)
    # Six standard deviations of a binomial count: one failure in a hundred million.
    assert (np.abs(observed - count * shares) <= 6 * np.sqrt(count * shares * (1 - shares))).all()


MEMORY = attlas_ref.cmr_encode(3, beta=0.5)
DRAWS = np.full((1, 2), 0.5)
RECALL: dict[str, Any] = {"beta": 0.5, "gamma": 0.5, "start": 0}
CRP: dict[str, Any] = {"beta": 1, "start": 0, "max_lag": 2}
TASK = ([[1, 2]], [[8, 9]], [[0, 1]])
PAIRS: dict[str, Any] = {"vocab_size": 20, "seq_len": 12, "num_pairs": 3}


@pytest.mark.parametrize(
    ("name", "arrays", "options", "error", "argument"),
    [
        ("cmr_encode", (0,), {"beta": 0.5}, ValueError, "num_items"),
        ("cmr_encode", (2.0,), {"beta": 0.5}, TypeError, "num_items"),
        ("cmr_encode", (2,), {"beta": 1.5}, ValueError, "beta"),
        ("cmr_recall", (MEMORY[:2], DRAWS), RECALL, ValueError, "memory"),
        ("cmr_recall", (-MEMORY, DRAWS), RECALL, ValueError, "memory"),
        ("cmr_recall", (MEMORY * 1j, DRAWS), RECALL, TypeError, "memory"),
        ("cmr_recall", (MEMORY, DRAWS[0]), RECALL, ValueError, "uniforms"),
        ("cmr_recall", (MEMORY, DRAWS + 0.5), RECALL, ValueError, "uniforms"),
        ("cmr_recall", (MEMORY, DRAWS), {**RECALL, "max_recalls": 3}, ValueError, "uniforms"),
        ("cmr_recall", (MEMORY, DRAWS), {**RECALL, "beta": -0.1}, ValueError, "beta"),
        ("cmr_recall", (MEMORY, DRAWS), {**RECALL, "gamma": 1.1}, ValueError, "gamma"),
        ("cmr_recall", (MEMORY, DRAWS), {**RECALL, "start": 4}, ValueError, "start"),
        ("cmr_recall", (MEMORY, DRAWS), {**RECALL, "start": -1}, ValueError, "start"),
        ("cmr_crp", (MEMORY,), {**CRP, "beta": 0.5}, ValueError, "beta"),
        ("cmr_crp", (MEMORY,), {**CRP, "max_lag": 0}, ValueError, "max_lag"),
        ("cmr_crp", (MEMORY,), {**CRP, "max_lag": 4}, ValueError, "max_lag"),
        ("cmr_crp", (MEMORY,), {**CRP, "start": 4}, ValueError, "start"),
        ("mqar_task", TASK, {"seq_len": 9}, ValueError, "seq_len"),
        ("mqar_task", TASK, {"seq_len": 6}, ValueError, "seq_len"),
        ("mqar_task", TASK, {"seq_len": 8, "num_passes": 2}, ValueError, "seq_len"),
        ("mqar_task", (TASK[0], [[8]], TASK[2]), {"seq_len": 8}, ValueError, "values"),
        ("mqar_task", (*TASK[:2], [[0, 1, 2]]), {"seq_len": 8}, ValueError, "gaps"),
        ("mqar_task", (*TASK[:2], [[1, 1]]), {"seq_len": 8}, ValueError, "gaps"),
        ("mqar_task", (*TASK[:2], [[0, 2]]), {"seq_len": 8}, ValueError, "gaps"),
        ("mqar_task", ([[1, 1]], *TASK[1:]), {"seq_len": 8}, ValueError, "keys"),
        ("mqar_task", ([[1.5, 2]], *TASK[1:]), {"seq_len": 8}, TypeError, "keys"),
        ("mqar_draws", (3, 1), PAIRS, TypeError, "rng"),
        ("mqar_draws", (RNG, 1), {**PAIRS, "vocab_size": 12}, ValueError, "vocab_size"),
        ("mqar_draws", (RNG, 1), {**PAIRS, "seq_len": 11}, ValueError, "seq_len"),
        ("mqar_draws", (RNG, 1), {**PAIRS, "num_pairs": 4}, ValueError, "seq_len"),
        ("mqar_draws", (RNG, 1), {**PAIRS, "power": 0.0}, ValueError, "power"),
    ],
)
def test_a_call_with_a_mistake_is_refused(
    name: str, arrays: tuple[Any, ...], options: dict[str, Any], error: type[Exception], argument: str
) -> None:
    with pytest.raises(error, match=rf"{name}: {argument}\b"):
        getattr(attlas_ref, name)(*arrays, **options)
