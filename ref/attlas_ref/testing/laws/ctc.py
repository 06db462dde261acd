"""What connectionist temporal classification obeys: likelihoods, occupancies, best alignments, hinges between them.

| in the specification | law, or test in `tests/reference/test_monotonic_ctc.py` |
| --- | --- |
| brute force over V^T alignments | `test_the_likelihood_is_that_of_all_alignments`, |
| | `test_the_best_alignment_is_the_best_of_all` |
| posterior = ∂ log p / ∂ log_probs | `raising_a_symbol_tells_its_occupancy`, |
| | `forbidding_a_symbol_takes_its_occupancy`, `test_likelihood_and_posterior_are_those_of_pytorch` |
| an empty target | `silence_is_blank_in_every_frame` |
| T < S + repeats | `too_few_frames_leave_nothing` |
| `ctc_viterbi` score <= log p | `the_best_alignment_weighs_less_than_all_together` |
| Σ over all targets = 1 | `test_all_texts_together_are_certain` |
| posterior: rows sum to 1 | `symbols_share_each_frame` |
| posterior = gradient of the likelihood | `the_occupancy_comes_with_the_likelihood` |
| posterior: only blank and the target | `symbols_that_are_not_said_do_not_occur` |
| collapse(alignment) = target | `the_best_alignment_reads_as_its_target` |
| score = Σ_t lp[t, alignment_t] | `the_score_is_the_sum_along_the_alignment` |
| `ctc_collapse`: duplicates, no blank, (a, b, a) | `test_lasting_longer_changes_nothing_that_is_read`, |
| | `test_nothing_that_is_read_is_blank`, `test_a_blank_parts_equal_letters` |
| `ctc_greedy`: one-hot, score | `test_a_certain_alignment_is_read_greedily`, |
| | `test_the_greedy_text_has_the_best_alignment_of_all` |
| hinge: 0 when improved by the margin | `what_is_improved_costs_nothing` |
| `shift_alignment` preserves collapse | `test_a_shift_is_read_alike_or_refused` |
| equal alignments give the margin | `equal_alignments_cost_the_margin` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .law import Evaluate, Relation, at_most, equal, law, same

LIKELIHOOD, POSTERIOR, VITERBI, HINGE = "ctc_log_likelihood", "ctc_posterior", "ctc_viterbi", "align_with_purpose_loss"
BOTH = {"return_posterior": True}
ONE = {"t": 1, "V": 1}
TWO = {"t": 1, "V": 2, "s": 1}
"""Something is said."""


def _lengths(call: Call) -> tuple[Any, Any]:
    """How many frames and symbols count, at all leading axes."""
    log_probs, target = call.arrays
    given: list[Any] = [call.options.get(name) for name in ("input_lengths", "target_lengths")]
    batch = np.broadcast_shapes(log_probs.shape[:-2], target.shape[:-1], *map(np.shape, given))
    whole = (log_probs.shape[-2], target.shape[-1])
    heard, said = (
        np.broadcast_to(size if lengths is None else lengths, batch) for size, lengths in zip(whole, given, strict=True)
    )
    return heard, said


def _target(call: Call) -> Any:
    return np.asarray(call.arrays[1]).astype(np.int64)


def _fits(call: Call) -> Any:
    """Whether there are frames for all symbols, and for a blank between equal ones."""
    heard, said = _lengths(call)
    target = _target(call)
    repeats = (target[..., 1:] == target[..., :-1]) & (np.arange(1, target.shape[-1]) < said[..., None])
    return said + repeats.sum(axis=-1) <= heard


def _inside(call: Call) -> Any:
    """Which frames count, (..., T)."""
    return np.arange(call.arrays[0].shape[-2]) < _lengths(call)[0][..., None]


def _score(log_probs: Any, alignment: Any) -> Any:
    """The sum of log_probs (..., T, V) along alignments (..., T) that are -1 past the length."""
    shape = np.broadcast_shapes(log_probs.shape[:-1], alignment.shape)
    log_probs, alignment = np.broadcast_to(log_probs, (*shape, log_probs.shape[-1])), np.broadcast_to(alignment, shape)
    chosen = np.take_along_axis(log_probs, np.maximum(alignment, 0)[..., None], axis=-1)[..., 0]
    return np.where(alignment >= 0, chosen, 0).sum(axis=-1)


@law(POSTERIOR, statement="Σ_k γ_t(k) = 1 in every frame that counts, where the target fits", least=ONE)
def symbols_share_each_frame(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    posterior = call.by(f)
    return equal(posterior.sum(axis=-1), (_inside(call) & _fits(call)[..., None]).astype(posterior.dtype))


@law(POSTERIOR, statement="γ_t(k) = 0 for k outside of {blank, y_1, ..., y_S}", least=ONE)
def symbols_that_are_not_said_do_not_occur(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    posterior = call.by(f)
    said = np.arange(_target(call).shape[-1]) < _lengths(call)[1][..., None]
    symbols = np.arange(posterior.shape[-1])
    spoken = ((_target(call)[..., None] == symbols) & said[..., None]).any(axis=-2)  # (..., V)
    silent = ~spoken & (symbols != call.options.get("blank", 0))
    hidden = np.where(silent[..., None, :], posterior, 0)
    return same(hidden, np.zeros_like(hidden))


@law(LIKELIHOOD, ties=(POSTERIOR,), statement="f(..., return_posterior=True) = (log p, γ)", fixed=BOTH, least=ONE)
def the_occupancy_comes_with_the_likelihood(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    options = {name: value for name, value in call.options.items() if name != "return_posterior"}
    both = call.by(f)
    alone = call.given(return_posterior=False).by(f)
    return equal(both.posterior, f(POSTERIOR, *call.arrays, **options)), equal(both.log_prob, alone)


@law(LIKELIHOOD, statement="log p_t(k) + 1: log p grows by log(1 + γ_t(k) (e − 1))", fixed=BOTH, least=ONE)
def raising_a_symbol_tells_its_occupancy(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    log_probs, target = call.arrays
    t, k = (int(rng.integers(size)) for size in log_probs.shape[-2:])
    raised = log_probs.copy()
    raised[..., t, k] += 1
    before, after = call.by(f), call.given(raised, target).by(f)
    return equal(after.log_prob, before.log_prob + np.log1p(before.posterior[..., t, k] * (np.e - 1)))


@law(LIKELIHOOD, statement="log p_t(k) = −∞: log p grows by log(1 − γ_t(k)), and γ_t(k) = 0", fixed=BOTH, least=ONE)
def forbidding_a_symbol_takes_its_occupancy(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    log_probs, target = call.arrays
    t, k = (int(rng.integers(size)) for size in log_probs.shape[-2:])
    forbidden = log_probs.copy()
    forbidden[..., t, k] = -np.inf
    before, after = call.by(f), call.given(forbidden, target).by(f)
    gone = after.posterior[..., t, k]
    return (
        equal(after.log_prob, before.log_prob + np.log1p(-before.posterior[..., t, k])),
        same(gone, np.zeros_like(gone)),
    )


@law(LIKELIHOOD, statement="S = 0: log p = Σ_t log p_t(blank)", least=ONE)
def silence_is_blank_in_every_frame(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    log_probs, target = call.arrays
    silent = call.given(log_probs, target[..., :0], target_lengths=None)
    likelihood = silent.by(f)
    blanks = np.where(_inside(silent), log_probs[..., call.options.get("blank", 0)], 0).sum(axis=-1)
    return equal(likelihood, np.broadcast_to(blanks, likelihood.shape))


@law(LIKELIHOOD, statement="T < S + repeats: log p = −∞ and γ = 0", fixed=BOTH, least=TWO)
def too_few_frames_leave_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    log_probs, target = call.arrays
    s, again = target.shape[-1], target[..., :1]
    # The first symbol S times needs 2S - 1 frames.
    frames = log_probs[..., : 2 * s - 2, :]
    crowded = call.given(frames, np.repeat(again, s, axis=-1), input_lengths=None, target_lengths=None)
    likelihood, posterior = crowded.by(f)
    return same(likelihood, np.full_like(likelihood, -np.inf)), same(posterior, np.zeros_like(posterior))


@law(LIKELIHOOD, statement="log p_t(k) + c_t: log p grows by Σ c_t, γ stays", fixed=BOTH, least=ONE)
def constants_per_frame_leave_the_occupancy(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    log_probs, target = call.arrays
    constants = rng.uniform(-2, 2, (log_probs.shape[-2], 1)).astype(log_probs.dtype)
    before, after = call.by(f), call.given(log_probs + constants, target).by(f)
    moved = np.where(_inside(call), constants[:, 0], 0).sum(axis=-1)
    return (
        equal(after.log_prob, before.log_prob + moved),
        equal(after.posterior, before.posterior),
    )


@law(LIKELIHOOD, statement="f(frames and target reversed) = (log p, γ reversed)", least=ONE,
     fixed=BOTH | {"input_lengths": None, "target_lengths": None})  # fmt: skip
def a_text_may_be_heard_backward(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    log_probs, target = call.arrays
    call = call.given(input_lengths=None, target_lengths=None)
    forward, back = call.by(f), call.given(log_probs[..., ::-1, :], target[..., ::-1]).by(f)
    return (
        equal(back.log_prob, forward.log_prob),
        equal(back.posterior[..., ::-1, :], forward.posterior),
    )


@law((LIKELIHOOD, POSTERIOR, VITERBI), statement="f(symbols renamed) = f with its symbols renamed", least=ONE)
def names_of_symbols_do_not_matter(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    log_probs, target = call.arrays
    v = log_probs.shape[-1]
    renamed = rng.permutation(v)
    order = np.argsort(renamed)
    # Behind its length a target may hold anything.
    new = renamed[np.clip(_target(call), 0, v - 1)].astype(target.dtype)
    call = call.given(blank=call.options.get("blank", 0))
    before = call.by(f)
    after = call.given(log_probs[..., order], new, blank=int(renamed[call.options["blank"]])).by(f)
    if call.name == LIKELIHOOD:
        return (same(after, before),)
    if call.name == POSTERIOR:
        return (equal(after, before[..., order]),)
    alignment = np.where(before.alignment >= 0, renamed[np.maximum(before.alignment, 0)], -1)
    return same(after.alignment, alignment), same(after.score, before.score)


@law((LIKELIHOOD, POSTERIOR, VITERBI), statement="f(lengths) = f(the first frames and symbols), and nothing behind",
     least=TWO)  # fmt: skip
def what_stands_behind_the_lengths_is_not_felt(f: Evaluate, call: Call, rng: np.random.Generator) -> Any:
    log_probs, target = call.arrays
    t, s = log_probs.shape[-2], target.shape[-1]
    heard, said = int(rng.integers(0, t + 1)), int(rng.integers(0, s + 1))
    blank = call.options.get("blank", 0)
    fouled = np.where(np.arange(t)[:, None] < heard, log_probs, log_probs.dtype.type(np.nan))
    padded = np.where(np.arange(s) < said, target, target.dtype.type(blank))  # no symbol of a target
    long = call.given(fouled, padded, input_lengths=heard, target_lengths=said).by(f)
    short = call.given(log_probs[..., :heard, :], target[..., :said], input_lengths=None, target_lengths=None).by(f)
    if call.name == LIKELIHOOD:
        return (equal(long, short),)
    if call.name == POSTERIOR:
        behind = long[..., heard:, :]
        return equal(long[..., :heard, :], short), same(behind, np.zeros_like(behind))
    behind = long.alignment[..., heard:]
    return (
        equal(long.score, short.score),
        equal(long.alignment[..., :heard], short.alignment),
        same(behind, np.full_like(behind, -1)),
    )


@law(VITERBI, ties=(LIKELIHOOD,), statement="score <= log p <= score + T log V", least=ONE)
def the_best_alignment_weighs_less_than_all_together(f: Evaluate, call: Call, rng: np.random.Generator) -> Any:
    score = call.by(f).score
    log_likelihood = f(LIKELIHOOD, *call.arrays, **call.options)
    most = score + _lengths(call)[0] * np.log(call.arrays[0].shape[-1])
    return at_most(score, log_likelihood), at_most(log_likelihood, most)


@law(VITERBI, statement="score = Σ_t log p_t(a_t), or −∞ with a = −1 where the target does not fit", least=ONE)
def the_score_is_the_sum_along_the_alignment(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    alignment, score = call.by(f)
    fits = _fits(call)
    expected = np.where(fits, _score(call.arrays[0], alignment), -np.inf)
    return equal(score, expected), same(alignment >= 0, _inside(call) & fits[..., None])


@law(VITERBI, statement="collapse(a) = y", least=ONE)
def the_best_alignment_reads_as_its_target(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    alignment, _ = call.by(f)
    _, said = _lengths(call)
    target = np.broadcast_to(_target(call), (*said.shape, call.arrays[1].shape[-1]))
    wrong = np.zeros(said.shape, dtype=np.int64)
    fits = _fits(call)
    for place in np.ndindex(wrong.shape):
        if not fits[place]:
            continue
        symbols = [int(symbol) for symbol in alignment[place] if symbol >= 0]
        merged = [a for a, before in zip(symbols, [-1, *symbols], strict=False) if a != before]
        text = [symbol for symbol in merged if symbol != call.options.get("blank", 0)]
        wrong[place] = text != target[place][: said[place]].tolist()
    return same(wrong, np.zeros_like(wrong))


@law(VITERBI, statement="Σ_t log p_t(z_t) <= score for every z with collapse(z) = y", least=ONE)
def no_alignment_of_the_target_beats_the_best(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    log_probs, target = call.arrays
    score = call.by(f).score
    other = call.given(rng.normal(size=log_probs.shape).astype(log_probs.dtype), target).by(f).alignment
    return at_most(np.where(_fits(call), _score(log_probs, other), -np.inf), score)


@law(HINGE, statement="f(a, a) = margin", least={"A": 1, "V": 1})
def equal_alignments_cost_the_margin(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    log_probs, alignments, _ = call.arrays
    loss = call.given(log_probs, alignments, alignments).by(f)
    return equal(loss, np.full_like(loss, call.options.get("margin", 0.0)))


def _likelihoods(call: Call) -> tuple[Any, Any]:
    """log P of both kinds of alignments, (..., A)."""
    log_probs, *both = call.arrays
    before, after = (_score(log_probs[..., None, :, :], np.asarray(a).astype(np.int64)) for a in both)
    return before, after


@law(HINGE, statement="P(ā) >= P(a) for all pairs: f(a, ā) = 0", fixed={"margin": 0.0}, least={"A": 1, "t": 1, "V": 1})
def what_is_improved_costs_nothing(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    log_probs, alignments, improved = call.arrays
    before, after = _likelihoods(call)
    swap = (before > after)[..., None]
    loss = call.given(log_probs, np.where(swap, improved, alignments), np.where(swap, alignments, improved)).by(f)
    return equal(loss, np.zeros_like(loss))


@law(HINGE, statement="f(a, ā) − f(ā, a) = mean(P(a) − P(ā)) without a margin, or of their logarithms",
     fixed={"margin": 0.0}, least={"A": 1, "t": 1, "V": 1})  # fmt: skip
def the_two_orders_differ_by_the_likelihoods(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    log_probs, alignments, improved = call.arrays
    before, after = _likelihoods(call)
    if call.options.get("space", "probability") == "probability":
        before, after = np.exp(before), np.exp(after)
    there, back = call.by(f), call.given(log_probs, improved, alignments).by(f)
    return equal(there - back, np.broadcast_to((before - after).mean(axis=-1), there.shape))
