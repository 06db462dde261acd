r"""Exact optimal transport: the cheapest plan, by linear programming.

The oracle of the other transport plans. The cost $\langle P, C\rangle$ is linear in the plan, and so are the
conditions $P 1 = a$, $P^\top 1 = b$, $P \ge 0$: a linear program in m n unknowns. Its optimum sits in a corner, with at
most m + n - 1 entries that are not zero; with m = n and uniform masses there is a corner that is a permutation, and the
problem is that of assigning rows to columns.

Any plan with the right marginals costs at least as much, which is how the smoothed ones are judged.
"""

from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse

from ..contract import DistanceResult
from ..contract.options import Flag
from ..contract.utilities import check_reals


def optimal_transport_distance(
    cost: Any, *, row_marginal: Any = None, column_marginal: Any = None, return_plan: bool = False
) -> Any:
    r"""Return the least cost of moving mass from rows to columns.

    $$\min_{P \ge 0}\ \sum_{ij} P_{ij} C_{ij} \qquad \text{subject to} \quad \sum_j P_{ij} = a_i, \quad
      \sum_i P_{ij} = b_j$$

    Parameters
    ----------
    cost : (m, n) real array
        C: what one unit from row i to column j costs; $+\infty$ forbids the pair.
    row_marginal : (m,) real array, optional
        a >= 0; uniform if not given, with the total of `column_marginal`, or 1.
    column_marginal : (n,) real array, optional
        b >= 0, likewise. Both totals must agree.
    return_plan : bool, default False
        Return a plan of this cost too.

    Returns
    -------
    distance : float64
        0 for nothing to move; infinity if no plan avoids the forbidden pairs.
    plan : (m, n) float64 array
        With `return_plan` only: zeros where the distance is infinite.

    Raises
    ------
    ValueError
        If shapes disagree, a marginal is negative, the totals differ by more than rounding (relative 1e-6), or the cost
        is NaN or minus infinity somewhere.
    TypeError
        If an array does not hold real numbers.

    Notes
    -----
    Cost: a sparse linear program with m n unknowns and m + n conditions (HiGHS); for small sizes.

    `sinkhorn_plan` and `ipot_plan` approach its plan from inside.

    References
    ----------
    Kantorovich, "On the Translocation of Masses", 1942.

    Examples
    --------
    Three workers, three jobs. Everybody likes the first job best, so somebody has to give way:

    >>> import numpy as np
    >>> hours = np.array([[1.0, 4.0, 5.0], [1.0, 2.0, 6.0], [2.0, 6.0, 3.0]])
    >>> distance, plan = optimal_transport_distance(hours, return_plan=True)
    >>> float(round(3 * distance, 6)), (3 * plan).round().astype(int).tolist()
    (6.0, [[1, 0, 0], [0, 1, 0], [0, 0, 1]])
    """
    function = "optimal_transport_distance"
    return_plan = Flag().check(function, "return_plan", return_plan)
    cost = check_reals(function, "cost", cost, "(m, n)", 2, exact=True)
    if np.isnan(cost).any() or (cost == -np.inf).any():
        raise ValueError(f"{function}: cost holds a NaN or minus infinity; it needs numbers or infinity")
    rows, columns = (
        None if marginal is None else _checked(function, name, marginal, size, letter)
        for name, marginal, size, letter in (
            ("row_marginal", row_marginal, cost.shape[0], "m"),
            ("column_marginal", column_marginal, cost.shape[1], "n"),
        )
    )
    a, b = _filled(rows, columns, cost.shape[0]), _filled(columns, rows, cost.shape[1])
    if cost.size and abs(a.sum() - b.sum()) > 1e-6 * max(a.sum(), b.sum()):
        raise ValueError(f"{function}: row_marginal adds up to {a.sum()} and column_marginal to {b.sum()}")
    distance, plan = _solved(cost, a, b)
    return DistanceResult(np.float64(distance), plan) if return_plan else np.float64(distance)


def _checked(function: str, name: str, marginal: Any, size: int, letter: str) -> Any:
    masses = check_reals(function, name, marginal, f"({letter},)", 1, exact=True)
    if len(masses) != size:
        raise ValueError(f"{function}: {name} has {len(masses)} entries; it needs {letter} = {size} as cost")
    if not (masses >= 0).all():
        raise ValueError(f"{function}: {name} holds a negative number or NaN; it needs masses of at least 0")
    return masses


def _filled(marginal: Any, other: Any, size: int) -> Any:
    """Return a marginal; if not given, spread the total of the other one evenly."""
    total = 1.0 if other is None else other.sum()
    return np.full(size, total / max(size, 1)) if marginal is None else marginal


def _solved(cost: Any, a: Any, b: Any) -> tuple[float, Any]:
    """Solve the linear program over the allowed pairs."""
    i, j = np.nonzero(np.isfinite(cost))
    plan = np.zeros(cost.shape)
    if cost.size == 0 or max(a.sum(), b.sum()) == 0:
        return 0.0, plan
    pairs, ones = np.arange(len(i)), np.ones(len(i))
    # The last column's condition follows from the others; without it rounding of the totals cannot contradict them.
    sums = scipy.sparse.vstack(
        [
            scipy.sparse.csr_array((ones, (i, pairs)), shape=(len(a), len(i))),
            scipy.sparse.csr_array((ones, (j, pairs)), shape=(len(b), len(i))),
        ],
        format="csr",
    )[:-1]
    masses = np.concatenate([a, b])[:-1]
    if len(i) == 0:
        return np.inf, plan
    found = scipy.optimize.linprog(cost[i, j], A_eq=sums, b_eq=masses, bounds=(0, None), method="highs")
    if found.status == 2:  # infeasible
        return np.inf, plan
    if found.status != 0:
        raise RuntimeError(f"optimal_transport_distance: the linear program was not solved: {found.message}")
    plan[i, j] = found.x
    return float(found.x @ cost[i, j]), plan
