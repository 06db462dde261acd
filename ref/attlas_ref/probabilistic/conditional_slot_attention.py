r"""Conditional slot attention: the same refinement for many draws of the slots.

Slot attention starts all slots from one Gaussian. In CoSA each slot starts from the Gaussian of a *kind* of object,
chosen from a dictionary by what is seen (`spectral_slot_count`, `slot_dictionary_lookup`). What the dictionary gives is
a distribution, so the slots are drawn M times, and all draws compete for the same keys and values; the draws do not
know of each other.

The steps are those of `slot_attention`. Two things differ in the released code: keys and values come projected, and the
residual network ends in a ReLU too (`mlp_output_relu`), so that a slot can only grow by it. In its "implicit" training
one more step is made with the gradient of its input stopped; in the forward direction that is `steps + 1` here.
"""

from ..contract import reference
from ..visibility import Reals
from .slot_attention import refined_slots


@reference
def conditional_slot_attention(
    key: Reals,
    value: Reals,
    slots: Reals,
    *,
    w_query: Reals,
    b_query: Reals,
    gru_w_input: Reals,
    gru_w_hidden: Reals,
    gru_b_input: Reals,
    gru_b_hidden: Reals,
    mlp_w1: Reals,
    mlp_b1: Reals,
    mlp_w2: Reals,
    mlp_b2: Reals,
    norm_slots_gain: Reals,
    norm_slots_bias: Reals,
    norm_mlp_gain: Reals,
    norm_mlp_bias: Reals,
    steps: int = 3,
    eps: float = 1e-8,
    mlp_output_relu: bool = True,
) -> Reals:
    r"""Refine M draws of the slots over the same keys and values.

    $$u = \mathrm{compete}(\mathrm{LN}(s) W_q + b_q,\ K,\ V), \qquad s' = \mathrm{GRU}(u, s), \qquad
      s \leftarrow s' + \mathrm{ReLU}(\mathrm{MLP}(\mathrm{LN}(s')))$$

    `steps` times, for each draw.

    Parameters
    ----------
    key : (..., n, d) real array
        K: one row per input.
    value : (..., n, d) real array
        V: one row per input.
    slots : (..., M, k, d) real array
        M draws of k slots.
    w_query, b_query : (d, d) and (d,) real arrays
        Makes queries of slots.
    gru_w_input, gru_w_hidden : (d, 3d) real arrays
        Weights of the recurrent unit, its gates r, z, n side by side.
    gru_b_input, gru_b_hidden : (3d,) real arrays
        Its biases.
    mlp_w1, mlp_b1, mlp_w2, mlp_b2 : (d, f), (f,), (f, d) and (d,) real arrays
        The residual network.
    norm_slots_gain, norm_slots_bias : (d,) real arrays
        Of the layer norm before the queries.
    norm_mlp_gain, norm_mlp_bias : (d,) real arrays
        Of the layer norm before the network.
    steps : int, default 3
        At least 0.
    eps : float, default 1e-8
        At least 0: see `competitive_attention`.
    mlp_output_relu : bool, default True
        Whether the network ends in a ReLU, as in the released code.

    Returns
    -------
    (..., M, k, d) array
        The slots after the last step.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, or `steps` or `eps` is negative.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: M steps (2 k n d + 7 k d² + 2 k d f).

    With one draw and `mlp_output_relu=False` it is the loop of `slot_attention`.

    References
    ----------
    Kori, Locatello, De Sousa Ribeiro, Toni & Glocker, "Grounded Object Centric Learning", 2023, arXiv 2307.09437.

    Examples
    --------
    Three draws of two slots; without a step they are what they were:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> shapes = {"w_query": (2, 2), "b_query": 2, "gru_w_input": (2, 6), "gru_w_hidden": (2, 6), "gru_b_input": 6}
    >>> shapes |= {"gru_b_hidden": 6, "mlp_w1": (2, 4), "mlp_b1": 4, "mlp_w2": (4, 2), "mlp_b2": 2}
    >>> shapes |= {f"norm_{at}_{kind}": 2 for at in ("slots", "mlp") for kind in ("gain", "bias")}
    >>> weights = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    >>> key, value, slots = rng.normal(size=(5, 2)), rng.normal(size=(5, 2)), rng.normal(size=(3, 2, 2))
    >>> bool((conditional_slot_attention(key, value, slots, **weights, steps=0) == slots).all())
    True

    The draws do not know of each other:

    >>> first = conditional_slot_attention(key, value, slots[:1], **weights)
    >>> bool(np.allclose(conditional_slot_attention(key, value, slots, **weights)[:1], first))
    True
    """
    return refined_slots(  # type: ignore[return-value]
        key[..., None, :, :],
        value[..., None, :, :],
        slots,
        norm_slots=(norm_slots_gain, norm_slots_bias),
        query_map=(w_query, b_query),
        gru=(gru_w_input, gru_w_hidden, gru_b_input, gru_b_hidden),
        norm_mlp=(norm_mlp_gain, norm_mlp_bias),
        mlp=(mlp_w1, mlp_b1, mlp_w2, mlp_b2),
        steps=steps,
        eps=eps,
        rectified=mlp_output_relu,
    )
