"""What attention to tuples of tokens obeys.

| in the specification | law |
| --- | --- |
| softmax attention to Khatri-Rao products, p = 1 included | `tensor_attention_is_softmax_attention_to_products` |
| swapping (k1, v1) and (k2, v2) | `members_may_change_places` |
| joint permutations of (k_r, v_r) | `rows_of_a_member_may_be_permuted` |
| k1 -> k1 c, k2 -> k2 / c | `channels_may_move_between_members` |
| n2 = 1, k2 = 1, v2 = 1 | `a_member_of_ones_changes_nothing` |
| all rows of key2 equal | `a_member_without_choice_is_a_mean` |
| score "sum" factorizes | `sums_of_scores_factorize` |
| score "strassen" by three matrices | `a_triangle_is_three_matrices` |
| all v = 1; rows of weights | `values_of_ones_give_ones`, `weights_of_tuples_sum_to_one` |
| convexity | `outputs_lie_between_products_of_values` |
| causal, windows | `causal_tuples_and_windows_are_a_mask` |
| what a mask hides | `hidden_members_have_no_effect`, `hidden_members_have_no_gradient` |
| vjp: p = 1 | `the_gradient_of_one_set_is_that_of_softmax_attention` |
| vjp: sum over J of dS = 0 in every row | `slopes_of_a_query_sum_to_zero` |
| vjp: scale invariance | `every_member_has_the_same_share_of_the_slope` |
| vjp: the values | `the_output_is_linear_in_each_set_of_values` |
"""

from typing import Any

import numpy as np

from ...visibility import Booleans, Reals
from ..plan import Call
from .inputs import extremes, options_of
from .law import Evaluate, Relation, at_most, equal, law, same

NAME, VJP = "tensor_attention", "tensor_attention_vjp"
UNMASKED = {"mask": None, "causal": False, "windows": None}
SOME = {"n_1": 1, "n_2": 1, "n_3": 1}
NOTHING_TO_SAY = same(0, 0)
"""Where a drawn call is outside of a law's condition."""


def cube(call: Call, keys: tuple[Reals, ...]) -> Booleans:
    """Which query sees which tuple, (..., m, n_1, ..., n_p): by the rule, entry by entry."""
    m, sizes = call.arrays[0].shape[-2], [key.shape[-2] for key in keys]
    i, *members = np.indices((m, *sizes))
    windows = call.options.get("windows")
    visible = np.ones((m, *sizes), dtype=bool)
    for r, (j, n) in enumerate(zip(members, sizes, strict=True)):
        if call.options.get("causal") or windows is not None:
            visible &= j <= i + n - m
        if windows is not None:
            visible &= j > i + n - m - windows[r]
    mask = call.options.get("mask")
    return visible if mask is None else visible & mask


def in_line(array: Any, members: int) -> Any:
    """Put the last axes of an array, one per member, into one."""
    head = array.shape[: array.ndim - members]
    return array.reshape(*head, int(np.prod(array.shape[len(head) :])))


