"""What the page on aligning words says of its figures, from the runs that they show."""

from typing import Any

import numpy as np
import pytest
from built_site import ROOT


@pytest.fixture
def aligning(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from figures import aligning

    return aligning


def test_a_copy_says_every_word_in_order_and_begins_before_them(aligning: Any) -> None:
    heard = aligning.echo(aligning.SHOWN, *aligning.LAYER_HEAD)
    times = heard.true.sum(axis=1)
    assert times.min() >= 1
    assert times.max() <= aligning.MOST
    assert (np.diff(heard.place) >= 0).all()
    assert -aligning.LATEST <= heard.place[0] < -1


def test_order_helps_the_head_that_knows_its_word(aligning: Any) -> None:
    found = {name: aligning.shares(kind, *aligning.LAYER_HEAD).mean() for name, kind in aligning.KINDS.items()}
    assert found["soft"] < found["monotonic"] < found["windowed"] < found["segmental"]
    assert found["segmental"] > 0.99


def test_windows_and_segments_help_all_three_heads(aligning: Any) -> None:
    for place in aligning.LOOK_ALIKES:
        found = {name: aligning.shares(kind, *place).mean() for name, kind in aligning.KINDS.items()}
        assert min(found["windowed"], found["segmental"]) > found["soft"]


def test_a_pointer_does_worse_than_soft_attention_under_the_second_head(aligning: Any) -> None:
    place = aligning.LOOK_ALIKES[1]
    pointer, everywhere = (aligning.shares(kind, *place) for kind in (aligning.monotonic, aligning.soft))
    assert pointer.mean() < everywhere.mean()


def test_segments_of_an_unsure_head_are_right_or_wrong_as_a_whole(aligning: Any) -> None:
    found = aligning.shares(aligning.segmental, *aligning.LOOK_ALIKES[2])
    assert ((found < 0.15) | (found > 0.6)).mean() > 0.9


def test_no_other_threshold_is_much_better(aligning: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [aligning.shares(aligning.monotonic, *place).mean() for place in aligning.LOOK_ALIKES]
    for threshold in np.arange(-1, 3.01, 0.25):
        monkeypatch.setattr(aligning, "THRESHOLD", threshold)
        for place, best in zip(aligning.LOOK_ALIKES, taken, strict=True):
            assert aligning.shares(aligning.monotonic, *place).mean() < best + 0.02


def test_who_listens_needs_half_the_lag(aligning: Any) -> None:
    stops = np.array([aligning.stopping(threshold) for threshold in np.arange(-1, 3.01, 0.25)])
    waits = np.array([aligning.waiting(k) for k in range(1, 31)])
    pointer, waiter = stops[stops[:, 2].argmax()], waits[waits[:, 1].argmax()]
    assert pointer[2] > waiter[1]
    assert pointer[0] < 0.55 * waiter[0]
    assert 9 < waiter[0] < 12  # about ten words, and the end is worse
    assert waits[-1, 1] < waiter[1] - 0.02


def test_who_waits_for_k_words_lags_by_about_k(aligning: Any) -> None:
    for k in (1, 4, 9):  # less what is lost by writing at whole words alone
        assert k - 1 < aligning.waiting(k)[0] <= k
