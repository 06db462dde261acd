"""Landmarks, compressed and evicting memories against loops over scalars, and what must hold of them by example."""

from typing import Any

import mpmath as mp
import numpy as np
import pytest
from exact import numbers
from rounding import assert_equal_up_to_rounding
from test_derivatives import complex_step

import attlas_ref

RNG = np.random.default_rng(51)
N, D, E = 9, 3, 2
QUERY, KEY, VALUE, GRAD = (RNG.normal(size=(N, width)) for width in (D, D, E, E))
LANDMARKS = {
    "none": "...........",
    "blocks": "..L...L..",
    "empty blocks": "L..LL....",
    "at the end": "...L....L",
    "only landmarks": "LLLLLLLLL",
}
ENOUGH = {"operations": 2000, "magnitude": 10.0}
"""Scores below about 10 behind fewer than 50 operations each, sums of 9."""


def flags(pattern: str) -> np.ndarray:
    return np.array([letter == "L" for letter in pattern[:N]])


def softmax(scores: dict[int, Any]) -> dict[int, Any]:
    terms = {j: mp.exp(score) for j, score in scores.items()}
    total = mp.fsum(terms.values())
    return {j: term / total for j, term in terms.items()}


def landmark_weights(is_landmark: np.ndarray, scale: float, top_k: int | None) -> list[list[Any]]:
    """The definition, row by row, in 50 digits."""
    query, key = numbers(QUERY), numbers(KEY)
    block = [int(is_landmark[:j].sum()) for j in range(N)]
    rows = []
    for i in range(N):
        score = [mp.mpf(scale) * mp.fsum(a * b for a, b in zip(query[i], k, strict=True)) for k in key]
        doors = [j for j in range(i) if is_landmark[j] and block[j] < block[i]]
        doors = sorted(doors, key=lambda j: -score[j])[: len(doors) if top_k is None else top_k]
        own = [j for j in range(i + 1) if block[j] == block[i] and not is_landmark[j]]
        shares = softmax({j: score[j] for j in own + doors})
        row = [mp.mpf(0)] * N
        for j in own:
            row[j] = shares[j]
        for landmark in doors:
            members = [j for j in range(landmark) if block[j] == block[landmark] and not is_landmark[j]]
            for j, share in softmax({j: score[j] for j in members}).items():
                row[j] = shares[landmark] * share
        rows.append(row)
    return rows


@pytest.mark.parametrize("top_k", [None, 0, 1, 2, 9])
@pytest.mark.parametrize("pattern", LANDMARKS.values(), ids=LANDMARKS)
def test_landmark_weights_are_those_of_two_softmaxes(pattern: str, top_k: int | None) -> None:
    is_landmark = flags(pattern)
    exact = landmark_weights(is_landmark, -0.75, top_k)
    output, weights = attlas_ref.landmark_attention(
        QUERY, KEY, VALUE, is_landmark=is_landmark, scale=-0.75, top_k=top_k, return_weights=True
    )
    assert_equal_up_to_rounding(weights, exact, **ENOUGH)
    assert_equal_up_to_rounding(output, np.array(exact, dtype=float) @ VALUE, **ENOUGH)


def test_landmarks_that_tie_with_the_last_of_the_best_stay() -> None:
    key = np.array([[0.0], [1.0], [0.0], [1.0], [0.0], [0.5], [0.0]])
    is_landmark = np.arange(7) % 2 == 1
    weights = attlas_ref.landmark_attention(
        np.ones((7, 1)), key, key, is_landmark=is_landmark, top_k=1, return_weights=True
    ).weights
    np.testing.assert_array_equal(weights[6] > 0, [True, False, True, False, False, False, True])


@pytest.mark.parametrize("pattern", LANDMARKS.values(), ids=LANDMARKS)
def test_gradients_of_landmark_attention_are_its_complex_step_derivatives(pattern: str) -> None:
    arrays, is_landmark = [QUERY, KEY, VALUE], flags(pattern)

    def formula(*moved: Any) -> Any:
        return attlas_ref.landmark_attention.__wrapped__(*moved, is_landmark=is_landmark, scale=0.7)

    grads = attlas_ref.landmark_attention_vjp(*arrays, GRAD, is_landmark=is_landmark, scale=0.7)
    for which, grad in enumerate(grads):
        expected = complex_step(formula, arrays, which, GRAD)
        assert_equal_up_to_rounding(grad, expected, operations=2000, magnitude=float(np.abs(GRAD).sum()))


BLOCK = np.array([0, 0, 0, 1, 1, 2, 2, 2, 4])
IS_MEMORY = np.array([0, 1, 1, 0, 0, 1, 1, 0, 0], dtype=bool)
"""Two memory tokens in blocks 0 and 2, none in block 1, and no block 3."""


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(("merge", "rate"), [("mean", 0.5), (0.25, 0.25), (1.0, 1.0)])
def test_merged_slots_stand_for_the_earlier_blocks(merge: Any, rate: float, first: int) -> None:
    block = BLOCK + first  # without a block 0, block 1 finds nothing before it
    output, weights = attlas_ref.compressed_memory_attention(
        QUERY, KEY, VALUE, block=block, is_memory=IS_MEMORY, merge=merge, return_weights=True
    )
    assert weights.shape == (N, N + block.max() * 2)
    nothing, once = (KEY[:0], VALUE[:0]), (KEY[1:3], VALUE[1:3])
    twice = tuple((1 - rate) * array[1:3] + rate * array[5:7] for array in (KEY, VALUE))
    merged = {0: nothing, 1: once, 2: once, 4: twice}
    for i, b in enumerate(BLOCK):
        own = [j for j in range(i + 1) if BLOCK[j] == b]
        keys, values = (
            np.concatenate([array[own], slots]) for array, slots in zip((KEY, VALUE), merged[b], strict=True)
        )
        expected = attlas_ref.softmax_attention(QUERY[i : i + 1], keys, values, return_weights=True)
        assert_equal_up_to_rounding(output[i], expected.output[0], **ENOUGH)
        behind = N + 2 * (block[i] - 1)
        seen = np.array([*own, *range(behind, behind + len(merged[b][0]))], dtype=int)
        assert_equal_up_to_rounding(weights[i, seen], expected.weights[0], **ENOUGH)
        assert not np.delete(weights[i], seen).any()


