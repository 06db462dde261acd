r"""Sequential attention: weigh the features that are not chosen yet.

Which k of d features does a model need? Sequential Attention chooses them one at a time while the model trains. Every
feature has a logit. Features that have been chosen are used as they are, the others compete: each is multiplied by its
share of a softmax over those that are left. After some epochs the one with the largest share is chosen, and the rest go
on. So the softmax is an estimate of what each feature would add to those that are there already.

With the logits l (`logits`) and the chosen set S (`selected`) the factors are

$$w_i = 1 \quad (i \in S), \qquad w_i = \frac{e^{l_i}}{\sum_{i' \notin S} e^{l_{i'}}} \quad (i \notin S) .$$

For linear models this training can be written down, with another normalization than the softmax, and it turns out to be
an old algorithm: `orthogonal_matching_pursuit`.
"""

import numpy as np

from ..contract import reference
from ..dotproduct.softmax_attention import softmax_weights
from ..visibility import Booleans, Reals


@reference
def sequential_attention_weights(logits: Reals, selected: Booleans) -> Reals:
    r"""Return 1 for selected features, and a softmax over all others.

    $$w_i = [i \in S] + [i \notin S]\, \frac{e^{l_i}}{\sum_{i' \notin S} e^{l_{i'}}}$$

    Parameters
    ----------
    logits : (..., d) real array
        One per feature; those of selected features do not matter.
    selected : (..., d) boolean array
        S.

    Returns
    -------
    (..., d) array
        Factors of the features, from 0 to 1; they sum to |S| + 1, or to d where all are selected.

    Raises
    ------
    ValueError
        If shapes disagree.
    TypeError
        If `logits` is complex, an object or text, or `selected` is not boolean.

    Notes
    -----
    Cost: O(d). Gradients: those of the softmax over what is not selected, 0 for the rest.

    References
    ----------
    Yasuda, Bateni, Chen, Fahrbach, Fu & Mirrokni, "Sequential Attention for Feature Selection", 2022, arXiv 2209.14881.

    Examples
    --------
    The third feature is chosen; the others share 1:

    >>> import numpy as np
    >>> sequential_attention_weights(np.log([1.0, 2.0, 9.0, 5.0]), np.array([False, False, True, False]))
    array([0.125, 0.25 , 1.   , 0.625])
    """
    return np.where(selected, 1, softmax_weights(logits, ~selected))
