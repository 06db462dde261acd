"""Mutants that compute the same, by name, each with the reason; they are left out of the share that is killed."""

EQUIVALENT: dict[str, str] = {
    "accel/attlas/cupy_gpu/probabilistic/fenwick.py _levels: rest > size → rest >= size in: if rest > size:": (
        "a group that nobody stands behind is walked over too, and holds no pair"
    ),
    "accel/attlas/cupy_gpu/monotonic/scans.py scaled_sum: 0 → 1 in: shift = xp.where(top == -math.inf, 0, top)": (
        "the shift where both sides are empty: exp(-inf - shift) is 0 whatever it is"
    ),
    "ref/attlas_ref/kronecker/fastmax_attention.py fastmax_attention_vjp: 0 → 1 in: "
    "grad_weights = np.where(visible, grad_output @ value.mT, 0)  # <g_i, v_j>, (..., m, n)": (
        "what stands at hidden pairs meets a weight of 0 first, and is replaced after"
    ),
    "ref/attlas_ref/probabilistic/projective_tree_marginals.py _inside: 1 → 2 in: n = arcs.shape[-1]": (
        "the arcs are square"
    ),
    "ref/attlas_ref/monotonic/mocha_attention.py mocha_attention: 2 → 3 in: "
    "visible = np.ones(weights.shape[-2:], dtype=bool) if mask is None else mask": (
        "what is True everywhere may have a leading axis more"
    ),
}
