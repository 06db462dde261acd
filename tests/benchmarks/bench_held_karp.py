"""The shortest tour beside the package python-tsp: run when asked for, on a machine that has nothing else to do.

    pip install --no-deps python-tsp
    python -m pytest -s tests/benchmarks/bench_held_karp.py

Both take the same 2ⁿ n² steps in double precision. The package takes them one by one, by recursion with a dictionary;
`held_karp` takes all sets of a size at once. The package's other requirements are for reading files.
"""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

import attlas
from attlas.bench.contestants import Contestant
from attlas.bench.harness import race
from attlas_ref.testing.drawn import Call

exact = pytest.importorskip("python_tsp.exact")

GOAL = 20


@pytest.mark.parametrize("cities", [10, 12, 15])
def test_shortest_tours_are_found_many_times_faster(cities):
    def draw(number):
        points = np.random.default_rng(number).random((cities, 2))
        return Call("held_karp", (squareform(pdist(points)),), {})

    ours = Contestant("attlas", lambda call: lambda: attlas.held_karp(*call.arrays).length)
    theirs = Contestant("python-tsp", lambda call: lambda: exact.solve_tsp_dynamic_programming(*call.arrays)[1])
    outcome = race([ours, theirs], draw, min_rounds=3, max_rounds=10)
    assert np.isclose(outcome.results["attlas"], outcome.results["python-tsp"])
    ratio = outcome.speedup("attlas", "python-tsp")
    print(f"{cities} cities: {outcome.time('attlas').median * 1e3:.2f} ms, {ratio.median:.1f} times python-tsp")
    assert ratio.median >= GOAL
