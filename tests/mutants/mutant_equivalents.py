"""Mutants that compute the same, by name, each with the reason; they are left out of the share that is killed."""

import re

PATTERNS = {
    r".*: 1 → 2 in: .*where\((\w+) == 0, (?:dtype\()?1\)?, \1\)[^1]*": "0 divided by 2 is 0 as well",
    r".*: 0 → 1 in: [^0]*where\((\w+) == -\w+\.inf, 0, \1\)[^0]*": "exp(-inf - shift) is 0 whatever the shift is",
    r".*: 0 → 1 in: [^0]*where\(np\.isneginf\((\w+)\), 0, \1\)[^0]*": "exp(-inf - shift) is 0 whatever the shift is",
}
"""Two idioms of safe division and of safe exponentials, which stand in many files."""
EQUIVALENT: dict[str, str] = {
    "accel/attlas/composites/normalizers/edits.py calibrate_attention_sinks: 1 → 2 in: "
    "xp, n = here.xp, weights.shape[-1]": "the weights are square",
    "accel/attlas/composites/monotonic/luong.py context_aware_cross_attention: 0 → 1 in: "
    "nothing = xp.zeros((key.shape[-2], 0), dtype=value.dtype)": "only the weights are read",
    "accel/attlas/composites/probabilistic/transport.py _log_ratio: 0 → 1 in: "
    "return xp.where(nothing, -math.inf, log_mass - xp.where(nothing, 0, log_total))": (
        "where the one choice is made, so is the other"
    ),
    "accel/attlas/composites/dotproduct/learned.py conditioned_attention: "
    "conditioned @ score_weight + score_bias → conditioned @ score_weight - score_bias in: "
    "scores = (conditioned @ score_weight + score_bias)[..., None, :]  # (..., 1, n)": (
        "a softmax forgets what all scores have in common"
    ),
    "accel/attlas/composites/monotonic/reading.py mass_preservation: 1 → 2 in: "
    "last = places.max(axis=-1, keepdims=True) - 1 if n else -1": "there is no key to be the last",
    "accel/attlas/composites/pointer/selection.py _without: 2 → 3 in: for _ in range(2):": (
        "what two projections leave, a third changes by a rounding at most"
    ),
    "accel/attlas/composites/memory/notes.py tensor_brain_step: False → True in: causal=False,": (
        "the one query is the last, and sees every key"
    ),
    "accel/attlas/composites/variational/score_function.py _of_samples: -1 → 1 in: "
    "for some in row_blocks(count, math.prod(advantage.shape[:-1]) * n):": "blocks of other sizes hold the same rows",
    "accel/attlas/numba_cuda/prefix.py : 2 if simulated() else 32 → 2 if not simulated() else 32 in: "
    "SEGMENT = 2 if simulated() else 32": "segments of another length add up to the same",
    "accel/attlas/composites/shapes.py row_blocks: 1 → 2 in: step = max(1, ENTRIES // max(1, width))": (
        "blocks of other sizes hold the same rows"
    ),
    "ref/attlas_ref/probabilistic/projective_tree_marginals.py _inside: -np.inf → np.inf in: "
    "left, right, arc_left, arc_right = (np.full_like(arcs, -np.inf) for _ in range(4))": (
        "every entry that is read has been written before"
    ),
    "accel/attlas/cupy_gpu/probabilistic/fenwick.py _levels: rest > size → rest >= size in: if rest > size:": (
        "a group that nobody stands behind is walked over too, and holds no pair"
    ),
    "accel/attlas/cupy_gpu/probabilistic/tree_marginals.py _slope: used > 0 → used >= 0 in: "
    "return xp.where((used > 0) & (weight != -math.inf), xp.log(used) - weight, -math.inf)": (
        "the logarithm of 0 is -inf as well"
    ),
    "accel/attlas/cupy_gpu/tile.py Tiles: False → True in: whole_rows: bool = False,": (
        "tiles of another shape hold the same pairs, and are no larger"
    ),
    "accel/attlas/cupy_gpu/tile.py Tiles: 1 → 2 in: step = max(1, weights.shape[-1] // max(1, width))": (
        "blocks of other sizes hold the same rows"
    ),
    "accel/attlas/cupy_gpu/monotonic/near.py entries_at: 1 → 2 in: "
    "places = [xp.arange(size).reshape(-1, *(1,) * (ahead - axis)) for axis, size in enumerate(members)]": (
        "any negative number stands for the size that is left"
    ),
    "accel/attlas/cupy_gpu/columns.py reversed_attention: query + 0 * gate[..., :, :0].sum(axis=-1, keepdims=True) → "
    "query - 0 * gate[..., :, :0].sum(axis=-1, keepdims=True) in: "
    "gated = query if gate is None else query + 0 * gate[..., :, :0].sum(axis=-1, keepdims=True)": (
        "a sum over nothing is 0, of either sign"
    ),
    "ref/attlas_ref/kronecker/fastmax_attention.py fastmax_attention_vjp: 0 → 1 in: "
    "grad_weights = np.where(visible, grad_output @ value.mT, 0)  # <g_i, v_j>, (..., m, n)": (
        "what stands at hidden pairs meets a weight of 0 first, and is replaced after"
    ),
    "ref/attlas_ref/probabilistic/projective_tree_marginals.py _inside: 1 → 2 in: n = arcs.shape[-1]": (
        "the arcs are square"
    ),
    **{
        f"ref/attlas_ref/monotonic/{name}.py {name}: 2 → 3 in: "
        "visible = np.ones(weights.shape[-2:], dtype=bool) if mask is None else mask": (
            "what is True everywhere may have a leading axis more"
        )
        for name in ("mocha_attention", "monotonic_attention")
    },
    "ref/attlas_ref/probabilistic/sag_degrade.py sag_degrade: True → False in: "
    "np.arange(size) * cells // size for size, cells in zip(latents.shape[-2:], (map_height, map_width), "
    "strict=True)": "both are pairs",
    "ref/attlas_ref/variational/dirichlet_kl.py dirichlet_kl: a - b → a + b in: "
    "return (a - b).sum(axis=-1)  # there is one distribution over nothing": "the last axis is empty there",
    "accel/attlas/numba_cpu/memory/depthwise.py build_ffnified: fill(value_taps, shape.r * shape.s * lanes, zero) → "
    "(nothing) in: fill(value_taps, shape.r * shape.s * lanes, zero)": "what stands in padded lanes is never read back",
    "accel/attlas/numba_cpu/normalizers.py build_relu: score <= zero → score < zero in: "
    "positive = zero if score <= zero else score  # a NaN stays": "where the score is 0, it is what stands for it",
    "accel/attlas/numba_cuda/monotonic/segments.py segment_alignment: 1 → 2 in: "
    "launch(follow, 1, alone, rows, columns, -1, field, pointers, counts, path, log_partition)": (
        "all threads but the first have nothing to do"
    ),
    "accel/attlas/numba_cuda/monotonic/segments.py build_cover: 0 → 1 in: chosen = 0": (
        "the first candidate is never below what nothing is worth, so it is chosen"
    ),
    "accel/attlas/numba_cuda/pointer/distribution.py build_normalize: 1 → 2 in: "
    "zero, one, lowest, infinity = real(0), real(1), real(-math.inf), real(math.inf)": "0 divided by 2 is 0 as well",
    "accel/attlas/numba_cuda/variational/captions.py visual_sentinel_attention: 1.0 → 2.0 in: "
    "attention = Attention(additive, words, regions, features, mask=mask, bias=None, scale=1.0, "
    "extra=as_row(w_score))": "additive scores are not scaled",
    "accel/attlas/numba_cuda/variational/captions.py build_join: 0 → 1 in: "
    "its = entry(asked, layout, TOLD, batch, i, 0)": "the step between columns is 0 where there is one",
    "accel/attlas/numba_cuda/variational/captions.py build_join: if c == 0: factors[row] = own / divisor → "
    "if not c == 0: factors[row] = own / divisor in: if c == 0:": "all threads of a row would write the same",
    "accel/attlas/numba_cuda/kronecker/chunks.py chunk_of: "
    "CHUNK if order > HIGHEST else max(CHUNK, count_monomials(d, order)) → "
    "CHUNK if not order > HIGHEST else max(CHUNK, count_monomials(d, order)) in: "
    "return CHUNK if order > HIGHEST else max(CHUNK, count_monomials(d, order))": (
        "chunks of another size add up to the same"
    ),
    **{
        f"accel/attlas/numba_cuda/monotonic/bells.py location_attender: {change} in: "
        "numbers=(0.0, softstair_temperature, 0.0, 1.0),": "what is said of scores counts where keys are given"
        for change in ("0.0 → 1.0", "1.0 → 2.0")
    },
    "accel/attlas/numba_cpu/probabilistic/sinkhorn.py _Run: apart >= 0 → apart > 0 in: "
    "near = (apart >= 0) & (apart <= 2 * math.log(reach_of(real_of(self.dtype))))": (
        "where all costs are equal, logarithms say the same"
    ),
    "accel/attlas/numba_cpu/variational/gumbel.py gumbel_softmax_attention: 1.0 → 2.0 in: "
    "index = chosen(build_best_noisy, query, key, scale, 1.0, per_pair=NOISE, **options)": (
        "twice the largest is the largest"
    ),
    "accel/attlas/numba_cuda/memory/band_gradients.py build_carry: "
    "channel < width_in_all → channel <= width_in_all in: "
    "if not begins and mine < own_stop and channel < width_in_all:": "what is summed beyond the width is never written",
    "accel/attlas/numba_cuda/columns.py share: 1 → 2 in: zero, one = real(0), real(1)": (
        "a column that adds up to 0 has weights of 0, whatever their factor"
    ),
    "accel/attlas/numba_cuda/probabilistic/chart.py build_merged: terms + TOP * square → terms - TOP * square in: "
    "field[terms + TOP * square] = top": "TOP is 0",
    "accel/attlas/numba_cuda/learned.py neural_attention: 2 → 3 in: "
    "rule, layer = two_layers, Assembly((), h1 + 2, h2, dtype_of(weight2)).put(product, weight2)": (
        "nobody reads the row behind the last"
    ),
    "accel/attlas/numba_cuda/learned.py additive_attention: 1.0 → 2.0 in: "
    "additive, query, key, value, mask=mask, bias=None, scale=1.0, causal=causal, extra=as_row(score_vector)": (
        "additive scores are not scaled"
    ),
    "accel/attlas/numba_cpu/kronecker/polynomial.py polynomial: 1 → 2 in: for row in range(rows if hidden else 1):": (
        "where nothing is hidden, every row says the same"
    ),
    "ref/attlas_ref/memory/sdm_beta.py sdm_beta: 1 → 2 in: cosine = 1 - 2 * v / dim": "the mean is subtracted from it",
}


def why_the_same(name: str) -> str | None:
    """Return why a mutant computes the same, or None where nobody has said so."""
    return EQUIVALENT.get(name) or next((why for form, why in PATTERNS.items() if re.fullmatch(form, name)), None)
