r"""The perturbed branch of perturbed-attention guidance (PAG): attention that looks at itself alone.

Self-attention is where a diffusion model arranges a picture: each place asks the others. Replace the weights by the
identity and every place keeps its own value. What the model then paints has textures but no structure, and guidance
away from it (`attention_guidance`) brings the structure out.

So this function returns `value`. It takes queries and keys all the same, and checks them, because it stands in the
place of an attention. As a posterior it is the answer to a prior that is certain: each query is joined to its own key.
"""

import numpy as np

from ..contract import AttentionResult, reference
from ..visibility import Reals


@reference
def identity_attention(
    query: Reals, key: Reals, value: Reals, *, return_weights: bool = False
) -> Reals | AttentionResult:
    r"""Give each query the value at its own place.

    $$\mathrm{out}_i = v_i, \qquad w = I$$

    Parameters
    ----------
    query : (..., n, d) real array
        Looked at for its shape alone.
    key : (..., n, d) real array
        Looked at for its shape alone.
    value : (..., n, e) real array
        What is returned.
    return_weights : bool, default False
        Return the identity too.

    Returns
    -------
    output : (..., n, e) array
        A copy of `value`, with the leading axes of all arguments.
    weights : (..., n, n) array
        With `return_weights` only: the identity.

    Raises
    ------
    ValueError
        If shapes disagree, in the number of queries and keys too, or d is 0.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: n e numbers are copied.

    Neighbors: `structural_prior_attention` with the identity as prior; `softmax_attention` with `identity_mask`. It is
    combined by `attention_guidance`; `smoothed_energy_attention` perturbs less.

    References
    ----------
    Ahn et al., "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance", 2024, arXiv 2403.17377.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> identity_attention(rng.normal(size=(3, 2)), rng.normal(size=(3, 2)), np.array([[1.0], [2.0], [3.0]])).ravel()
    array([1., 2., 3.])
    """
    batch = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    output = np.array(np.broadcast_to(value, (*batch, *value.shape[-2:])))
    if not return_weights:
        return output
    n = query.shape[-2]
    batch = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
    return AttentionResult(output, np.array(np.broadcast_to(np.eye(n, dtype=query.dtype), (*batch, n, n))))
