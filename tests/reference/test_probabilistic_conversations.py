"""Conversations: the chain with skips against all labelings."""

from typing import Any

import numpy as np
import pytest
from enumerated import sequences, summed
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(61)
SMALL = {"operations": 2000}
"""Sums over at most 2,187 labelings."""
NAMES = ("start", "end", "self_transition", "other_transition")


def tables(c: int) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, (RNG.normal(size=shape) for shape in ((c,), (c,), (c, c), (c, c))), strict=True))


def score(emissions: np.ndarray, speakers: np.ndarray, table: dict[str, np.ndarray], z: tuple[int, ...]) -> float:
    """The sum over arcs, which are found by going through the runs."""
    runs: list[list[int]] = []
    for t, speaker in enumerate(speakers):
        if runs and speakers[runs[-1][0]] == speaker:
            runs[-1].append(t)
        else:
            runs.append([t])
    total = table["start"][z[0]] + table["end"][z[-1]] + sum(emissions[t, label] for t, label in enumerate(z))
    for r, run in enumerate(runs):
        total += sum(table["self_transition"][z[t], z[t + 1]] for t in run[:-1])
        if r > 0:
            total += table["other_transition"][z[runs[r - 1][-1]], z[run[0]]]
        if r > 1 and speakers[run[0]] == speakers[runs[r - 2][0]]:
            total += table["self_transition"][z[runs[r - 2][-1]], z[run[0]]]
    return float(total)


def all_labelings(emissions: np.ndarray, speakers: np.ndarray, table: dict[str, np.ndarray]) -> Any:
    """Log Z and the marginals."""
    shape = emissions.shape
    return summed(sequences(*shape), lambda z: score(emissions, speakers, table, z), enumerate, shape)


@pytest.mark.parametrize(("length", "c"), [(1, 3), (2, 2), (4, 3), (5, 3), (7, 2), (7, 3), (6, 1)])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("people", [2, 3])
def test_conversations_are_those_of_all_labelings(length: int, c: int, scale: float, people: int) -> None:
    speakers, tags = RNG.integers(0, people, length), RNG.integers(0, c, length)
    emissions, table = scale * RNG.normal(size=(length, c)), {name: scale * x for name, x in tables(c).items()}
    log_partition, marginals = all_labelings(emissions, speakers, table)
    result = attlas_ref.skip_chain_crf(emissions, tags, speakers, **table)
    budget = SMALL if scale == 1 else {"operations": 40, "magnitude": 20 * scale}
    assert_equal_up_to_rounding(result.log_partition, log_partition, **budget)
    assert_equal_up_to_rounding(result.marginals, marginals, **budget)
    likelihood = score(emissions, speakers, table, tuple(tags)) - log_partition
    assert_equal_up_to_rounding(result.log_likelihood, likelihood, **budget)
    best = max(sequences(length, c), key=lambda z: score(emissions, speakers, table, z))
    assert tuple(result.decode.tolist()) == best


def test_impossible_labels_are_never_chosen() -> None:
    for _ in range(20):
        emissions, speakers, table = RNG.normal(size=(5, 3)), RNG.integers(0, 2, 5), tables(3)
        for name in NAMES[2:]:
            table[name] = np.where(RNG.random((3, 3)) < 0.4, -np.inf, table[name])
        log_partition, marginals = all_labelings(emissions, speakers, table)
        result = attlas_ref.skip_chain_crf(emissions, np.zeros(5, dtype=int), speakers, **table)
        assert_equal_up_to_rounding(result.marginals, marginals, **SMALL)
        if log_partition == -np.inf:
            assert result.log_partition == -np.inf
            assert (result.decode == -1).all()
        else:
            assert score(emissions, speakers, table, tuple(result.decode)) > -np.inf
        assert result.log_likelihood <= 0


def test_a_conversation_without_tags_has_no_likelihood() -> None:
    emissions, speakers, table = RNG.normal(size=(2, 4, 3)), RNG.integers(0, 2, (2, 4)), tables(3)
    without = attlas_ref.skip_chain_crf(emissions, None, speakers, **table)
    assert without.log_likelihood is None
    known = attlas_ref.skip_chain_crf(emissions, np.zeros((2, 4), dtype=int), speakers, **table)
    for one, other in zip(without[1:], known[1:], strict=True):
        np.testing.assert_array_equal(one, other)


def test_conversations_of_several_lengths() -> None:
    emissions, speakers, table = RNG.normal(size=(3, 6, 2)), RNG.integers(0, 2, (3, 6)), tables(2)
    lengths = np.array([6, 3, 0])
    mask = np.arange(6) < lengths[:, None]
    emissions[~mask] = np.nan
    tags = np.where(mask, 1, -100)
    result = attlas_ref.skip_chain_crf(emissions, tags, speakers, mask=mask, **table)
    for b, length in enumerate(lengths[:2]):
        alone = attlas_ref.skip_chain_crf(emissions[b, :length], tags[b, :length], speakers[b, :length], **table)
        assert_equal_up_to_rounding(result.log_likelihood[b], alone.log_likelihood, **SMALL)
        assert result.decode[b].tolist() == alone.decode.tolist() + [-1] * (6 - length)
        assert_equal_up_to_rounding(result.marginals[b, :length], alone.marginals, **SMALL)
        assert not result.marginals[b, length:].any()
    assert (result.log_partition[2], result.log_likelihood[2]) == (0, 0)


def test_integers_do_not_widen_the_results() -> None:
    table = {name: array.astype(np.float32) for name, array in tables(3).items()}
    emissions = RNG.normal(size=(4, 3)).astype(np.float32)
    result = attlas_ref.skip_chain_crf(emissions, np.zeros(4, dtype=np.int64), np.arange(4), **table)
    assert result.marginals.dtype == np.float32


@pytest.mark.parametrize(
    ("changed", "error", "match"),
    [
        ({"tags": np.array([0, 1, 3])}, ValueError, "tags"),
        ({"tags": np.array([0, -1, 0])}, ValueError, "tags"),
        ({"tags": np.array([0, 0.5, 0])}, TypeError, "tags"),
        ({"speakers": np.array([0, 0.5, 0])}, TypeError, "speakers"),
        ({"mask": np.array([True, False, True])}, ValueError, "mask"),
    ],
)
def test_labels_are_checked(changed: dict[str, np.ndarray], error: type[Exception], match: str) -> None:
    call = {"tags": np.zeros(3, dtype=int), "speakers": np.zeros(3, dtype=int), **tables(3), **changed}
    with pytest.raises(error, match=f"skip_chain_crf: {match}"):
        attlas_ref.skip_chain_crf(np.zeros((3, 3)), **call)
    hidden = {**call, "mask": np.array([True, False, False])}
    if match == "tags" and error is ValueError:  # behind the mask anything may stand
        attlas_ref.skip_chain_crf(np.zeros((3, 3)), **hidden)
