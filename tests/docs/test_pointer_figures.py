"""What the figure of decoding measures: tours of random problems beside the optimum."""

from typing import Any

import numpy as np
import pytest
from built_site import ROOT


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from figures.pointer import networks

    return networks


def test_decoded_tours_visit_every_city(networks: Any) -> None:
    points = np.random.default_rng(0).random((3, 6, 2)) - 0.5
    for tours in networks.decoders(points, np.zeros(2)).values():
        np.testing.assert_array_equal(np.sort(tours, axis=-1), np.broadcast_to(np.arange(6), (3, 6)))


def test_no_decoded_tour_is_shorter_than_the_optimum_and_samples_come_close(networks: Any) -> None:
    found = networks.excesses(networks.COUNTS[1])
    rounding = networks.COUNTS[1] * np.finfo(float).eps
    assert min(each.min() for each in found.values()) > -rounding
    greedy, _, samples = found.values()
    assert samples.mean() < 0.01 < greedy.mean()
