r"""Training many heads to be quick, together.

A multihead monotonic model may write a word only when its slowest head has found its place. Each head has its own
expected delays (`expected_delay`) and so its own latency; a loss has to make one number of them that gradients can push
down. There are four ways to gather $H$ heads with latencies $L_h$:

- the mean, $\frac1H \sum_h L_h$: the slowest head is one of many;
- the largest, $\max_h L_h$: what counts in use, but only one head learns;
- the weighted mean, $\sum_h p_h L_h$ with $p = \mathrm{softmax}(L)$: between the two, as fairseq has it;
- the paper's: the same softmax, but word by word. The delays of word i are gathered first,
  $g_i = \sum_h \mathrm{softmax}_h(g_i^h)\, g_i^h$, and the row of gathered delays has one latency.

A softmax puts more weight on larger numbers, so mean <= weighted mean <= largest; if all heads agree all four are
equal.

The second loss, **variance**, keeps heads together: a head that has run ahead has to wait for the others anyway, and
outliers make a model slow. `latency_variance` is the variance of the heads' delays, averaged over the words.
"""

import numpy as np

from ..contract import formula, reference
from ..log_space import shares
from ..visibility import Reals
from .average_lagging import average_lagging, average_proportion
from .differentiable_average_lagging import differentiable_average_lagging
from .expected_delay import expected_delay

METRICS = {
    "dal": differentiable_average_lagging,
    "al": average_lagging,
    "ap": average_proportion,
}


@reference
def latency_loss(
    alignment: Reals,
    *,
    source_length: Reals,
    metric: str = "dal",
    gather: str = "weighted_average",
    weight: float = 1.0,
) -> Reals:
    r"""Latency of several heads as one number.

    $$\mathrm{loss} = \lambda \sum_h p_h\, C(g^h), \qquad p = \mathrm{softmax}_h\, C(g^h), \qquad
      g^h_i = \sum_j (j + 1)\, \alpha^h_{ij}$$

    Parameters
    ----------
    alignment : (..., h, m, n) real array
        $\alpha^h_{ij}$, of each head.
    source_length : number or (...) real array
        X, above 0.
    metric : {"dal", "al", "ap"}, default "dal"
        C: `differentiable_average_lagging`, `average_lagging` or `average_proportion`.
    gather : {"weighted_average", "average", "max", "paper"}, default "weighted_average"
        How the heads are made one: by the softmax of their latencies, as above; with equal weights; the largest alone;
        or by the softmax of their delays, word by word, before the metric.
    weight : float, default 1
        $\lambda$, at least 0.

    Returns
    -------
    loss : (...) array
        In source positions (for "ap" a share), times the weight.

    Raises
    ------
    ValueError
        If `metric` or `gather` is unknown, a length is not above 0, or there are no heads or no words.
    TypeError
        If the array is not real.

    Notes
    -----
    Cost: h m n multiplications. Gradients flow through the metric; of "al" only where no word changes its place about
    the end of the source. `latency_variance` is the companion that keeps heads together.

    References
    ----------
    Ma, Pino, Cross, Puzon & Gu, "Monotonic Multihead Attention", 2019, arXiv 1909.12406, section 2.3; fairseq.

    Examples
    --------
    One head writes at once, one waits for all. The mean forgives, the largest does not, and the softmax is nearer to
    the largest:

    >>> import numpy as np
    >>> heads = np.stack([np.eye(4), np.eye(4)[[3, 3, 3, 3]]])
    >>> for gather in ("average", "weighted_average", "paper", "max"):
    ...     print(gather, float(latency_loss(heads, source_length=4, gather=gather).round(2)))
    average 2.5
    weighted_average 3.86
    paper 3.86
    max 4.0
    """
    delays = formula(expected_delay)(alignment)  # (..., h, m)
    latency, source = formula(METRICS[metric]), np.asarray(source_length)
    if gather == "paper":
        together = (shares(delays, axis=-2) * delays).sum(axis=-2)  # (..., m)
        return weight * latency(together, source_length=source)
    each = latency(delays, source_length=source[..., None])  # (..., h)
    if gather == "max":
        return weight * each.max(axis=-1)
    if gather == "average":
        return weight * each.mean(axis=-1)
    return weight * (shares(each) * each).sum(axis=-1)


@reference
def latency_variance(alignment: Reals, *, ddof: int = 1) -> Reals:
    r"""Spread of the heads' delays, averaged over the words.

    $$\frac1m \sum_i \frac{1}{H - \mathrm{ddof}} \sum_h \bigl(g^h_i - \bar g_i\bigr)^2, \qquad
      g^h_i = \sum_j (j + 1)\, \alpha^h_{ij}, \qquad \bar g_i = \frac1H \sum_h g^h_i$$

    Parameters
    ----------
    alignment : (..., h, m, n) real array
        $\alpha^h_{ij}$, of each head.
    ddof : {1, 0}, default 1
        What is taken off the number of heads: 1 as in fairseq (unbiased), 0 as in the paper.

    Returns
    -------
    variance : (...) array
        In source positions squared; 0 for one head.

    Raises
    ------
    ValueError
        If `ddof` is neither 0 nor 1, or there are no heads or no words.
    TypeError
        If the array is not real.

    Notes
    -----
    Cost: h m n multiplications. The order of the heads does not matter. `latency_loss` pushes all heads, this one
    pulls them together.

    References
    ----------
    Ma, Pino, Cross, Puzon & Gu, "Monotonic Multihead Attention", 2019, arXiv 1909.12406, eq. (12); fairseq.

    Examples
    --------
    Two heads that are two positions apart at every word:

    >>> import numpy as np
    >>> latency_variance(np.stack([np.eye(4)[[0, 1]], np.eye(4)[[2, 3]]]), ddof=0)
    array(1.)
    """
    delays = formula(expected_delay)(alignment)  # (..., h, m)
    heads = delays.shape[-2]
    apart = delays - delays.mean(axis=-2, keepdims=True)
    # One head is its own mean: whatever the divisor, it has no spread.
    variance = (apart**2).sum(axis=-2) / max(heads - ddof, 1)  # (..., m)
    return variance.mean(axis=-1)
