r"""How far one Dirichlet distribution over alignments is from another.

A variational model of relaxed alignments (`dirichlet_attention`) has a prior over the weights, seen before the output,
and a posterior, seen after it. The price for using the posterior is its divergence from the prior. For two Dirichlet
distributions with the concentrations a and b it has a closed form, since the expectation of $\log w_j$ under the first
is $\psi(a_j) - \psi(a_0)$, with $\psi = (\log \Gamma)'$, $a_0 = \sum_j a_j$ and $b_0 = \sum_j b_j$.

**What to watch for.** For large concentrations the terms are large and nearly cancel: of a total of $10^6$ the result
keeps about 9 of 16 digits.
"""

from scipy.special import gammaln, psi

from ..contract import reference
from ..visibility import Reals


@reference
def dirichlet_kl(concentration: Reals, prior_concentration: Reals) -> Reals:
    r"""Kullback-Leibler divergence of a Dirichlet distribution from another.

    $$\mathrm{KL} = \log \Gamma(a_0) - \sum_j \log \Gamma(a_j) - \log \Gamma(b_0) + \sum_j \log \Gamma(b_j) +
      \sum_j (a_j - b_j)(\psi(a_j) - \psi(a_0))$$

    Parameters
    ----------
    concentration : (..., n) real array
        a, above 0: the distribution under which the expectation is taken.
    prior_concentration : (..., n) real array
        b, above 0.

    Returns
    -------
    (...) array
        In nats: 0 iff a = b, else above 0; 0 for n up to 1.

    Raises
    ------
    ValueError
        If shapes disagree or a concentration is not above 0.
    TypeError
        If an array is complex, an object or text.

    Notes
    -----
    Cost: O(n) evaluations of $\log \Gamma$ and $\psi$.

    Gradients: $\partial_{a_j} = (a_j - b_j)\,\psi'(a_j) - \psi'(a_0) \sum_i (a_i - b_i)$ and $\partial_{b_j} =
    \psi(b_j) - \psi(b_0) - \psi(a_j) + \psi(a_0)$.

    References
    ----------
    Deng, Kim, Chiu, Guo & Rush, "Latent Alignment and Variational Attention", 2018, arXiv 1807.03756.

    Examples
    --------
    The divergence from the even distribution grows as the posterior becomes surer, also where its mean is even:

    >>> import numpy as np
    >>> for posterior in ([1, 1, 1], [5, 5, 5], [13, 1, 1]):
    ...     print(posterior, float(dirichlet_kl(np.array(posterior), np.ones(3)).round(2)))
    [1, 1, 1] 0.0
    [5, 5, 5] 0.95
    [13, 1, 1] 2.73
    """
    a, b = concentration, prior_concentration
    if a.shape[-1] == 0:
        return (a - b).sum(axis=-1)  # there is one distribution over nothing
    a0, b0 = a.sum(axis=-1), b.sum(axis=-1)
    normalizers = gammaln(a0) - gammaln(a).sum(axis=-1) - gammaln(b0) + gammaln(b).sum(axis=-1)
    return normalizers + ((a - b) * (psi(a) - psi(a0)[..., None])).sum(axis=-1)
