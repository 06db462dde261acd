r"""Guidance: away from what the worse model would do.

A diffusion model predicts twice, once as it is and once with its attention disturbed, and the sampler goes from the
second towards the first and beyond. Which disturbance is the difference between the methods: the identity
(`identity_attention`, PAG), blurred queries (`smoothed_energy_attention`, SEG), an input blurred where the model looks
(`sag_degrade`, SAG). The formula is the same,

$$\mathrm{out} = \mathrm{base} + s\,(\epsilon - \hat\epsilon),$$

with $\epsilon$ the prediction (`conditional`), $\hat\epsilon$ the disturbed one (`perturbed`) and s
(`perturbed_scale`). It adds to classifier-free guidance, if there is any: then the base is
$\epsilon_\varnothing + g\,(\epsilon - \epsilon_\varnothing)$, with $\epsilon_\varnothing$ the prediction without a
prompt (`unconditional`) and g (`guidance_scale`).

In terms of densities the sampler climbs $\log p + s\,(\log p - \log \hat p)$: where the disturbed model would not go.
"""

from ..contract import reference
from ..visibility import Reals


@reference
def attention_guidance(
    conditional: Reals,
    perturbed: Reals,
    *,
    unconditional: Reals | None = None,
    guidance_scale: float = 1.0,
    perturbed_scale: float,
) -> Reals:
    r"""Extrapolate from a perturbed prediction through the conditional one.

    $$\mathrm{out} = \mathrm{base} + s\,(\epsilon - \hat\epsilon), \qquad
      \mathrm{base} = \epsilon_\varnothing + g\,(\epsilon - \epsilon_\varnothing)$$

    and $\mathrm{base} = \epsilon$ without `unconditional`.

    Parameters
    ----------
    conditional : (..., c) real array
        $\epsilon$: noise, score or velocity, as the model predicts it. Any number of axes.
    perturbed : (..., c) real array
        $\hat\epsilon$, the prediction with disturbed attention.
    unconditional : (..., c) real array, optional
        $\epsilon_\varnothing$, the prediction without the condition.
    guidance_scale : float, default 1
        g; 1 makes `unconditional` irrelevant.
    perturbed_scale : float
        s; 0 leaves the base.

    Returns
    -------
    (..., c) array

    Raises
    ------
    ValueError
        If shapes disagree or a number is not finite.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: linear in the size, and in every argument.

    References
    ----------
    Ahn et al., "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance", 2024, arXiv 2403.17377.
    Hong, "Smoothed Energy Guidance", 2024, arXiv 2408.00760.
    Hong et al., "Improving Sample Quality of Diffusion Models Using Self-Attention Guidance", 2022, arXiv 2210.00939.

    Examples
    --------
    What the disturbance took away is given back threefold:

    >>> import numpy as np
    >>> attention_guidance(np.array([1.0, 2.0]), np.array([1.0, 1.5]), perturbed_scale=3.0)
    array([1. , 3.5])
    """
    base = conditional
    if unconditional is not None:
        base = unconditional + guidance_scale * (conditional - unconditional)
    return base + perturbed_scale * (conditional - perturbed)
