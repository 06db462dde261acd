r"""How many objects are there? Count the directions that the features fill.

If a picture shows r things, and the features of each point their own way, then the cosines of all pairs of features
form r blocks of ones. Such a matrix has r eigenvalues that are not zero, and each is the number of features of its
thing. Real features are not so tidy, but eigenvalues move little when the matrix does; so CoSA rounds them, and counts
how many are left:

$$\hat F = F / |F|, \qquad M = \hat F \hat F^\top = V \Lambda V^\top, \qquad
  \mathrm{count} = \#\{k : \mathrm{round}(\lambda_k) > 0\}.$$

Their sum is n, since the diagonal of M is ones: the spectrum shares the features out among directions. For a batch the
largest count is taken, and 3 at least.

Each leading eigenvector mixes the features of one thing into one vector, $o_k = \sum_t V_{tk} f_t$, its properties,
with which `slot_dictionary_lookup` finds out what kind of thing it is. An eigenvector has no sign of its own; here its
entry of largest magnitude is made positive. (The released code fixes a sign for every feature instead of every vector,
so its objects depend on the sign that LAPACK happens to return.) Where the eigenvalue is 0 up to rounding the direction
is arbitrary, and its properties are zeros; where two eigenvalues are equal, any turn of the two vectors would do as
well, and the properties are not to be relied on.
"""

import numpy as np

from ..contract import DictionaryResult, SpectrumPropertiesResult, SpectrumResult, reference
from ..visibility import Reals

LEAST = 3
"""The fewest slots that a batch gets."""


@reference
def spectral_slot_count(
    features: Reals, *, return_properties: bool = False
) -> SpectrumResult | SpectrumPropertiesResult:
    r"""Count the slots that a set of features calls for, by the spectrum of its cosines.

    $$\lambda = \mathrm{eig}(\hat F \hat F^\top), \qquad \mathrm{count} = \#\{k : \mathrm{round}(\lambda_k) > 0\}$$

    Parameters
    ----------
    features : (..., n, d) real array
        F: one row per feature vector. A row of zeros has no direction and counts for nothing.
    return_properties : bool, default False
        Return a vector for each leading direction too.

    Returns
    -------
    eigenvalues : (..., n) array
        In descending order, at least 0; their sum is the number of rows that are not zero.
    rounded : (..., n) array
        The eigenvalues as whole numbers, halves to the even one.
    count : (...) integer array
        How many of them are above 0.
    batch_count : integer
        The largest count over the leading axes, or 3 if that is more.
    properties : (..., batch_count, d) array
        With `return_properties` only: $o_k$; zeros beyond n and where an eigenvalue is 0 up to rounding.

    Raises
    ------
    ValueError, TypeError
        If `features` has fewer than two axes, d is 0, or it is complex, an object or text.

    Notes
    -----
    Cost: n² d multiplications and an eigendecomposition, O(n³). A NaN makes the spectrum of its set NaN and its count
    0.

    References
    ----------
    Kori, Locatello, De Sousa Ribeiro, Toni & Glocker, "Grounded Object Centric Learning", 2023, arXiv 2307.09437.

    Examples
    --------
    Three features of one thing and two of another, of all lengths:

    >>> import numpy as np
    >>> features = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 5.0], [0.0, 1.0], [9.0, 0.0]])
    >>> result = spectral_slot_count(features)
    >>> result.rounded, int(result.count)
    (array([3., 2., 0., 0., 0.]), 2)
    """
    lengths = np.sqrt((features**2).sum(axis=-1, keepdims=True))
    directions = features / np.where(lengths == 0, 1, lengths)  # (..., n, d)
    cosines = directions @ directions.mT  # M, (..., n, n)
    sound = np.asarray(np.isfinite(cosines).all(axis=(-2, -1), keepdims=True))
    values, vectors = np.linalg.eigh(np.where(sound, cosines, 0))  # ascending
    values = np.where(sound[..., 0], np.maximum(values[..., ::-1], 0), np.nan)  # (..., n)
    rounded = np.round(values)
    count = (rounded > 0).sum(axis=-1)
    batch_count = np.asarray(max(LEAST, int(count.max(initial=0))))
    if not return_properties:
        return SpectrumResult(values, rounded, count, batch_count)

    n = features.shape[-2]
    leading = min(int(batch_count), n)
    vectors = np.where(sound, vectors[..., ::-1], np.nan)[..., :leading]  # (..., n, leading)
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=-2)[..., None, :], axis=-2) if n else vectors
    vectors = np.where(largest < 0, -vectors, vectors)
    felt = ~(values[..., :leading] <= n * np.finfo(values.dtype).eps * max(n, 1))
    found = np.where(felt[..., None], vectors.mT @ features, 0)  # (..., leading, d)
    rest = np.zeros((*found.shape[:-2], int(batch_count) - leading, found.shape[-1]), dtype=found.dtype)
    return SpectrumPropertiesResult(values, rounded, count, batch_count, np.concatenate([found, rest], axis=-2))


