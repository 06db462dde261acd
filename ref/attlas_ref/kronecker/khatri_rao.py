r"""The Khatri-Rao product: one row for each tuple of rows.

To attend to pairs of tokens a query needs a key for every pair. The simplest one is the elementwise product of the two
tokens' keys. All of them, one below the other, are the Khatri-Rao product of the two key matrices, the operation
$\oslash$ of Alman and Song: $K_1 \oslash K_2$ has $n_1 n_2$ rows, and row $(j_1, j_2)$ is $K_1[j_1] \odot K_2[j_2]$.

**Why it helps.** A dot product with such a row is a product of three,

$$\langle q,\ k_1 \odot k_2 \rangle = \sum_c q_c\, k_{1c}\, k_{2c} = \langle q \odot k_1,\ k_2 \rangle,$$

so scores with all pairs are matrix products again, and whatever is known of softmax attention holds for pairs.

**Conventions.** Rows are in row-major order: the last index runs fastest. SciPy's `scipy.linalg.khatri_rao` is the same
for two matrices; it calls it a Kronecker product column by column, which comes to products of rows. The full Kronecker
product, which multiplies every channel of one with every channel of the other, is larger by a factor d and is not meant
here.
"""

import math

import numpy as np

from ..contract import formula, reference
from ..dotproduct.softmax_attention_vjp import sum_to_shape
from ..visibility import Booleans, Reals


@reference
def khatri_rao(arrays: tuple[Reals, ...]) -> Reals:
    r"""Row-wise product of all tuples of rows.

    $$\mathrm{out}[(j_1, \dots, j_p)] = \mathrm{arrays}_1[j_1] \odot \dots \odot \mathrm{arrays}_p[j_p]$$

    Parameters
    ----------
    arrays : tuple of p (..., n_r, d) real arrays
        At least one; all of the same width d, each with its own number of rows.

    Returns
    -------
    (..., n_1 ⋯ n_p, d) array
        In row-major order: the row of $(j_1, \dots, j_p)$ before that of $(j_1, \dots, j_p + 1)$.

    Raises
    ------
    ValueError
        If the tuple is empty or widths differ.
    TypeError
        If `arrays` is not a tuple, or an array is complex, an object or text.

    Notes
    -----
    Cost: the size of the output, (p − 1) d n_1 ⋯ n_p multiplications at most.

    With one array it is the identity. It is associative, so a product of many is a product of products, and
    `tensor_attention` is `softmax_attention` to the products of keys and values.

    References
    ----------
    Khatri & Rao, "Solutions to Some Functional Equations and Their Applications to Characterization of Probability
    Distributions", 1968.
    Alman & Song, "How to Capture Higher-order Correlations? Generalizing Matrix Softmax Attention to Kronecker
    Computation", 2023, arXiv 2310.04064.

    Examples
    --------
    Each row of the first with each row of the second:

    >>> import numpy as np
    >>> khatri_rao((np.array([[1.0, 10.0], [2.0, 20.0]]), np.array([[3.0, 3.0], [0.0, 1.0], [1.0, 0.5]])))
    array([[ 3., 30.],
           [ 0., 10.],
           [ 1.,  5.],
           [ 6., 60.],
           [ 0., 20.],
           [ 2., 10.]])
    """
    rows, *others = arrays
    for other in others:
        pairs = rows[..., :, None, :] * other[..., None, :, :]  # (..., rows so far, n_r, d)
        rows = pairs.reshape(*pairs.shape[:-3], math.prod(pairs.shape[-3:-1]), pairs.shape[-1])
    return np.array(rows)


def khatri_rao_grads(arrays: tuple[Reals, ...], grad_rows: Reals, visible: Booleans) -> tuple[Reals, ...]:
    r"""Return the gradients of the arrays from that of their product, by the product rule.

    $$d\,\mathrm{arrays}_r[j] = \sum_{J:\, j_r = j} d\,\mathrm{rows}[J] \odot
      \prod_{s \ne r} \mathrm{arrays}_s[j_s]$$

    The result keeps leading axes that an array was broadcast along. `visible` (..., m, n_1 ⋯ n_p) says which query sees
    which row: those that nobody sees give exactly 0, whatever stands in their factors.

    Examples
    --------
    >>> two, rows = (np.array([[2.0]]), np.array([[3.0], [5.0]])), np.ones((2, 1))
    >>> [grad.tolist() for grad in khatri_rao_grads(two, rows, np.array([[True, True]]))]
    [[[8.0]], [[2.0], [2.0]]]
    """
    sizes, used = tuple(array.shape[-2] for array in arrays), seen_by_anybody(visible, grad_rows)
    grads = []
    for r, array in enumerate(arrays):
        others = (*arrays[:r], np.ones_like(array), *arrays[r + 1 :])
        terms = np.where(used, grad_rows * formula(khatri_rao)(others), 0)  # (..., n_1 ... n_p, d)
        cube = terms.reshape(*terms.shape[:-2], *sizes, terms.shape[-1])
        axes = tuple(axis - 1 - len(sizes) for axis in range(len(sizes)) if axis != r)
        grads.append(cube.sum(axis=axes))  # (..., n_r, d)
    return tuple(grads)


def seen_by_anybody(visible: Booleans, rows: Reals) -> Booleans:
    """Return which rows some query sees, (..., n, 1), at any of the leading axes that share the rows.

    >>> two_heads = np.array([[[True, False]], [[False, False]]])
    >>> seen_by_anybody(two_heads, np.ones((2, 3))).ravel().tolist()
    [True, False]
    """
    return sum_to_shape(np.asarray(visible.any(axis=-2))[..., None], (*rows.shape[:-1], 1)) > 0
