"""What attention by structured factorization obeys.

| in the specification | law, or test in `tests/reference/test_probabilistic_combiner.py` |
| --- | --- |
| row-stochastic and causal | `rows_of_a_factorization_sum_to_one` |
| every j <= i has a positive weight | `a_factorization_reaches_all_of_the_past` |
| a group counts once | `a_group_of_equal_keys_counts_once`, `alike_keys_share_by_group` |
| constant values pass through | `constant_values_pass_through_a_factorization` |
| inputs > i are ignored | `a_factorization_ignores_what_is_to_come` |
| implied dense weights | `a_factorization_is_its_dense_weights` |
| fixed: block = 1, block = n | `whole_and_single_blocks_are_softmax_attention` |
| fixed: not causal (a reading) | `test_without_the_past_all_blocks_are_groups` |
| logsparse: the groups and {i} partition [0, i] | `test_groups_cut_the_past_without_overlap` |
| logsparse: n <= 2 | `two_tokens_have_no_group` |
| axial: block = n, block = 1 | `whole_and_single_blocks_are_softmax_attention` |
| axial: the default summary | `the_default_summary_is_what_each_token_reads_of_its_row` |
| mixture: block = 1, block = n | `whole_and_single_blocks_are_softmax_attention` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .inputs import options_of
from .law import Evaluate, Relation, equal, law, same

FIXED, LOGSPARSE, AXIAL, MIXTURE = (f"combiner_{kind}_attention" for kind in ("fixed", "logsparse", "axial", "mixture"))
ALL = (FIXED, LOGSPARSE, AXIAL, MIXTURE)
CAUSAL: dict[str, Any] = {"causal": True}
WEIGHTS = {**CAUSAL, "return_weights": True}


@law(ALL, statement="Σ_j W_ij = 1, W_ij = 0 exactly for j > i", fixed=WEIGHTS)
def rows_of_a_factorization_sum_to_one(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    weights = call.by(f).weights
    sums, future = weights.sum(axis=-1), np.triu(np.ones(weights.shape[-2:], dtype=bool), k=1)
    ahead = np.where(future, weights, 0)
    return equal(sums, np.ones_like(sums)), same(ahead, np.zeros_like(ahead))


@law(ALL, statement="scores of 0: W_ij > 0 exactly for j <= i", fixed={**WEIGHTS, "scale": 0.0})
def a_factorization_reaches_all_of_the_past(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    weights = call.by(f).weights
    return same(weights > 0, np.broadcast_to(np.tri(weights.shape[-1], dtype=bool), weights.shape))


@law(ALL, statement="out = W v, and W = f(q, k, I_n)", fixed=WEIGHTS)
def a_factorization_is_its_dense_weights(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    query, key, value, *rest = call.arrays
    output, weights = call.by(f)
    eye = np.broadcast_to(np.eye(key.shape[-2], dtype=key.dtype), (*weights.shape[:-2], *(2 * key.shape[-2:-1])))
    return (
        equal(output, weights @ value),
        equal(call.given(query, key, eye, *rest, return_weights=False).by(f), weights),
    )


@law(ALL, statement="v_j = c for all j: out_i = c", fixed=CAUSAL)
def constant_values_pass_through_a_factorization(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value, *rest = call.arrays
    same_value = np.broadcast_to(value[..., :1, :], value.shape)
    output = call.given(query, key, same_value, *rest).by(f)
    return equal(output, np.broadcast_to(same_value, output.shape))


@law(ALL, statement="f_1, ..., f_t do not depend on the rows of tokens t + 1, ..., n", fixed=CAUSAL)
def a_factorization_ignores_what_is_to_come(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    n = call.arrays[0].shape[-2]
    t = int(rng.integers(n + 1))
    known = (np.arange(n) < t)[:, None]
    arrays = (None if x is None else np.where(known, x, np.nan).astype(x.dtype) for x in call.arrays)
    return equal(call.given(*arrays).by(f)[..., :t, :], call.by(f)[..., :t, :])


@law(
    FIXED,
    ties=("softmax_attention",),
    statement="equal keys in each block: softmax over the own block and one key per earlier block, with its mean value",
    fixed=CAUSAL,
)  # fmt: skip
def a_group_of_equal_keys_counts_once(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value = call.arrays
    n, block = key.shape[-2], call.options["block"]
    own = np.arange(n) // block
    first = own * block
    key = key[..., first, :]
    blocks = np.arange(n // block)
    mean = (own == blocks[:, None]).astype(value.dtype) / block @ value  # (..., blocks, e)
    mask = np.concatenate([np.tri(n, dtype=bool) & (own[:, None] == own), blocks < own[:, None]], axis=-1)
    keys = np.concatenate([key, key[..., blocks * block, :]], axis=-2)
    values = np.concatenate([value, mean], axis=-2)
    expected = f("softmax_attention", query, keys, values, mask=mask, **options_of(call, "scale"))
    return equal(call.given(query, key, value).by(f), expected)


def _terms(name: str, n: int, block: int) -> tuple[Any, Any]:
    """How many terms the softmax of each query has, and how much of a group each key is, (n,) and (n, n)."""
    count, share = np.zeros(n), np.zeros((n, n))

    def meet(i: int, members: list[int]) -> None:
        if members:
            count[i] += 1
            share[i, members] += 1 / len(members)

    for i in range(n):
        r, c = divmod(i, block)
        if name == LOGSPARSE:
            groups = [range((i >> bit << bit) - (1 << bit), i >> bit << bit) for bit in range(n) if i >> bit & 1]
            meet(i, [i])
        elif name == MIXTURE:
            others = [u for u in range(block) if u != c]
            groups = [range(u, r * block, block) for u in others]
            groups += [range(t * block, t * block + c) for t in range(r)]
            groups += [range(t * block + c + 1, (t + 1) * block) for t in range(r)]
            for t in range(r):
                meet(i, [t * block + c])
            for u in range(c + 1):
                meet(i, [r * block + u])
        else:
            groups = [range(t * block, (t + 1) * block) for t in range(r)]
            for u in range(c + 1):
                meet(i, [r * block + u])
        for group in groups:
            meet(i, list(group))
    return count, share


@law(ALL, statement="all keys alike: every direct key and every group has the same share, its members evenly",
     fixed=WEIGHTS)  # fmt: skip
def alike_keys_share_by_group(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, key, value, *_ = call.arrays
    key = np.broadcast_to(key[..., :1, :], key.shape)
    rest = (None,) if call.name == AXIAL else ()
    weights = call.given(query, key, value, *rest).by(f).weights
    count, share = _terms(call.name, key.shape[-2], call.options.get("block", 1))
    return equal(weights, np.broadcast_to(share / np.maximum(count, 1)[:, None], weights.shape).astype(weights.dtype))


@law(
    (FIXED, AXIAL, MIXTURE),
    ties=("softmax_attention",),
    statement="block = 1 and block = n: softmax_attention(q, k, v, causal = True)",
    fixed=CAUSAL,
    least={"n": 1},
)
def whole_and_single_blocks_are_softmax_attention(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    arrays = call.arrays[:3]
    rest = (None,) if call.name == AXIAL else ()
    expected = f("softmax_attention", *arrays, causal=True, **options_of(call, "scale"))
    n = arrays[0].shape[-2]
    return tuple(equal(call.given(*arrays, *rest, block=block).by(f), expected) for block in (1, n))


@law(LOGSPARSE, ties=("softmax_attention",), statement="n <= 2: softmax_attention(q, k, v, causal = True)")
def two_tokens_have_no_group(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    arrays = [array[..., :2, :] for array in call.arrays]
    expected = f("softmax_attention", *arrays, causal=True, **options_of(call, "scale"))
    return equal(call.given(*arrays).by(f), expected)


@law(AXIAL, ties=("softmax_attention",), statement="summary_key = attention within each row to the keys: the default")
def the_default_summary_is_what_each_token_reads_of_its_row(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> Relation:
    query, key, value, *_ = call.arrays
    row = np.arange(key.shape[-2]) // call.options["block"]
    summary = f("softmax_attention", query, key, key, mask=row[:, None] == row, **options_of(call, "scale"))
    output = call.given(query, key, value, summary).by(f)
    default = call.given(query, key, value, None).by(f)
    return equal(output, np.broadcast_to(default, output.shape))
