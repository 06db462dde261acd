"""What the figures of latent alignments claim, from the runs that they show."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from built_site import ROOT

from attlas_ref import latent_alignment_bounds


@pytest.fixture
def variational(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from figures.variational import bounds, learning

    return {"bounds": bounds, "learning": learning}


def test_gradients_of_the_objectives_are_their_slopes(variational: Any) -> None:
    learning = variational["learning"]
    task, _, words = learning.tasks()
    rng = np.random.default_rng(0)
    model = learning._unpacked(rng.normal(size=learning._packed(learning.start(words)).size), words)
    step = 1e-5 * rng.normal(size=learning._packed(model).size)
    for objective in (learning.soft, learning.exact, learning.elbo):
        _, gradient = objective(model, task)
        high, low = (
            objective(learning._unpacked(learning._packed(model) + sign * step, words), task)[0] for sign in (1, -1)
        )
        slope = float(learning._packed(gradient) @ step)
        # The error of a central difference is of the third order; the slope itself is of the first.
        assert abs((high - low) / 2 - slope) < 1e-4 * np.abs(learning._packed(gradient) * step).sum()


def test_what_each_method_learns_is_what_the_picture_says(variational: Any) -> None:
    learning = variational["learning"]
    found, truth = learning.learned(), learning.true_prior()
    both = truth > 0
    for name in ("soft attention", "exact latent", "ELBO"):  # they find both ways ahead, and the rest empty
        assert (found[name].prior[both] > 0.15).all()
        assert (found[name].prior[~both] < 0.05).all()
    for name in ("REINFORCE, baseline", "REINFORCE"):  # hard choices settle on the likelier one
        assert (found[name].prior[truth == learning.SHARE] > 0.9).all()
    for name in ("exact latent", "ELBO"):  # who sees the word knows where it came from
        assert found[name].found > 0.85 > 0.75 > found["soft attention"].found
    assert found["exact latent"].own > max(found[name].own for name in learning.METHODS if name != "exact latent")
    best = {name: found[name].curve.max() for name in learning.METHODS}
    assert min(best["soft attention"], best["exact latent"], best["ELBO"]) > best["REINFORCE"] + 0.5


def test_a_baseline_steadies_the_gradient_and_hastens_learning(variational: Any) -> None:
    learning = variational["learning"]
    models = learning.wander(True)
    for step, factor in ((20, 50), (60, 5)):
        assert learning.scatter(models[step], False) > factor * learning.scatter(models[step], True)
    found = learning.learned()
    assert found["REINFORCE, baseline"].curve[:150].mean() > found["REINFORCE"].curve[:150].mean() + 0.05


def test_the_ladder_of_a_real_run(variational: Any) -> None:
    arrays = variational["bounds"].half_learned()
    found = latent_alignment_bounds(*arrays)
    climb = variational["bounds"].expected_bounds(*arrays)
    rounding = 1e4 * np.finfo(float).eps
    np.testing.assert_allclose(climb[0], found.elbo, rtol=0, atol=rounding)
    rungs = [*climb, found.log_marginal]
    assert all((low <= high + rounding).all() for low, high in pairwise(rungs))
    means = [float(rung.mean()) for rung in (found.prior_bound, found.elbo, *climb[1:], found.log_marginal)]
    assert all(high - low > 1e-3 for low, high in pairwise(means))  # each step is to be seen


def test_soft_attention_stands_on_both_sides_of_the_marginal(variational: Any) -> None:
    found, marginal = variational["bounds"].decoded()
    assert (found.log_prob > marginal + 0.1).any()
    assert (found.log_prob < marginal - 0.1).any()
