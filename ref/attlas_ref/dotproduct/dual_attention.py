r"""Dual attention: sensory heads beside relational heads.

A transformer layer needs both what things are and how they are related. Some heads are ordinary (they read values),
the others relational (they read relations and symbols); their outputs stand side by side.
"""

from typing import Any

import numpy as np

from ..contract import formula, reference
from ..visibility import Booleans, Reals
from .relational_attention import relational_attention
from .softmax_attention import softmax_attention


@reference
def dual_attention(
    query: Reals,
    key: Reals,
    value: Reals,
    relational_query: Reals,
    relational_key: Reals,
    relation_query: Reals,
    relation_key: Reals,
    symbols: Reals,
    *,
    relation_weight: Reals,
    activation: str = "identity",
    relation_scale: float | None = None,
    scale: float | None = None,
    mask: Booleans | None = None,
    causal: bool = False,
) -> Reals:
    r"""Concatenate the outputs of softmax heads and of relational heads.

    $$\mathrm{out}_i = [\,\mathrm{sensory}^1_i; \dots; \mathrm{relational}^1_i; \dots\,]$$

    Parameters
    ----------
    query : (..., hs, m, d) real array
        Queries of hs sensory heads.
    key : (..., hs, n, d) real array
        Their keys.
    value : (..., hs, n, e) real array
        Their values.
    relational_query : (..., h, m, c) real array
        Queries of h relational heads.
    relational_key : (..., h, n, c) real array
        Their keys.
    relation_query : (..., r, m, p) real array
        As in `relational_attention`.
    relation_key : (..., r, n, p) real array
        As in `relational_attention`.
    symbols : (..., h, n, e) real array
        As in `relational_attention`.
    relation_weight : (h, r, e) real array
        As in `relational_attention`.
    activation : {"identity", "relu", "tanh", "sigmoid", "softmax"}, default "identity"
        Of the relations.
    relation_scale : float, optional
        Factor of the relations' dot products; $1/\sqrt p$ if not given.
    scale : float, optional
        Factor of the dot products of both kinds of heads; one over the root of each one's own width if not given.
    mask : (..., m, n) boolean array, optional
        True = may attend. A head axis must fit both kinds of heads: 1, or none.
    causal : bool, default False
        Let query i see key j iff j <= i + n - m.

    Returns
    -------
    (..., m, hs e + h e) array
        Head by head, the sensory ones first.

    Raises
    ------
    ValueError, TypeError
        As `softmax_attention` and `relational_attention`.

    Notes
    -----
    Cost: the sum of both.

    References
    ----------
    Altabaa & Lafferty, "Disentangling and Integrating Relational and Sensory Information in Transformer
    Architectures", 2024, arXiv 2405.16727, Algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.ones((1, 1, 2))
    >>> dual_attention(
    ...     one, one, np.array([[[7.0]]]), one, one, one, one, np.array([[[5.0]]]), relation_weight=np.zeros((1, 1, 1))
    ... )
    array([[7., 5.]])
    """
    sensory: Any = formula(softmax_attention)(
        query, key, value, scale=scale, mask=mask, causal=causal
    )  # (..., hs, m, e)
    relational: Any = formula(relational_attention)(
        relational_query,
        relational_key,
        relation_query,
        relation_key,
        symbols,
        relation_weight=relation_weight,
        activation=activation,
        relation_scale=relation_scale,
        scale=scale,
        mask=mask,
        causal=causal,
    )  # (..., h, m, e)
    both = _side_by_side(sensory), _side_by_side(relational)
    rows = np.broadcast_shapes(both[0].shape[:-1], both[1].shape[:-1])
    return np.concatenate([np.broadcast_to(heads, (*rows, heads.shape[-1])) for heads in both], axis=-1)


def _side_by_side(heads: Reals) -> Reals:
    """Return (..., h, m, e) as (..., m, h e): head 0's features first."""
    moved = np.moveaxis(heads, -3, -2)  # (..., m, h, e)
    return moved.reshape(*moved.shape[:-2], moved.shape[-2] * moved.shape[-1])
