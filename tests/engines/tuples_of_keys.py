"""Calls of tensor attention that drawn ones do not reach, for every engine that computes them."""

import numpy as np


def call_with_a_hidden_member(fouled):
    """Gradients where nobody sees row 2 of the second set; with NaN in it or not."""
    rng = np.random.default_rng(0)
    query, key1, key2, value1, value2, grad = (rng.normal(size=(5, 3)) for _ in range(6))
    mask = rng.random((5, 5, 5)) < 0.7
    mask[:, :, 2] = False
    if fouled:
        key2[2], value2[2] = np.nan, np.inf
    return (query, (key1, key2), (value1, value2), grad), {"mask": mask}


def call_with_blind_queries():
    """The first two queries see nothing in the first set, and a NaN in the second."""
    rng = np.random.default_rng(1)
    query, key2, value2 = (rng.normal(size=(4, 3)) for _ in range(3))
    key1, value1 = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    value2[0] = np.nan
    return (query, (key1, key2), (value1, value2)), {"score": "sum", "causal": True}


def check_a_hidden_member_has_no_gradient_and_spoils_none(computed):
    grads = []
    for fouled in (False, True):
        arrays, options = call_with_a_hidden_member(fouled)
        grad_query, grad_keys, grad_values = computed("tensor_attention_vjp", *arrays, **options)
        grads.append([grad_query, *grad_keys, *grad_values])
    for clean, fouled in zip(*grads, strict=True):
        np.testing.assert_array_equal(np.isfinite(fouled), np.isfinite(clean))
        np.testing.assert_array_equal(fouled == 0, clean == 0)


def check_a_query_that_one_set_hides_everything_from_gets_zeros(computed):
    arrays, options = call_with_blind_queries()
    output = computed("tensor_attention", *arrays, **options)
    assert not output[:2].any()
    assert np.isnan(output[2:]).all()
