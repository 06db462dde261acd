"""What chains of labels obey: forward–backward, Viterbi, samples.

| in the specification | law, or test in `tests/reference/test_probabilistic_chains.py` |
| --- | --- |
| marginals: brute force | `test_marginals_are_those_of_all_sequences` |
| marginals sum to 1 over labels | `labels_share_each_position` |
| edge marginals sum to node marginals | `pairs_of_labels_sum_to_labels` |
| marginals are derivatives of log Z | `raising_a_label_tells_its_marginal`, `raising_a_pair_tells_its_marginal`, |
| | `test_marginals_are_derivatives_of_the_log_partition` |
| no transitions: softmaxes | `without_transitions_positions_are_softmaxes` |
| a strong diagonal: constant labels | `test_strong_likings_make_labels_constant` |
| reversing time | `a_chain_may_be_read_backward` |
| length 1 | `a_chain_of_one_is_a_softmax` |
| log Z >= score of the best | `the_best_labeling_weighs_less_than_all` |
| argmax: brute force | `test_the_path_is_the_best_of_all_sequences` |
| argmax without transitions | `without_transitions_the_path_is_the_largest_scores` |
| argmax: a constant per row | `constants_per_position_leave_the_path_alone` |
| argmax: limit of the marginals | `test_marginals_of_large_scores_are_the_path` |
| sample: frequencies | `test_samples_occur_as_often_as_the_marginals_say` |
| sample without transitions | `without_transitions_samples_are_categorical` |
| sample: positive probability | `test_no_sample_is_impossible`, `samples_follow_the_marginals_of_pairs` |
| all −∞ | `a_position_without_labels_leaves_nothing`, `forbidding_a_label_takes_its_marginal` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

MARGINALS, ARGMAX, SAMPLE = "linear_chain_marginals", "linear_chain_argmax", "linear_chain_sample"
CHAINS = (MARGINALS, ARGMAX, SAMPLE)
ONE = {"n": 1, "c": 1}


def _visible(call: Call) -> Any:
    """Which positions belong to the chains, (..., n)."""
    unary, pairwise = call.arrays
    mask = call.options.get("mask")
    batch = np.broadcast_shapes(unary.shape[:-2], pairwise.shape[:-3])
    return np.broadcast_to(True if mask is None else mask, (*batch, unary.shape[-2]))


def _softmax(scores: Any) -> Any:
    part = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return part / part.sum(axis=-1, keepdims=True)


def score_of(unary: Any, pairwise: Any, path: Any) -> Any:
    """The score of labelings (..., n) that are -1 past the length of the chain."""
    seen, labels = path >= 0, np.maximum(path, 0)
    batch, c = path.shape[:-1], unary.shape[-1]
    own = np.take_along_axis(np.broadcast_to(unary, (*path.shape, c)), labels[..., None], axis=-1)[..., 0]
    steps = np.broadcast_to(pairwise, (*batch, *pairwise.shape[-3:])).reshape(*batch, -1, c * c)
    both = labels[..., :-1] * c + labels[..., 1:]
    step = np.take_along_axis(steps, both[..., None], axis=-1)[..., 0]
    return np.where(seen, own, 0).sum(axis=-1) + np.where(seen[..., 1:], step, 0).sum(axis=-1)


@law(CHAINS, statement="f(u, P) with P (c, c) = f(u, (P, ..., P))", least=ONE)
def one_table_serves_all_steps(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    unary, pairwise = call.arrays
    n, c = unary.shape[-2:]
    table = rng.uniform(-2, 2, (c, c)).astype(unary.dtype)
    # Both have all leading axes.
    unary = np.broadcast_to(unary, (*np.broadcast_shapes(unary.shape[:-2], pairwise.shape[:-3]), n, c))
    short = call.given(unary, table).by(f)
    long = call.given(unary, np.broadcast_to(table, (n - 1, c, c))).by(f)
    results = (short, long) if isinstance(short, tuple) else ((short,), (long,))
    return tuple(same(a, b) for a, b in zip(*results, strict=True))


@law(CHAINS, statement="f(mask = [t < T]) = f(the first T positions), and nothing behind", least=ONE)
def a_mask_ends_the_chain(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    unary, pairwise = call.arrays
    n = unary.shape[-2]
    length = int(rng.integers(1, n + 1))
    draws = {} if call.name != SAMPLE else {"uniform": call.options["uniform"][..., :length]}
    short = call.given(unary[..., :length, :], pairwise[..., : length - 1, :, :], mask=None, **draws).by(f)
    long = call.given(mask=np.arange(n) < length).by(f)
    if call.name != MARGINALS:
        return same(long[..., :length], short), same(long[..., length:], np.full_like(long[..., length:], -1))
    labels, pairs = long.marginals, long.pairwise_marginals
    return (
        equal(long.log_partition, short.log_partition),
        equal(labels[..., :length, :], short.marginals),
        equal(pairs[..., : length - 1, :, :], short.pairwise_marginals),
        same(labels[..., length:, :], np.zeros_like(labels[..., length:, :])),
        same(pairs[..., length - 1 :, :, :], np.zeros_like(pairs[..., length - 1 :, :, :])),
    )


@law(MARGINALS, statement="Σ_a p(z_t = a) = 1 up to the length", least={"c": 1})
def labels_share_each_position(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    marginals = call.by(f).marginals
    return equal(marginals.sum(axis=-1), _visible(call).astype(marginals.dtype))


@law(MARGINALS, statement="Σ_b p(z_t = a, z_(t+1) = b) = p(z_t = a), and Σ_a = p(z_(t+1) = b)", least=ONE)
def pairs_of_labels_sum_to_labels(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    _, marginals, pairs = call.by(f)
    followed = np.where(_visible(call)[..., 1:, None], marginals[..., :-1, :], 0)
    return equal(pairs.sum(axis=-1), followed), equal(pairs.sum(axis=-2), marginals[..., 1:, :])


@law(MARGINALS, statement="u_t(a) + δ: log Z grows by log(1 + p(z_t = a) (e^δ − 1))", least=ONE)
def raising_a_label_tells_its_marginal(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    unary, pairwise = call.arrays
    t, a = (int(rng.integers(size)) for size in unary.shape[-2:])
    raised = unary.copy()
    raised[..., t, a] += 1
    before, after = call.by(f), call.given(raised, pairwise).by(f)
    return equal(after.log_partition, before.log_partition + np.log1p(before.marginals[..., t, a] * (np.e - 1)))


@law(MARGINALS, statement="P_t(a, b) + δ: log Z grows by log(1 + p(z_t = a, z_(t+1) = b) (e^δ − 1))",
     least={"n": 2, "c": 1})  # fmt: skip
def raising_a_pair_tells_its_marginal(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    unary, pairwise = call.arrays
    t, a, b = (int(rng.integers(size)) for size in pairwise.shape[-3:])
    raised = pairwise.copy()
    raised[..., t, a, b] += 1
    before, after = call.by(f), call.given(unary, raised).by(f)
    growth = np.log1p(before.pairwise_marginals[..., t, a, b] * (np.e - 1))
    return equal(after.log_partition, before.log_partition + growth)


@law(MARGINALS, statement="u_t(a) = −∞: log Z grows by log(1 − p(z_t = a)), and p(z_t = a) = 0", least={"n": 1, "c": 2})
def forbidding_a_label_takes_its_marginal(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    unary, pairwise = call.arrays
    t, a = (int(rng.integers(size)) for size in unary.shape[-2:])
    forbidden = unary.copy()
    forbidden[..., t, a] = -np.inf
    before, after = call.by(f), call.given(forbidden, pairwise).by(f)
    gone = after.marginals[..., t, a]
    return (
        equal(after.log_partition, before.log_partition + np.log1p(-before.marginals[..., t, a])),
        same(gone, np.zeros_like(gone)),
    )


@law(CHAINS, statement="u_t = −∞ for all labels: log Z = −∞, marginals 0, paths −1", fixed={"mask": None}, least=ONE)
def a_position_without_labels_leaves_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    unary, pairwise = call.arrays
    forbidden = unary.copy()
    forbidden[..., int(rng.integers(unary.shape[-2])), :] = -np.inf
    result = call.given(forbidden, pairwise).by(f)
    if call.name != MARGINALS:
        return (same(result, np.full_like(result, -1)),)
    nothing = (same(part, np.zeros_like(part)) for part in result[1:])
    return (same(result.log_partition, np.full_like(result.log_partition, -np.inf)), *nothing)


@law(MARGINALS, statement="u_t + c_t: the marginals stay, log Z grows by Σ c_t", fixed={"mask": None}, least=ONE)
def constants_per_position_move_log_z_alone(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    unary, pairwise = call.arrays
    constants = rng.uniform(-2, 2, (unary.shape[-2], 1)).astype(unary.dtype)
    before, after = call.by(f), call.given(unary + constants, pairwise).by(f)
    return (
        equal(after.log_partition, before.log_partition + constants.sum()),
        equal(after.marginals, before.marginals),
        equal(after.pairwise_marginals, before.pairwise_marginals),
    )


@law(MARGINALS, statement="P = 0: p(z_t = a) = softmax(u_t)_a", fixed={"mask": None}, least=ONE)
def without_transitions_positions_are_softmaxes(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    unary, pairwise = call.arrays
    marginals = call.given(unary, np.zeros_like(pairwise)).by(f).marginals
    return equal(marginals, np.broadcast_to(_softmax(unary), marginals.shape))


@law(MARGINALS, statement="n = 1: p = softmax(u), log Z = log Σ_a exp(u_a)", fixed={"mask": None}, least=ONE)
def a_chain_of_one_is_a_softmax(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    unary, pairwise = call.arrays
    log_partition, marginals, _ = call.given(unary[..., :1, :], pairwise[..., :0, :, :]).by(f)
    total = np.logaddexp.reduce(unary[..., 0, :], axis=-1)
    return (
        equal(log_partition, np.broadcast_to(total, log_partition.shape)),
        equal(marginals, np.broadcast_to(_softmax(unary[..., :1, :]), marginals.shape)),
    )


@law(MARGINALS, statement="f(u reversed, Pᵀ reversed) = f(u, P) reversed", fixed={"mask": None}, least=ONE)
def a_chain_may_be_read_backward(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    unary, pairwise = call.arrays
    forward, back = call.by(f), call.given(unary[..., ::-1, :], pairwise[..., ::-1, :, :].mT).by(f)
    return (
        equal(back.log_partition, forward.log_partition),
        equal(back.marginals[..., ::-1, :], forward.marginals),
        equal(back.pairwise_marginals[..., ::-1, :, :].mT, forward.pairwise_marginals),
    )


@law(ARGMAX, ties=(MARGINALS,), statement="score(argmax) <= log Z <= score(argmax) + T log c", least=ONE)
def the_best_labeling_weighs_less_than_all(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    path = call.by(f)
    log_partition = f(MARGINALS, *call.arrays, mask=call.options.get("mask")).log_partition
    unary, pairwise = call.arrays
    score = score_of(unary, pairwise, path)
    most = score + np.log(float(unary.shape[-1])) * (path >= 0).sum(axis=-1)
    return at_most(score, log_partition), at_most(log_partition, most)


@law(ARGMAX, statement="score(z) <= score(argmax) for every z", least=ONE)
def no_labeling_beats_the_best(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    unary, pairwise = call.arrays
    path = call.by(f)
    other = np.where(path >= 0, rng.integers(0, unary.shape[-1], path.shape), -1)
    return at_most(score_of(unary, pairwise, other), score_of(unary, pairwise, path))


@law(ARGMAX, statement="P = 0: z_t = argmax u_t", fixed={"mask": None}, least=ONE)
def without_transitions_the_path_is_the_largest_scores(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    unary, pairwise = call.arrays
    path = call.given(unary, np.zeros_like(pairwise)).by(f)
    return same(path, np.broadcast_to(unary.argmax(axis=-1), path.shape))


@law(ARGMAX, statement="f(u_t + c_t, P) = f(u, P)", least=ONE)
def constants_per_position_leave_the_path_alone(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    unary, pairwise = call.arrays
    constants = rng.integers(-2, 3, (unary.shape[-2], 1)).astype(unary.dtype)
    return equal(call.given(unary + constants, pairwise).by(f), call.by(f))


@law(SAMPLE, statement="P = 0: z_t = the number of labels with Σ_(b <= a) softmax(u_t)_b <= uniform_t",
     fixed={"mask": None}, least=ONE)  # fmt: skip
def without_transitions_samples_are_categorical(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    unary, pairwise = call.arrays
    path = call.given(unary, np.zeros_like(pairwise)).by(f)
    below = np.cumsum(_softmax(unary), axis=-1)[..., :-1] <= call.options["uniform"][..., None]
    possible = np.where(_softmax(unary) > 0, np.arange(unary.shape[-1]), 0).max(axis=-1)
    return equal(path, np.broadcast_to(np.minimum(below.sum(axis=-1), possible), path.shape))


@law(SAMPLE, ties=(MARGINALS,), statement="z_n by p(z_n) and uniform_n, z_t by p(z_t | z_(t+1)) and uniform_t",
     fixed={"mask": None}, least=ONE)  # fmt: skip
def samples_follow_the_marginals_of_pairs(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    path, uniform = call.by(f), call.options["uniform"]
    _, marginals, pairs = f(MARGINALS, *call.arrays)
    batch, c = path.shape[:-1], marginals.shape[-1]
    expected = []
    for t in range(path.shape[-1]):
        share = np.broadcast_to(marginals[..., t, :], (*batch, c))
        if t < path.shape[-1] - 1:
            step = np.broadcast_to(pairs[..., t, :, :], (*batch, c, c))
            share = np.take_along_axis(step, np.maximum(path[..., t + 1, None, None], 0), axis=-1)[..., 0]
            share = share / share.sum(axis=-1, keepdims=True)
        below = (np.cumsum(share, axis=-1) <= uniform[..., t, None]).sum(axis=-1)
        expected.append(np.minimum(below, np.where(share > 0, np.arange(c), 0).max(axis=-1)))
    return equal(path, np.stack(expected, axis=-1))
