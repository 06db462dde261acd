"""Latency metrics: on examples worked by hand, against plain loops, and what they cannot see."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(59)
FEW = {"operations": 200}
"""Sums of at most a dozen delays below 40."""


def lagging_by_loop(delays: Sequence[float], source: float, target: float) -> float:
    """Average lagging as SimulEval has it: word by word, until one has seen the end."""
    if delays[0] > source:
        return delays[0]
    total, words = 0.0, 0
    for i, delay in enumerate(delays):
        total += delay - i * source / target
        words += 1
        if delay >= source:
            break
    return total / words


def differentiable_by_loop(delays: Sequence[float], source: float) -> float:
    """Differentiable average lagging as SimulEval has it."""
    pause, held, total = source / len(delays), 0.0, 0.0
    for i, delay in enumerate(delays):
        held = delay if i == 0 else max(delay, held + pause)
        total += held - i * pause
    return total / len(delays)


# Delays, source length, reference length; then AL, LAAL, AP, DAL, worked by hand with fractions.
WORKED = [
    # Wait-3 on sentences of four: the third word has lag 4 - 2 but is written after the end.
    ((3, 4, 4, 4), 4, 4, 3, 3, 15 / 16, 3),
    # Wait-1: one behind throughout.
    ((1, 2, 3, 4, 5), 5, 5, 1, 1, 15 / 25, 1),
    # Wait-2 with catch-up on a target twice as short as the source: a word for every two.
    ((2, 4, 6), 6, 3, 2, 2, 12 / 18, 2),
    # Wait-1 to a target of half the pace: (1 + (2 - 2) + (3 - 4) + (4 - 6)) / 4; DAL never lets go of the first lag.
    ((1, 2, 3, 4), 8, 4, -1 / 2, -1 / 2, 10 / 32, 1),
    # The whole source first.
    ((4, 4), 4, 2, 4, 4, 1, 4),
    # Two words too many, which seem to come early: (2 + 1 + 0) / 3 at the pace of two, (2 + 2 + 2) / 3 at that of four.
    ((2, 3, 4, 4), 4, 2, (2 + 1 + 0) / 3, (2 + 2 + 2) / 3, 13 / 8, 2),
    # All the waiting is done in the middle: DAL keeps the lag of 3, AL counts it once.
    ((1, 5, 5, 5, 5), 5, 5, (1 + 4) / 2, (1 + 4) / 2, 21 / 25, (1 + 4 * 4) / 5),
    # A delay beyond the source, as when the source is counted in milliseconds.
    ((7, 8), 6, 2, 7, 7, 15 / 12, 7),
]


@pytest.mark.parametrize(("delays", "source", "target", "al", "laal", "ap", "dal"), WORKED)
def test_worked_examples(
    delays: Sequence[float], source: int, target: int, al: float, laal: float, ap: float, dal: float
) -> None:
    lengths = {"source_length": source, "target_length": target}
    assert_equal_up_to_rounding(attlas_ref.average_lagging(delays, **lengths), al, **FEW)
    assert_equal_up_to_rounding(attlas_ref.length_adaptive_average_lagging(delays, **lengths), laal, **FEW)
    assert_equal_up_to_rounding(attlas_ref.average_proportion(delays, **lengths), ap, **FEW)
    assert_equal_up_to_rounding(attlas_ref.differentiable_average_lagging(delays, **lengths), dal, **FEW)


def test_metrics_are_those_of_plain_loops() -> None:
    for m, source, target in itertools.product((1, 2, 5, 9), (1, 4, 7), (1, 3, 9)):
        delays = np.round(RNG.uniform(0, source + 1, (6, m)) * 4) / 4
        lengths = {"source_length": source, "target_length": target}
        for metric, pace in (
            (attlas_ref.average_lagging, target),
            (attlas_ref.length_adaptive_average_lagging, max(m, target)),
        ):
            expected = [lagging_by_loop(row, source, pace) for row in delays.tolist()]
            assert_equal_up_to_rounding(metric(delays, **lengths), expected, **FEW, magnitude=10)
        expected = [differentiable_by_loop(row, source) for row in delays.tolist()]
        assert_equal_up_to_rounding(
            attlas_ref.differentiable_average_lagging(delays, **lengths), expected, **FEW, magnitude=10
        )


def test_each_sentence_has_its_own_length() -> None:
    delays = np.array([[2.0, 3.0, 4.0], [3.0, 3.0, 3.0]])
    both = attlas_ref.average_lagging(delays, source_length=np.array([4, 3]), target_length=np.array([3, 4]))
    alone = [
        float(attlas_ref.average_lagging(row, source_length=x, target_length=y))
        for row, x, y in zip(delays, (4, 3), (3, 4), strict=True)
    ]
    assert both.tolist() == alone


def test_reading_more_can_lower_average_lagging() -> None:
    # Twenty words for a source of ten. The second waits for the end at once, or a word less than that: then four more
    # words are counted, and all of them lag by more than the first.
    some, all_ = [1] + 4 * [9] + 15 * [10], [1] + 19 * [10]
    assert all(g <= h for g, h in zip(some, all_, strict=True))
    lag = [attlas_ref.average_lagging(delays, source_length=10) for delays in (some, all_)]
    assert_equal_up_to_rounding(lag, [(1 + 8.5 + 8 + 7.5 + 7 + 7.5) / 6, (1 + 9.5) / 2], **FEW, magnitude=10)
    lag = [attlas_ref.differentiable_average_lagging(delays, source_length=10) for delays in (some, all_)]
    assert_equal_up_to_rounding(lag, [(1 + 19 * 8.5) / 20, (1 + 19 * 9.5) / 20], **FEW, magnitude=10)


def test_what_is_written_after_the_end_does_not_count() -> None:
    delays = [1.0, 2.0, 6.0, np.nan, np.nan]
    assert attlas_ref.average_lagging(delays, source_length=6, target_length=6) == (1 + 1 + 4) / 3


def test_a_delay_that_is_no_number_is_felt_before_the_end() -> None:
    delays = [1.0, np.nan, 6.0]
    for metric in (
        attlas_ref.average_lagging,
        attlas_ref.differentiable_average_lagging,
        attlas_ref.average_proportion,
    ):
        assert np.isnan(metric(delays, source_length=6))


@pytest.mark.parametrize("metric", ["dal", "al", "ap"])
def test_losses_gather_heads_as_written(metric: str) -> None:
    name = {"dal": "differentiable_average_lagging", "al": "average_lagging", "ap": "average_proportion"}[metric]
    latency = getattr(attlas_ref, name)
    alignment = RNG.dirichlet(np.ones(5), (3, 4))  # three heads, four words
    delays = [[sum((j + 1) * p for j, p in enumerate(row)) for row in head] for head in alignment.tolist()]
    each = [float(latency(row, source_length=5)) for row in delays]
    odds = np.exp(each) / np.exp(each).sum()
    per_word = [sum(np.exp(column) / np.exp(column).sum() * np.array(column)) for column in zip(*delays, strict=True)]
    expected = {
        "average": sum(each) / 3,
        "max": max(each),
        "weighted_average": sum(p * x for p, x in zip(odds, each, strict=True)),
        "paper": float(latency(per_word, source_length=5)),
    }
    for gather, value in expected.items():
        loss = attlas_ref.latency_loss(alignment, source_length=5, metric=metric, gather=gather, weight=3.0)
        assert_equal_up_to_rounding(loss, 3 * value, **FEW, magnitude=15)


def test_variance_is_that_of_torch(torch: object) -> None:
    alignment = RNG.dirichlet(np.ones(5), (2, 3, 4))
    delays = torch.from_numpy((alignment * np.arange(1, 6)).sum(axis=-1))  # type: ignore[attr-defined]
    for ddof in (0, 1):
        expected = torch.var(delays, dim=-2, correction=ddof).mean(dim=-1).numpy()  # type: ignore[attr-defined]
        assert_equal_up_to_rounding(attlas_ref.latency_variance(alignment, ddof=ddof), expected, **FEW, magnitude=25)
    assert not attlas_ref.latency_variance(alignment[:, :1]).any()


def test_lengths_must_be_above_zero() -> None:
    for lengths in ({"source_length": 0}, {"source_length": 3, "target_length": -1}, {"source_length": np.nan}):
        with pytest.raises(ValueError, match="above 0"):
            attlas_ref.average_lagging([1.0, 2.0], **lengths)
    with pytest.raises(ValueError, match="m"):
        attlas_ref.average_lagging(np.zeros((2, 0)), source_length=3)
    with pytest.raises(ValueError, match="ddof"):
        attlas_ref.latency_variance(np.zeros((2, 3, 4)), ddof=2)
