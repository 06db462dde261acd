"""What latent monotonic alignments obey: sums over them, the best one, and the moves that they are made of.

| in the specification | law, or test in `tests/reference/test_monotonic_latent.py` |
| --- | --- |
| sum, best path, posterior: brute force | `test_sums_paths_and_posteriors_are_those_of_all_alignments` |
| score <= log p <= score + N log T | `the_best_alignment_weighs_less_than_all` |
| posterior beside the likelihood | `the_posterior_comes_with_the_likelihood` |
| strict with T < N: nothing | `more_outputs_than_positions_cannot_move_on` |
| log p of `linear_chain_marginals` | `latent_alignments_are_a_chain` |
| path: score along it, the best | `the_score_is_that_of_the_path`, `no_alignment_beats_the_best` |
| path of monotonic transitions | `paths_of_forward_transitions_never_go_back` |
| posterior: rows sum to 1 | `posteriors_sum_to_one` |
| posterior is the gradient of log p | `raising_an_emission_tells_its_posterior` |
| posterior: mean position | `mean_positions_never_go_back` |
| posterior: zeros without a path | `an_impossible_output_has_no_posterior` |
| moves: normalized, none back | `moves_are_normalized`, `no_move_goes_back` |
| moves: the model is monotonic | `moves_make_monotonic_alignments` |
| moves: `allow_last` | `test_a_strict_position_may_stay_at_the_end` |
| linear alignment | `test_the_first_guess_goes_forward_to_the_end`, `test_steep_guesses_go_on_by_one` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .chains import score_of
from .law import Evaluate, Relation, at_most, equal, law, same

LIKELIHOOD, PATH = "latent_monotonic_log_prob", "latent_monotonic_viterbi"
POSTERIOR, MOVES = "latent_monotonic_posterior", "monotonic_position_log_prob"
CHAIN, BEST = "linear_chain_marginals", "linear_chain_argmax"
LATENT = (LIKELIHOOD, PATH, POSTERIOR)
ONE = {"N": 1, "T": 1}


def _forward(call: Call) -> Call:
    """The same call where no transition goes back."""
    emission, transition, initial = call.arrays
    return call.given(emission, np.where(np.triu(np.ones(transition.shape[-2:])) > 0, transition, -np.inf), initial)


def _started(call: Call) -> tuple[Any, Any]:
    """Emissions with the start added to the first, and transitions, with all leading axes."""
    emission, transition, initial = call.arrays
    batch = np.broadcast_shapes(emission.shape[:-2], transition.shape[:-3], initial.shape[:-1])
    first = np.broadcast_to(emission[..., :1, :] + initial[..., None, :], (*batch, 1, emission.shape[-1]))
    rest = np.broadcast_to(emission[..., 1:, :], (*batch, *emission[..., 1:, :].shape[-2:]))
    steps = np.broadcast_to(transition, (*batch, *transition.shape[-3:]))
    return np.concatenate([first, rest], axis=-2), steps


@law(PATH, ties=(LIKELIHOOD,), statement="score <= log p <= score + N log T", least=ONE)
def the_best_alignment_weighs_less_than_all(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    steps, positions = call.arrays[0].shape[-2:]
    score, log_prob = call.by(f).score, f(LIKELIHOOD, *call.arrays)
    return at_most(score, log_prob), at_most(log_prob, score + steps * np.log(float(positions)))


@law(LIKELIHOOD, ties=(POSTERIOR,), statement="f(…, return_posterior) = (f(…), posterior(…))", least=ONE)
def the_posterior_comes_with_the_likelihood(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    both = call.given(return_posterior=True).by(f)
    return equal(both.log_prob, call.by(f)), equal(both.posterior, f(POSTERIOR, *call.arrays))


@law(LIKELIHOOD, ties=(CHAIN,), statement="log p = log Z, posterior = marginals, of a chain with u = em + [i = 0] init",
     least=ONE)  # fmt: skip
def latent_alignments_are_a_chain(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    chain = f(CHAIN, *_started(call))
    log_prob, posterior = call.given(return_posterior=True).by(f)
    return equal(log_prob, chain.log_partition), equal(posterior, chain.marginals)


@law(PATH, ties=(BEST,), statement="path = the best labeling of the chain", least=ONE)
def best_alignments_are_best_labelings(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(call.by(f).path, f(BEST, *_started(call)))


@law(LATENT, statement="init = 0: f(em, tr, init) = f(em, tr)", least=ONE)
def no_start_is_a_start_anywhere(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    emission, transition = _started(call)
    start = np.zeros_like(call.arrays[2])
    results = call.given(emission, transition, start).by(f), call.given(emission, transition, None).by(f)
    pairs = zip(*results, strict=True) if call.name == PATH else (results,)
    return tuple(equal(left, right) for left, right in pairs)


@law(LATENT, statement="tr(s, t) = −∞ for t <= s, T < N: log p = score = −∞, posterior 0, path −1",
     least={"N": 2, "T": 1})  # fmt: skip
def more_outputs_than_positions_cannot_move_on(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    emission, transition, initial = call.arrays
    few = min(emission.shape[-2:][1], emission.shape[-2] - 1)
    ahead = np.triu(np.ones((few, few)), 1) > 0
    strict = np.where(ahead, transition[..., :few, :few], -np.inf).astype(transition.dtype)
    result = call.given(emission[..., :few], strict, initial[..., :few]).by(f)
    if call.name == PATH:
        return same(result.path, np.full_like(result.path, -1))
    return same(result, np.full_like(result, -np.inf if call.name == LIKELIHOOD else 0))


@law(LATENT, statement="em_i = −∞: log p = score = −∞, posterior 0, path −1", least=ONE)
def an_impossible_output_has_no_posterior(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    emission, transition, initial = call.arrays
    impossible = emission.copy()
    impossible[..., int(rng.integers(emission.shape[-2])), :] = -np.inf
    result = call.given(impossible, transition, initial).by(f)
    if call.name == PATH:
        return same(result.path, np.full_like(result.path, -1))
    return same(result, np.full_like(result, -np.inf if call.name == LIKELIHOOD else 0))


@law(PATH, statement="score = init + Σ em + Σ tr along the path", least=ONE)
def the_score_is_that_of_the_path(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    path, score = call.by(f)
    along = score_of(*_started(call), path)
    return equal(score, np.where(path[..., 0] < 0, -np.inf, along).astype(along.dtype))


@law(PATH, statement="score(t) <= score for every t", least=ONE)
def no_alignment_beats_the_best(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    path, score = call.by(f)
    other = rng.integers(0, call.arrays[0].shape[-1], path.shape)
    return at_most(score_of(*_started(call), other), score)


@law(PATH, statement="tr(s, t) = −∞ for t < s: path_i <= path_(i + 1)", least=ONE)
def paths_of_forward_transitions_never_go_back(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    path = _forward(call).by(f).path
    return at_most(path[..., :-1], path[..., 1:])


@law(POSTERIOR, ties=(LIKELIHOOD,), statement="Σ_t p(t_i = t | y) = 1, or 0 where log p = −∞", least=ONE)
def posteriors_sum_to_one(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    posterior = call.by(f)
    possible = (f(LIKELIHOOD, *call.arrays) > -np.inf).astype(posterior.dtype)
    return equal(posterior.sum(axis=-1), np.broadcast_to(possible[..., None], posterior.shape[:-1]))


@law(LIKELIHOOD, ties=(POSTERIOR,), statement="em_i(t) + δ: log p grows by log(1 + p(t_i = t | y) (e^δ − 1))",
     least=ONE)  # fmt: skip
def raising_an_emission_tells_its_posterior(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    emission, transition, initial = call.arrays
    i, t = (int(rng.integers(size)) for size in emission.shape[-2:])
    raised = emission.copy()
    raised[..., i, t] += 1
    growth = np.log1p(f(POSTERIOR, *call.arrays)[..., i, t] * (np.e - 1))
    return equal(call.given(raised, transition, initial).by(f), call.by(f) + growth)


@law(POSTERIOR, statement="tr(s, t) = −∞ for t < s: Σ_t t p(t_i = t) <= Σ_t t p(t_(i + 1) = t)", least=ONE)
def mean_positions_never_go_back(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    posterior = _forward(call).by(f)
    mean = (posterior * np.arange(posterior.shape[-1], dtype=posterior.dtype)).sum(axis=-1)
    return at_most(mean[..., :-1], mean[..., 1:])


@law(LATENT, statement="em_i + c_i: log p and score grow by Σ c_i, posterior and path stay", least=ONE)
def constants_per_output_move_the_likelihood_alone(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    emission, transition, initial = call.arrays
    constants = rng.integers(-2, 3, (emission.shape[-2], 1)).astype(emission.dtype)
    before, after = call.by(f), call.given(emission + constants, transition, initial).by(f)
    if call.name == PATH:
        return equal(after.path, before.path), equal(after.score, before.score + constants.sum())
    return (equal(after, before + constants.sum() if call.name == LIKELIHOOD else before),)


@law(MOVES, statement="Σ_t p(s, t) = 1 where something lies ahead, else 0", fixed={"log": False}, least=ONE)
def moves_are_normalized(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    total = call.by(f).sum(axis=-1)
    ends = call.options.get("strict", False) and not call.options.get("allow_last", False)
    wanted = np.ones(total.shape[-1], dtype=total.dtype)
    wanted[-1] = 0 if ends else 1
    return equal(total, np.broadcast_to(wanted, total.shape))


@law(MOVES, statement="t < s: log p(s, t) = −∞", fixed={"log": True}, least=ONE)
def no_move_goes_back(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    back = call.by(f)[..., *np.tril_indices(call.arrays[0].shape[-1], -1)]
    return same(back, np.full_like(back, -np.inf))


@law(MOVES, statement="exp f(log) = f", least=ONE)
def moves_are_exponentials_of_their_logarithms(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    return equal(np.exp(call.given(log=True).by(f)), call.given(log=False).by(f))


@law(MOVES, statement="p(s, t) / p(s, t') = e^(E(t) − E(t')) whatever s: p(s, t) = p(0, t) / Σ_(t' >= s) p(0, t')",
     fixed={"log": False, "strict": False}, least=ONE)  # fmt: skip
def moves_are_the_softmax_of_what_lies_ahead(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    (energy,) = call.arrays
    moves = call.by(f)
    top = energy.max(axis=-1, keepdims=True)
    part = np.exp(energy - top)
    s = int(rng.integers(energy.shape[-1]))
    ahead = energy[..., s:] - energy[..., s:].max(axis=-1, keepdims=True)
    return (
        equal(moves[..., 0, :], part / part.sum(axis=-1, keepdims=True)),
        equal(moves[..., s, s:], np.exp(ahead) / np.exp(ahead).sum(axis=-1, keepdims=True)),
    )


@law(MOVES, ties=(PATH,), statement="with moves as transitions path_i <= path_(i + 1)", fixed={"log": True},
     least={"N": 2, "T": 1})  # fmt: skip
def moves_make_monotonic_alignments(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    (energy,) = call.arrays
    emission = rng.standard_normal(energy.shape).astype(energy.dtype)
    path = f(PATH, emission, call.by(f)[..., 1:, :, :], None).path
    return at_most(path[..., :-1], path[..., 1:])
