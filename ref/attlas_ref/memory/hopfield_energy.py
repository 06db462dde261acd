r"""The energy of the modern Hopfield network: the landscape that retrieval walks down.

Each stored pattern digs a valley. Near a pattern the log-sum-exp is close to its largest term, and
$\tfrac12\xi^2 - \langle x_j, \xi\rangle$ is a bowl with its bottom at $\xi = x_j$; far from all of them the quadratic
term keeps the state from running away. The constants make the energy non-negative:

$$E(\xi) = -\tfrac1\beta \log \sum_{j=1}^n e^{\beta \langle x_j, \xi\rangle} + \tfrac12 \langle\xi, \xi\rangle
  + \tfrac1\beta \log n + \tfrac12 M^2, \qquad M = \max_j \|x_j\| .$$

The first and third terms are a pair. By duality the log-sum-exp is a maximum over the simplex, attained by the softmax,
$\log\sum_j e^{z_j} = \max_p p \cdot z + H_1(p)$, and $\log n$ is the largest entropy. With the entropies $H_\alpha$ of
`entmax` in place of Shannon's the same reads

$$E(\xi) = -\max_{p \in \Delta} \Bigl[p \cdot X\xi + \tfrac1\beta H_\alpha(p)\Bigr]
  + \tfrac1\beta \max_p H_\alpha(p) + \tfrac12 \langle\xi, \xi\rangle + \tfrac12 M^2 ,$$

and in both cases the slope is $\nabla E = \xi - X^\top p$: zero exactly where the update of `hopfield_attention` stands
still. Taking the best pattern alone, or all of them alike, for $p$ shows how high the energy can be:
$\tfrac12 (\|\xi\| - M)^2 \le E(\xi) \le \tfrac12 (\|\xi\| + M)^2$.

The entropies are written with $e^x - 1$, $p_j - p_j^\alpha = -p_j (e^{(\alpha - 1) \log p_j} - 1)$, which stays exact
as $\alpha$ goes to 1.
"""

import numpy as np

from ..contract import reference
from ..normalizers.entmax import entmax_weights
from ..visibility import Booleans, Reals, dot_scores, visible_pairs


@reference
def hopfield_energy(
    query: Reals, key: Reals, *, beta: float | None = None, alpha: float = 1.0, mask: Booleans | None = None
) -> Reals:
    r"""Energy of each state among the stored patterns.

    $$E_i = -\tfrac1\beta \log \sum_{j \in V(i)} e^{\beta \langle q_i, k_j\rangle} + \tfrac12 \langle q_i, q_i\rangle
      + \tfrac1\beta \log |V(i)| + \tfrac12 M_i^2, \qquad M_i = \max_{j \in V(i)} \|k_j\|$$

    for alpha 1, with V(i) the keys that query i may see; in general with the entropy of `entmax` in place of Shannon's.

    Parameters
    ----------
    query : (..., m, d) real array
        State patterns.
    key : (..., n, d) real array
        Stored patterns.
    beta : float, optional
        Inverse temperature, above 0; $1/\sqrt d$ if not given.
    alpha : float, default 1
        At least 1: 1 is the softmax.
    mask : (..., m, n) boolean array, optional
        True = the pattern counts for this state.

    Returns
    -------
    (..., m) array
        At least 0, in units of a squared length; infinity for a query that sees no key.

    Raises
    ------
    ValueError
        If shapes disagree, d is 0, `beta` is not above 0 or `alpha` is below 1.
    TypeError
        If an array is complex, an object or text, or `mask` is not boolean.

    Notes
    -----
    Cost: m n d multiplications; an engine streams over the keys and holds O(m).

    Its gradient with respect to the query is q - w k, with w the weights of `hopfield_attention`; a step of that never
    raises it. With alpha 1 it is `attention_energy` (scale 1, temperature 1/beta) plus the other three terms.

    References
    ----------
    Ramsauer et al., "Hopfield Networks is All You Need", 2020, arXiv 2008.02217, eq. (3) and Lemma A1.

    Examples
    --------
    A state between two patterns lies on a ridge if beta is large, and in a common valley if it is small:

    >>> import numpy as np
    >>> patterns = np.array([[1.0, 0.0], [-1.0, 0.0]])
    >>> path = np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    >>> hopfield_energy(path, patterns, beta=8.0).round(2)
    array([0.09, 0.5 , 0.09])
    >>> hopfield_energy(path, patterns, beta=0.5).round(2)
    array([0.76, 0.5 , 0.76])
    """
    beta = 1 / float(np.sqrt(query.shape[-1])) if beta is None else beta
    visible = visible_pairs(query, key, mask, causal=False)
    scores = np.where(visible, dot_scores(query, key, beta, None), 0)  # (..., m, n)
    visible = np.broadcast_to(visible, scores.shape)
    p = entmax_weights(scores, visible, alpha)

    count = visible.sum(axis=-1)  # |V(i)|, (..., m)
    log_count = np.log(np.maximum(count, 1)).astype(scores.real.dtype)
    attained = (p * scores).sum(axis=-1) + tsallis_entropy(p, alpha)  # max_p p·z + H(p)
    square = (key**2).sum(axis=-1)[..., None, :]  # (..., 1, n)
    longest = np.where(visible, square, 0).max(axis=-1, initial=0)  # M²
    energy = (uniform_entropy(log_count, alpha) - attained) / beta + ((query**2).sum(axis=-1) + longest) / 2
    return np.where(count == 0, np.inf, energy)


def tsallis_entropy(p: Reals, alpha: float) -> Reals:
    """Return the entropy of each row of probabilities, Shannon's for alpha 1."""
    log_p = np.log(np.where(p == 0, 1, p))
    return (p * _minus_log(log_p, alpha)).sum(axis=-1)


def uniform_entropy(log_count: Reals, alpha: float) -> Reals:
    """Return the entropy of the uniform distribution: the largest there is over so many keys."""
    return _minus_log(-log_count, alpha)


def _minus_log(log_p: Reals, alpha: float) -> Reals:
    r"""Return $(1 - p^{\alpha - 1}) / (\alpha (\alpha - 1))$, which becomes $-\log p$ at alpha 1."""
    return -log_p if alpha == 1 else -np.expm1((alpha - 1) * log_p) / (alpha * (alpha - 1))
