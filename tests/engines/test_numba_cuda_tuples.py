"""Kernels of tuples in Numba's CUDA simulator: what drawn calls do not reach."""

import pytest
from tuples_of_keys import (
    check_a_hidden_member_has_no_gradient_and_spoils_none,
    check_a_query_that_one_set_hides_everything_from_gets_zeros,
)

from attlas.dispatch import call_on
from attlas.engines import TABLE, simulated

if not simulated():
    pytest.skip("needs Numba's CUDA simulator: set NUMBA_ENABLE_CUDASIM=1", allow_module_level=True)


def computed(name, *arrays, **options):
    return call_on(TABLE["numba-cuda"], name, *arrays, **options)


def test_a_hidden_member_has_no_gradient_and_spoils_none():
    check_a_hidden_member_has_no_gradient_and_spoils_none(computed)


def test_a_query_that_one_set_hides_everything_from_gets_zeros():
    check_a_query_that_one_set_hides_everything_from_gets_zeros(computed)
