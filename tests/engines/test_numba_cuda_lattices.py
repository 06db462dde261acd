"""The recursions over two sequences on `numba-cuda`, in the simulator: teams, launches, strange numbers.

That the results are right for every call is tested for all engines at once. Here teams are smaller than the problems in
every way they can be, and members take several launches.
"""

from typing import Any

import numpy as np
import pytest

from attlas.dispatch import call_on
from attlas.engines import TABLE, simulated
from attlas_ref.testing.budget import assert_within_budget, high_and_lows

if not simulated():
    pytest.skip("needs Numba's CUDA simulator: set NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)

from attlas.numba_cuda import target
from attlas.numba_cuda.monotonic import alignment_search, latent, lattice, warping
from attlas.numba_cuda.probabilistic import teams
from attlas.numba_cuda.probabilistic.teams import Team
from attlas.numba_cuda.rows import RowBlock

BLOCKS = [RowBlock(1, 1), RowBlock(2, 2), RowBlock(3, 1)]
NAMES = (
    "ctc_log_likelihood",
    "ctc_viterbi",
    "monotonic_alignment_search",
    "soft_dtw",
    "dtw_path",
    "latent_monotonic_log_prob",
    "latent_monotonic_viterbi",
)


def call_of(name: str, seed: int = 0) -> tuple[list[Any], dict[str, Any]]:
    """Arrays and options of a call of three members."""
    rng = np.random.default_rng(seed)
    if name.startswith("ctc"):
        options: dict[str, Any] = {"input_lengths": np.array([6, 4, 5]), "target_lengths": np.array([3, 1, 2])}
        options |= {"return_posterior": True} if name == "ctc_log_likelihood" else {}
        return [rng.normal(size=(3, 6, 4)), np.array([[1, 2, 1], [3, 3, 3], [2, 2, 1]])], options
    if name.startswith("latent"):
        options = {"return_posterior": True} if name.endswith("log_prob") else {}
        return [rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 5, 5)), rng.normal(size=(3, 5))], options
    options = {"soft_dtw": {"gamma": 0.5, "return_alignment": True}, "dtw_path": {}}.get(name, {"return_score": True})
    return [rng.normal(size=(3, 4, 6))], options


def assert_right(name: str, arrays: Any, options: Any) -> Any:
    high, lows = high_and_lows(name, arrays, options)
    found = call_on(TABLE["numba-cuda"], name, *arrays, **options)
    assert_within_budget(found, high, lows, name)
    return found


@pytest.mark.parametrize("block", BLOCKS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_a_team_of_any_form_computes_a_member(name: str, block: RowBlock, monkeypatch: Any) -> None:
    for module in (lattice, alignment_search, warping, latent):
        monkeypatch.setattr(module, "team_of", lambda entries: Team(block))
    assert_right(name, *call_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_launches_may_be_split_and_padded(name: str, monkeypatch: Any) -> None:
    arrays, options = call_of(name, seed=1)
    whole = assert_right(name, arrays, options)
    for module, limit, value in ((target, "LARGEST_GRID", 2), (target, "QUIET_GRID", 5), (teams, "SCRATCH", 1)):
        with monkeypatch.context() as patch:
            patch.setattr(module, limit, value)
            for part, same in zip(call_on(TABLE["numba-cuda"], name, *arrays, **options), whole, strict=True):
                np.testing.assert_array_equal(part, same)


def test_what_is_strange_is_felt_where_the_reference_feels_it() -> None:
    rng = np.random.default_rng(2)
    cost = rng.normal(size=(4, 3, 4))
    cost[0, 1, 1], cost[1, 1, 2], cost[2, 0, 0] = np.nan, -np.inf, np.inf
    cost[3, 1], cost[3, 0, 1] = np.inf, np.nan
    assert_right("soft_dtw", [cost], {"gamma": 0.5, "return_alignment": True})
    assert_right("dtw_path", [cost], {})
    log_probs = rng.normal(size=(4, 5, 3))
    log_probs[0, 2, 1], log_probs[1, 1, 0], log_probs[2, 3] = np.nan, np.inf, -np.inf
    for name in ("ctc_posterior", "ctc_viterbi"):
        assert_right(name, [log_probs, np.array([1, 2])], {})
    fit = rng.normal(size=(3, 5))
    fit[2, 0], fit[0, 4] = np.nan, np.nan  # no path reaches them
    assert np.isfinite(assert_right("monotonic_alignment_search", [fit], {"return_score": True}).score)


def test_pieces_are_found_by_more_threads_than_columns_and_by_fewer() -> None:
    rng = np.random.default_rng(3)
    for shape in ((5, 4), (3, 1), (1, 5)):
        assert_right("segment_alignment", [rng.normal(size=shape)], {"return_score": True})
    blocked = np.full((2, 2), -np.inf)
    assert len(assert_right("segment_alignment", [blocked], {})) == 0
