r"""Attention by structured factorization: some keys are read directly, the rest in groups.

Attention is an expectation, $\mathrm{out}_i = E_{p(j \mid i)}[v_j]$, and what makes it quadratic is that every query
meets every key. Combiner keeps the full support but factors the probability: query i meets some keys directly, the set
$\Omega^0_i$, and the others through groups $\Omega^r$, which it meets once each,

$$p(j \mid i) = \frac{e^{s_{ij}}}{Z_i}\ (j \in \Omega^0_i), \qquad
  p(j \mid i) = \sum_{r:\, j \in \Omega^r} p(\Omega^r \mid i)\, p(j \mid \Omega^r), \qquad
  p(\Omega^r \mid i) = \frac{e^{\mathrm{scale}\, \langle q_i, k_{\Omega^r}\rangle}}{Z_i}.$$

Within a group the share $p(j \mid \Omega) = \mathrm{softmax}_{j \in \Omega}(\mathrm{scale}\, \langle q_\Omega, k_j
\rangle)$ is the same for all queries: that is the approximation, and the saving. A group is represented by the largest
entries of its queries and keys, channel by channel (`summary="max"`), or by their means. $Z_i$ adds up direct keys and
groups, so a group counts once, not once per member.
"""

from collections.abc import Sequence

import numpy as np

from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals


def factorized_weights(
    query: Reals,
    key: Reals,
    direct: Booleans,
    groups: Sequence[tuple[Reals, Booleans]],
    summary: str,
    scale: float | None,
) -> tuple[Reals, Booleans]:
    """Return the weights (..., n, n) that a factorization implies, and which query reaches which key (n, n).

    `direct` (n, n) says who meets whom, `groups` names the members of each group and which queries (n,) meet it.
    """
    n = query.shape[-2]
    factor = 1 / float(np.sqrt(query.shape[-1])) if scale is None else scale
    represent = np.max if summary == "max" else np.mean
    inner, met = [], []
    for members, _ in groups:
        queries, keys = (np.take(x, members, axis=-2) for x in (query, key))  # (..., members, d)
        group_query, group_key = (represent(x, axis=-2) for x in (queries, keys))  # (..., d)
        shares = factor * (keys @ group_query[..., None])[..., 0]
        inner.append(softmax_weights(shares, np.ones(1, dtype=bool)))  # p(j | group), (..., members)
        met.append(factor * (query @ group_key[..., None]))  # (..., n, 1)
    terms = np.concatenate([factor * (query @ key.mT), *met], axis=-1)  # (..., n, n + groups)
    reaches = np.stack([reach for _, reach in groups], axis=-1) if groups else np.zeros((n, 0), dtype=bool)
    outer = softmax_weights(terms, np.concatenate([direct, reaches], axis=-1))

    weights, seen = np.where(direct, outer[..., :n], 0), direct.copy()
    for index, ((members, reach), shares) in enumerate(zip(groups, inner, strict=True)):
        # Selected, not multiplied by 0: what a group holds is not felt by queries that do not meet it.
        part = np.where(reach[:, None], outer[..., n + index, None] * shares[..., None, :], 0)
        weights[..., members] = weights[..., members] + part
        seen[np.ix_(reach, members)] = True
    return weights, seen
