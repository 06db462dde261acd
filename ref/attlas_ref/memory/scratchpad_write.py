r"""Keeping notes: a decoder that writes on what it reads.

A decoder attends to the encoder's states at every step, but those never change: it cannot mark what it has said
already. With a scratchpad it can. After each step it forms one note u from its own state and from what it has just
read, and every source position decides by a gate how much of the note to take:

$$u = \tanh([s; c]\, W_u + b_u), \qquad a_t = \sigma(w_g \cdot [s; c; m_t] + b_g), \qquad
  m_t \leftarrow a_t\, m_t + (1 - a_t)\, u.$$

The next step reads the edited memory, by `additive_attention` in the paper. That the gate sees the row $m_t$ itself is
our reading; one public re-implementation has the context in its place.
"""

import numpy as np
from scipy.special import expit

from ..contract import reference
from ..visibility import Reals


@reference
def scratchpad_write(
    memory: Reals,
    state: Reals,
    context: Reals,
    *,
    w_gate: Reals,
    b_gate: float,
    w_update: Reals,
    b_update: Reals,
) -> Reals:
    r"""Move every row of a memory towards one note, each as far as its gate lets it.

    $$m_t' = a_t\, m_t + (1 - a_t)\, u, \qquad u = \tanh([s; c] W_u + b_u), \qquad
      a_t = \sigma(w_g \cdot [s; c; m_t] + b_g)$$

    Parameters
    ----------
    memory : (..., n, e) real array
        m, one row per source position: the encoder's outputs, or what earlier steps made of them.
    state : (..., s) real array
        s, the decoder's state after the step.
    context : (..., e) real array
        c, what its attention has read.
    w_gate : (s + 2e,) real array
        $w_g$, on state, context and row.
    b_gate : float
        $b_g$: large for a memory that stays as it is.
    w_update : (s + e, e) real array
        $W_u$.
    b_update : (e,) real array
        $b_u$.

    Returns
    -------
    (..., n, e) array
        The memory for the next step; each row lies between the old one and the note.

    Raises
    ------
    ValueError, TypeError
        If shapes disagree.

    Notes
    -----
    Cost: n e + e (s + e) multiplications. With $b_g$ far above 0 nothing is written, and it is plain attention over the
    encoder; far below 0 every row becomes the note.

    References
    ----------
    Benmalek, Khabsa, Desu, Cardie & Banko, "Keeping Notes: Conditional Natural Language Generation with a Scratchpad
    Mechanism", 2019, arXiv 1906.05275.

    Examples
    --------
    A gate that looks at the row: the second one is overwritten by the note, which is 0.

    >>> import numpy as np
    >>> memory = np.array([[1.0], [-1.0]])
    >>> gate, zeros = np.array([0.0, 0.0, 9.0]), np.zeros((2, 1))
    >>> scratchpad_write(memory, [0.0], [0.0], w_gate=gate, b_gate=0.0, w_update=zeros, b_update=[0.0]).round(3)
    array([[ 1.],
           [-0.]])
    """
    leading = np.broadcast_shapes(state.shape[:-1], context.shape[:-1])
    both = [np.broadcast_to(x, (*leading, x.shape[-1])) for x in (state, context)]
    step = np.concatenate(both, axis=-1)[..., None, :]  # [s; c], (..., 1, s + e)
    note = np.tanh(step @ w_update + b_update)  # u, (..., 1, e)
    split = step.shape[-1]
    gate = expit(step @ w_gate[:split, None] + memory @ w_gate[split:, None] + b_gate)  # a, (..., n, 1)
    return gate * memory + (1 - gate) * note