def test_a_memory_side_by_side_grows_and_a_merged_one_does_not() -> None:
    blocks, slots, width = 6, 2, 5
    block = np.repeat(np.arange(blocks), width)
    is_memory = np.tile(np.arange(width) >= width - slots, blocks)
    arrays = [RNG.normal(size=(blocks * width, c)) for c in (D, D, E)]
    seen = {
        merge: (attlas_ref.compressed_memory_attention(
            *arrays, block=block, is_memory=is_memory, merge=merge, return_weights=True).weights > 0).sum(axis=-1)
        for merge in (None, "mean", 0.5)
    }  # fmt: skip
    own = 1 + np.arange(blocks * width) % width
    np.testing.assert_array_equal(seen[None], own + slots * block)
    for merge in ("mean", 0.5):
        np.testing.assert_array_equal(seen[merge], own + slots * (block > 0))


def test_the_compressed_mask_is_its_rule_and_reproduces_the_attention() -> None:
    mask = attlas_ref.compressed_memory_mask(BLOCK, IS_MEMORY)
    rule = [[j <= i and (BLOCK[j] == BLOCK[i] or IS_MEMORY[j]) for j in range(N)] for i in range(N)]
    np.testing.assert_array_equal(mask, np.array(rule, dtype=bool))
    expected = attlas_ref.softmax_attention(QUERY, KEY, VALUE, mask=mask)
    actual = attlas_ref.compressed_memory_attention(QUERY, KEY, VALUE, block=BLOCK, is_memory=IS_MEMORY)
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("block", "is_memory", "error", "argument"),
    [
        ([1, 0], [True, False], ValueError, "block"),
        ([0, -1], [True, False], ValueError, "block"),
        ([0.5, 1], [True, False], TypeError, "block"),
        ([0, 1], [1, 0], TypeError, "is_memory"),
        ([0, 1], [True], ValueError, "is_memory"),
    ],
)
def test_compressed_memory_mask_refuses(block: Any, is_memory: Any, error: type[Exception], argument: str) -> None:
    with pytest.raises(error, match=rf"compressed_memory_mask: {argument}\b"):
        attlas_ref.compressed_memory_mask(block, np.array(is_memory))


def test_merging_needs_blocks_with_the_same_number_of_memory_tokens() -> None:
    odd = np.arange(N) == 1
    odd[5:7] = True
    with pytest.raises(ValueError, match="is_memory marks 1 tokens in one block and 2 in another"):
        attlas_ref.compressed_memory_attention(QUERY, KEY, VALUE, block=BLOCK, is_memory=odd, merge="mean")


def memory_of_entries(
    *, chunk_size: int, memory_size: int, policy: str, query_delay: int, top_k: int | None, causal: bool
) -> tuple[np.ndarray, list[int]]:
    """The steps of the definition with lists, one query at a time."""
    alive: list[int] = []
    waiting: list[int] = []
    last: dict[int, int] = {}
    mass: dict[int, float] = {}
    output = np.zeros((N, E))
    for step, start in enumerate(range(0, N, chunk_size)):
        for j in range(start, min(start + chunk_size, N)):
            alive.append(j)
            waiting.append(j)
            last[j], mass[j] = step, 0.0
        final = start + chunk_size >= N
        while len(waiting) > (0 if final else query_delay):
            i = waiting.pop(0)
            score = {j: float(QUERY[i] @ KEY[j]) / np.sqrt(D) for j in alive if j <= i or not causal}
            best = sorted(score, key=lambda j: -score[j])[:top_k]
            weights = softmax({j: mp.mpf(score[j]) for j in best})
            for j, weight in weights.items():
                output[i] += float(weight) * VALUE[j]
                mass[j] += float(weight)
                if top_k is not None or weight > mp.mpf(1) / len(alive):
                    last[j] = step
        while len(alive) > memory_size:
            worth: dict[str, Any] = {"fifo": lambda j: j, "lra": lambda j: last[j], "lfa": lambda j: mass[j]}
            alive.remove(min(alive, key=worth[policy]))  # the first of several, which is the oldest
    return output, alive


@pytest.mark.parametrize("policy", ["fifo", "lra", "lfa"])
@pytest.mark.parametrize("top_k", [None, 1, 2])
@pytest.mark.parametrize(("chunk_size", "memory_size", "query_delay"), [(1, 2, 0), (2, 3, 3), (2, 0, 1), (4, 2, 2)])
@pytest.mark.parametrize("causal", [False, True])
def test_evictions_are_those_of_a_list_of_entries(
    policy: str, causal: bool, top_k: int | None, chunk_size: int, memory_size: int, query_delay: int
) -> None:
    sizes = {"chunk_size": chunk_size, "memory_size": memory_size, "query_delay": query_delay, "top_k": top_k}
    expected, alive = memory_of_entries(policy=policy, causal=causal, **sizes)
    output, kept = attlas_ref.evicting_memory_attention(
        QUERY, KEY, VALUE, policy=policy, causal=causal, return_kept=True, **sizes
    )
    np.testing.assert_array_equal(np.flatnonzero(kept), alive)
    assert_equal_up_to_rounding(output, expected, **ENOUGH)