@law(
    NAME,
    ties=("softmax_attention", "khatri_rao"),
    statement="tensor_attention(q, keys, values, mask) = softmax_attention(q, ⊘ keys, ⊘ values, mask in line)",
    fixed={"score": "product"},
)
def tensor_attention_is_softmax_attention_to_products(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, keys, values = call.arrays
    mask = in_line(cube(call, keys), len(keys))
    rows = f("khatri_rao", keys), f("khatri_rao", values)
    return equal(call.by(f), f("softmax_attention", query, *rows, mask=mask, **options_of(call, "scale")))


@law(NAME, statement="f(q, (k_1, ..., k_p), (v_1, ..., v_p)) = f(q, (k_p, ..., k_1), (v_p, ..., v_1))")
def members_may_change_places(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, keys, values = call.arrays
    options: dict[str, Any] = {}
    if call.options.get("mask") is not None:
        p, mask = len(keys), np.broadcast_to(call.options["mask"], cube(call, keys).shape)
        options["mask"] = mask.transpose(*range(mask.ndim - p), *reversed(range(mask.ndim - p, mask.ndim)))
    if call.options.get("windows") is not None:
        options["windows"] = call.options["windows"][::-1]
    return equal(call.by(f), call.given(query, keys[::-1], values[::-1], **options).by(f))


@law(NAME, statement="f with the rows of k_r and v_r permuted together = f", fixed=UNMASKED)
def rows_of_a_member_may_be_permuted(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, keys, values = call.arrays
    r = int(rng.integers(len(keys)))
    order = rng.permutation(keys[r].shape[-2])
    moved = [(*x[:r], x[r][..., order, :], *x[r + 1 :]) for x in (keys, values)]
    return equal(call.by(f), call.given(query, *moved).by(f))


@law(NAME, statement="f(k_1 c, k_2 / c) = f(k_1, k_2) for every c per channel", fixed={"score": "product"})
def channels_may_move_between_members(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, keys, values = call.arrays
    if len(keys) == 1:
        return NOTHING_TO_SAY
    factor = (rng.choice([-1, 1], query.shape[-1]) * rng.uniform(0.5, 2, query.shape[-1])).astype(query.dtype)
    return equal(call.by(f), call.given(query, (keys[0] * factor, keys[1] / factor, *keys[2:]), values).by(f))


@law(
    NAME, statement="f with one more member of one row, key 1 and value 1, = f", fixed={**UNMASKED, "score": "product"}
)
def a_member_of_ones_changes_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, keys, values = call.arrays
    ones = [np.ones((1, x[0].shape[-1]), dtype=query.dtype) for x in (keys, values)]
    return equal(call.by(f), call.given(query, (*keys, ones[0]), (*values, ones[1])).by(f))


@law(
    NAME,
    ties=("uniform_attention",),
    statement="all rows of k_p equal c: f = f(q c, (k_1, ..., k_{p−1}), (v_1, ..., v_{p−1})) · mean(v_p)",
    fixed={**UNMASKED, "score": "product"},
    least=SOME,
)
def a_member_without_choice_is_a_mean(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, keys, values = call.arrays
    constant = keys[-1][..., :1, :]
    output = call.given(query, (*keys[:-1], np.broadcast_to(constant, keys[-1].shape)), values).by(f)
    scale = {"scale": call.options.get("scale")}
    expected = f("uniform_attention", values[-1], m=query.shape[-2])
    if len(keys) > 1:
        expected = expected * f(NAME, query * constant, keys[:-1], values[:-1], **scale)
    return equal(output, np.broadcast_to(expected, output.shape))


@law(
    NAME,
    ties=("softmax_attention",),
    statement='score="sum": f = Π_r softmax_attention(q, k_r, v_r)',
    fixed={"score": "sum", "mask": None, "windows": None},
)
def sums_of_scores_factorize(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, keys, values = call.arrays
    if call.options.get("score") != "sum":
        call = call.given(score="sum")
    product = np.ones((), dtype=query.dtype)
    for key, value in zip(keys, values, strict=True):
        product = product * f("softmax_attention", query, key, value, **options_of(call, "scale", "causal"))
    return equal(call.by(f), product)


@law(
    NAME,
    statement='score="strassen": f_c = rowsum((X v¹_c) Y ∘ (Z v²_c)) / rowsum(X Y ∘ Z), exponentials of three sides',
    fixed={**UNMASKED, "score": "strassen"},
    least=SOME,
)
def a_triangle_is_three_matrices(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    if len(call.arrays[1]) != 2:
        return NOTHING_TO_SAY
    query, key1, key2 = (np.clip(x, -2, 2) for x in (call.arrays[0], *call.arrays[1]))
    value1, value2 = call.arrays[2]
    scale = call.options.get("scale")
    scale = 1 / float(np.sqrt(query.shape[-1])) if scale is None else scale
    x, y, z = (np.exp(scale * (a @ b.mT)) for a, b in ((query, key1), (key1, key2), (query, key2)))
    total = ((x @ y) * z).sum(axis=-1)
    columns = [
        (((x * value1[..., None, :, c]) @ y) * (z * value2[..., None, :, c])).sum(axis=-1) / total
        for c in range(value1.shape[-1])
    ]
    output = call.given(query, (key1, key2), (value1, value2)).by(f)
    return equal(output, np.stack(columns, axis=-1) if columns else np.zeros_like(output))


@law(NAME, statement="all values 1: f_i = 1, or 0 where query i sees nothing")
def values_of_ones_give_ones(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, keys, values = call.arrays
    output = call.given(query, keys, tuple(map(np.ones_like, values))).by(f)
    seen = in_line(cube(call, keys), len(keys)).any(axis=-1)
    return equal(output, np.broadcast_to(seen[..., None], output.shape).astype(output.dtype))


@law(NAME, statement="Σ_J w_iJ = 1 or 0, and Σ_J w_iJ Π_r v_r = f_i", fixed={"return_weights": True})
def weights_of_tuples_sum_to_one(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    _, keys, values = call.arrays
    output, weights = call.by(f)
    weights = in_line(weights, len(keys))
    seen = in_line(cube(call, keys), len(keys)).any(axis=-1)
    sums = weights.sum(axis=-1)
    rows = np.ones((1, 1), dtype=output.dtype)
    for value in values:
        pairs = rows[..., :, None, :] * value[..., None, :, :]
        rows = pairs.reshape(*pairs.shape[:-3], pairs.shape[-3] * pairs.shape[-2], pairs.shape[-1])
    return equal(sums, np.broadcast_to(seen, sums.shape).astype(sums.dtype)), equal(output, weights @ rows)


@law(NAME, ties=("khatri_rao",), statement="min_J Π_r v_r <= f_i <= max_J Π_r v_r over the tuples J that query i sees")
def outputs_lie_between_products_of_values(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    _, keys, values = call.arrays
    output, rows = call.by(f), f("khatri_rao", values)
    visible = in_line(cube(call, keys), len(keys))
    column = np.broadcast_to(rows.mT[..., None, :], (*output.mT.shape, visible.shape[-1]))  # (..., e, m, tuples)
    low, high = extremes(column, visible[..., None, :, :])
    return at_most(low.mT, output), at_most(output, high.mT)


@law(NAME, statement="f(causal, windows) = f(mask = [i + n_r − m − w_r < j_r <= i + n_r − m for all r])",
     fixed={"causal": True})  # fmt: skip
def causal_tuples_and_windows_are_a_mask(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    mask = cube(call, call.arrays[1])
    return equal(call.by(f), call.given(mask=mask, causal=False, windows=None).by(f))


def _fouled(call: Call) -> tuple[Call, Call, Booleans]:
    """The call with 0, and with NaN, in the rows of the last member that nobody sees; which rows somebody sees."""
    query, keys, values, *rest = call.arrays
    visible = cube(call, keys)
    seen = np.asarray(visible.any(axis=tuple(range(visible.ndim - 1))))[:, None]
    before, after = (
        [(*x[:-1], np.ascontiguousarray(np.where(seen, x[-1], what(x[-1])))) for x in (keys, values)]
        for what in (np.zeros_like, lambda x: np.full_like(x, np.nan))
    )
    clean = call.given(query, *before, *rest)
    return clean, clean.given(query, *after, *rest), seen


@law(NAME, statement="f does not depend on rows of a member whose tuples are all hidden", fixed={"mask": "columns"})
def hidden_members_have_no_effect(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    clean, fouled, _ = _fouled(call)
    return equal(clean.by(f), fouled.by(f))


@law(VJP, statement="hidden tuples send exactly 0", fixed={"mask": "columns"})
def hidden_members_have_no_gradient(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    clean, fouled, seen = _fouled(call)
    expected, actual = clean.by(f), fouled.by(f)
    gone = [np.where(seen, 0, grads[-1]) for grads in actual[1:]]
    others = zip(gradients_in_line(expected), gradients_in_line(actual), strict=True)
    return (*(same(grad, np.zeros_like(grad)) for grad in gone), *(equal(a, b) for a, b in others))


def gradients_in_line(grads: Any) -> list[Any]:
    """Return the gradients without the tuples around those of keys and values."""
    return [grads.grad_query, *grads.grad_keys, *grads.grad_values]


@law(VJP, ties=("softmax_attention_vjp",), statement="p = 1: the gradients of softmax attention",
     fixed={"mask": None, "windows": None})  # fmt: skip
def the_gradient_of_one_set_is_that_of_softmax_attention(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    query, keys, values, _ = call.arrays
    leading = np.broadcast_shapes(query.shape[:-2], keys[0].shape[:-2], values[0].shape[:-2])
    gradient = rng.standard_normal((*leading, query.shape[-2], values[0].shape[-1])).astype(query.dtype)
    grads = call.given(query, keys[:1], values[:1], gradient).by(f)
    options = options_of(call, "scale", "causal")
    plain = f("softmax_attention_vjp", query, keys[0], values[0], gradient, **options)
    return tuple(equal(a, b) for a, b in zip(gradients_in_line(grads), plain, strict=True))


@law(VJP, statement="Σ_i q_ic dq_ic = Σ_j k^r_jc dk^r_jc for every r: scaling a channel of one and dividing another's")
def every_member_has_the_same_share_of_the_slope(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    query, keys, *_ = call.arrays
    grads = call.by(f)

    def share(array: Reals, grad: Reals) -> Any:
        return (array * grad).sum(axis=tuple(range(array.ndim - 1)))

    of_query = share(query, grads.grad_query)
    return tuple(equal(of_query, share(key, grad)) for key, grad in zip(keys, grads.grad_keys, strict=True))


@law(VJP, statement="keys of 1 in channel c: dq_ic = scale Σ_J ds_iJ = 0, since a softmax does not feel a shift")
def slopes_of_a_query_sum_to_zero(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    query, keys, *rest = call.arrays
    first = np.arange(query.shape[-1]) == 0
    level = tuple(np.where(first, np.ones_like(key), key) for key in keys)
    sums = call.given(query, level, *rest).by(f).grad_query[..., 0]
    return equal(sums, np.zeros_like(sums))


@law(VJP, ties=(NAME,), statement="Σ out · G = Σ v_r · grad_values_r for every r: the output is linear in each set")
def the_output_is_linear_in_each_set_of_values(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    *arrays, gradient = call.arrays
    loss = (f(NAME, *arrays, **call.options) * gradient).sum()
    grads = call.by(f).grad_values
    return tuple(equal(loss, (value * grad).sum()) for value, grad in zip(arrays[2], grads, strict=True))
