"""The famous bugs do not live: each is killed by the law that it names, and by being compared with the reference."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

from attlas_ref.records import FAMILIES, find
from attlas_ref.testing import Candidate
from attlas_ref.testing.zoo import BUGS, Bug, bug_named
from attlas_ref.testing.zoo.bug import copied
from attlas_ref.testing.zoo.hunt import (
    candidate_of,
    killed_by_equivalence,
    killed_by_its_law,
    law_named,
    rows_sum_to_one,
)

simulated = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0")
HERE = [bug for bug in BUGS if bug.in_a_kernel == simulated]


@pytest.fixture(autouse=True)
def without_shrinking() -> Iterator[None]:
    before = settings.default
    settings.register_profile("find", before, phases=[Phase.generate], derandomize=True, database=None)
    settings.load_profile("find")
    yield
    settings.register_profile("before", before)
    settings.load_profile("before")


@pytest.fixture(params=HERE, ids=[bug.name for bug in HERE])
def bug(request: pytest.FixtureRequest) -> Iterator[Bug]:
    if not simulated:
        yield request.param
        return
    with request.param.planted():
        yield request.param


DECIDED_BY_NOISE = {"exactly_k_keys"}


def test_its_law_kills_it(bug: Bug) -> None:
    assert killed_by_its_law(bug, candidate_of(bug))


def test_the_comparison_with_the_reference_kills_it(bug: Bug) -> None:
    if bug.name in DECIDED_BY_NOISE:
        pytest.skip("evaluations in noisy arithmetic break ties, so budgets leave them open; the law does not")
    assert killed_by_equivalence(bug, candidate_of(bug))


@pytest.mark.skipif(simulated, reason="of references")
@pytest.mark.parametrize("bug", HERE[::8], ids=lambda bug: bug.name)
def test_what_it_poses_as_lives(bug: Bug) -> None:
    unedited = getattr(copied(f"attlas_ref.{find(bug.formulation).module}", ()), bug.formulation)
    right = Candidate.of(unedited, bug.formulation)
    assert killed_by_its_law(bug, right, examples=20) is None
    assert not killed_by_equivalence(bug, right, examples=20)
    assert rows_sum_to_one(bug, right, examples=20) is not False


def test_all_families_have_bugs_and_all_bugs_a_law() -> None:
    assert {find(bug.formulation).family for bug in BUGS} == set(FAMILIES)
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= 20
    for bug in BUGS:
        assert bug.formulation in law_named(bug.law).subjects, bug.name


@pytest.mark.skipif(simulated, reason="of references")
def test_rows_that_sum_to_one_do_not_show_a_lost_rescale_but_a_softmax_over_the_queries() -> None:
    found = {
        name: rows_sum_to_one(bug := bug_named(name), candidate_of(bug))
        for name in ("a_merge_without_rescale", "softmax_over_the_queries", "a_softmax_without_its_mean")
    }
    assert list(found.values()) == [True, False, None]


@pytest.mark.skipif(simulated, reason="of references")
def test_an_edit_that_no_longer_fits_is_an_error() -> None:
    with pytest.raises(ValueError, match="has 0 times, not once"):
        copied("attlas_ref.visibility", (("what is not there", ""),))
