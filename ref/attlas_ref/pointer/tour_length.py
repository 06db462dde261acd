r"""The length of a tour: what a pointer network for the traveling salesman is judged by.

Points stand in the plane, a tour says in which order to visit them. Its length is the sum of the Euclidean distances
between points that follow each other, and of the way home where the tour is `closed`. Divided by the length of the
shortest tour (`held_karp`) it says how good a tour is; that the tour visits every point once is another matter, which
this function does not ask.
"""

import numpy as np

from ..contract import reference
from ..visibility import Reals
from .decoder import positions


@reference
def tour_length(points: Reals, tour: Reals, *, closed: bool = True) -> Reals:
    r"""Sum the distances between successive points of a tour.

    $$L = \sum_{t=1}^{T-1} \lVert x_{\pi_{t+1}} - x_{\pi_t} \rVert
      + [\mathrm{closed}]\, \lVert x_{\pi_1} - x_{\pi_T} \rVert$$

    Parameters
    ----------
    points : (..., n, 2) real array
        x, one row per point.
    tour : (..., T) integer array
        Positions from 0 to n - 1, in the order of the visits; its leading axes may be more: many tours.
    closed : bool, default True
        Go back to the first point.

    Returns
    -------
    (...) array
        0 for fewer than two visits.

    Raises
    ------
    ValueError
        If `points` does not have two columns, leading axes do not broadcast, or `tour` leaves the positions.
    TypeError
        If an array is complex, an object or text, or `tour` holds numbers that are not whole.

    Notes
    -----
    Cost: T distances. Gradients: of the points, the unit vectors towards where the tour comes from and goes to.

    At least the length of `held_karp` if every point is visited.

    References
    ----------
    Vinyals, Fortunato & Jaitly, "Pointer Networks", 2015, arXiv 1506.03134, section 4.2.

    Examples
    --------
    A triangle with sides 3, 4 and 5:

    >>> import numpy as np
    >>> points = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    >>> tour_length(points, np.array([0, 1, 2])), tour_length(points, np.array([0, 1, 2]), closed=False)
    (array(12.), array(7.))
    """
    visited = positions(points, tour)  # (..., T, 2)
    back = visited[..., :1, :] if closed else visited[..., -1:, :]
    steps = np.diff(visited, axis=-2, append=back)
    return np.hypot(steps[..., 0], steps[..., 1]).sum(axis=-1)