@reference
def slot_dictionary_lookup(
    properties: Reals, codebook: Reals, prior_mean: Reals, prior_log_variance: Reals, noise: Reals
) -> DictionaryResult:
    r"""Draw slots from the Gaussians of the nearest entries of a dictionary.

    $$c_k = \arg\min_c |o_k - e_c|^2, \qquad \mathrm{slot}_k = \mu_{c_k} + e^{\rho_{c_k} / 2} \odot \mathrm{noise}_k$$

    Parameters
    ----------
    properties : (..., k, d) real array
        o: what was seen, as from `spectral_slot_count`.
    codebook : (..., C, d) real array
        e: the kinds of things, at least one.
    prior_mean : (..., C, d) real array
        $\mu$: where slots of each kind start on average.
    prior_log_variance : (..., C, d) real array
        $\rho$: the logarithm of their variance.
    noise : (..., k, d) real array
        Standard normal draws.

    Returns
    -------
    code : (..., k) integer array
        The nearest kind; the first of equals.
    slots : (..., k, d) array

    Raises
    ------
    ValueError, TypeError
        If shapes disagree, the dictionary is empty, or an array is complex, an object or text.

    Notes
    -----
    Cost: k C d. One kind may be found twice: two slots of it differ by their noise alone.

    References
    ----------
    Kori, Locatello, De Sousa Ribeiro, Toni & Glocker, "Grounded Object Centric Learning", 2023, arXiv 2307.09437.

    Examples
    --------
    >>> import numpy as np
    >>> kinds, means = np.array([[0.0], [10.0]]), np.array([[100.0], [200.0]])
    >>> seen, noise = np.array([[8.0], [1.0]]), np.array([[0.5], [0.0]])
    >>> slot_dictionary_lookup(seen, kinds, means, np.log([[4.0], [4.0]]), noise)
    DictionaryResult(code=array([1, 0]), slots=array([[201.],
           [100.]]))
    """
    distance = ((properties[..., :, None, :] - codebook[..., None, :, :]) ** 2).sum(axis=-1)  # (..., k, C)
    code = distance.argmin(axis=-1)  # (..., k)
    mean, spread = (_entries(table, code) for table in (prior_mean, np.exp(prior_log_variance / 2)))  # (..., k, d)
    return DictionaryResult(code, mean + spread * noise)


def _entries(table: Reals, code: Reals) -> Reals:
    """Return the rows of a table (..., C, d) that codes (..., k) name."""
    leading = np.broadcast_shapes(table.shape[:-2], code.shape[:-1])
    table = np.broadcast_to(table, (*leading, *table.shape[-2:]))
    code = np.broadcast_to(code, (*leading, code.shape[-1]))
    return np.take_along_axis(table, code[..., None], axis=-2)
