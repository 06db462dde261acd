"""What the chain with skips of a conversation obeys.

| in the specification | law, or test in `tests/reference/test_probabilistic_conversations.py` |
| --- | --- |
| one speaker | `one_speaker_is_a_chain` |
| all speakers different | `new_speakers_are_a_chain` |
| two speakers in turn | `two_who_ignore_each_other_are_two_chains` |
| brute force | `test_conversations_are_those_of_all_labelings` |
| log-likelihood <= 0 | `no_labeling_is_more_than_certain` |
| decode maximizes the score | `no_tags_are_likelier_than_the_decoded_ones` |
| renaming speakers | `names_of_speakers_do_not_matter` |
| marginals are derivatives of log Z | `raising_an_emission_tells_its_marginal` |
| a prefix mask | `what_comes_after_a_conversation_has_no_effect` |
"""

from typing import Any

import numpy as np

from ..plan import Call
from .chains import score_of
from .law import Evaluate, Relation, at_most, equal, law, same

SKIPS, CHAIN, BEST = "skip_chain_crf", "linear_chain_marginals", "linear_chain_argmax"
SOME = {"t": 1, "c": 1}


def _visible(call: Call) -> Any:
    emissions, tags, speakers = call.arrays
    mask = call.options.get("mask")
    batch = np.broadcast_shapes(emissions.shape[:-2], tags.shape[:-1], speakers.shape[:-1])
    return np.broadcast_to(True if mask is None else mask, (*batch, emissions.shape[-2]))


def _as_chain(f: Evaluate, call: Call, speakers: Any, transition: str) -> tuple[Relation, ...]:
    emissions, tags, _ = call.arrays
    visible = _visible(call)
    last = visible & ~np.concatenate([visible[..., 1:], np.zeros_like(visible[..., :1])], axis=-1)
    unary = emissions + np.where(last[..., None], call.options["end"], 0)
    unary[..., 0, :] += call.options["start"]
    arrays, mask = (unary, call.options[transition]), call.options.get("mask")
    result = call.given(emissions, tags, np.broadcast_to(speakers, call.arrays[2].shape)).by(f)
    chain = f(CHAIN, *arrays, mask=mask)
    return (
        equal(result.log_partition, chain.log_partition),
        equal(result.marginals, chain.marginals),
        equal(result.decode, f(BEST, *arrays, mask=mask)),
    )


@law(SKIPS, ties=(CHAIN, BEST), statement="one speaker: the chain with P = self_transition", least=SOME)
def one_speaker_is_a_chain(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    return _as_chain(f, call, np.asarray(7), "self_transition")


@law(SKIPS, ties=(CHAIN, BEST), statement="all speakers different: the chain with P = other_transition", least=SOME)
def new_speakers_are_a_chain(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    return _as_chain(f, call, rng.permutation(call.arrays[0].shape[-2]), "other_transition")


@law(SKIPS, ties=(CHAIN, BEST), statement="two speakers in turn, other_transition = 0: a chain for each",
     fixed={"mask": None}, least={"t": 2, "c": 1})  # fmt: skip
def two_who_ignore_each_other_are_two_chains(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    emissions, tags, speakers = call.arrays
    turns = np.broadcast_to(np.arange(speakers.shape[-1]) % 2, speakers.shape)
    transition, zeros = call.options["self_transition"], np.zeros_like(call.options["other_transition"])
    result = call.given(emissions, tags, turns, other_transition=zeros).by(f)
    unary = emissions.copy()
    unary[..., 0, :] += call.options["start"]
    unary[..., -1, :] += call.options["end"]
    unary = np.broadcast_to(unary, (*result.log_partition.shape, *unary.shape[-2:]))
    own = [unary[..., who::2, :] for who in (0, 1)]
    first, second = (f(CHAIN, one, transition) for one in own)
    labels = np.broadcast_to(np.asarray(tags, dtype=np.int64), unary.shape[:-1])
    steps = [np.broadcast_to(transition, (one.shape[-2] - 1, *transition.shape)) for one in own]
    score = sum(score_of(own[who], steps[who], labels[..., who::2]) for who in (0, 1))
    log_partition = first.log_partition + second.log_partition
    return (
        equal(result.log_partition, log_partition),
        equal(result.marginals[..., 0::2, :], first.marginals),
        equal(result.marginals[..., 1::2, :], second.marginals),
        equal(result.decode[..., 0::2], f(BEST, own[0], transition)),
        equal(result.decode[..., 1::2], f(BEST, own[1], transition)),
        equal(result.log_likelihood, score - log_partition),
    )


@law(SKIPS, statement="log p(tags) <= 0", least={"c": 1})
def no_labeling_is_more_than_certain(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    likelihood = call.by(f).log_likelihood
    return at_most(likelihood, np.zeros_like(likelihood))


@law(SKIPS, statement="log p(z) <= log p(decode) for every z", least={"c": 1})
def no_tags_are_likelier_than_the_decoded_ones(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    emissions, _, speakers = call.arrays
    result = call.by(f)
    best = call.given(emissions, np.maximum(result.decode, 0), speakers).by(f).log_likelihood
    return at_most(result.log_likelihood, best)


@law(SKIPS, statement="f does not depend on the names of the speakers")
def names_of_speakers_do_not_matter(f: Evaluate, call: Call, rng: np.random.Generator) -> tuple[Relation, ...]:
    emissions, tags, speakers = call.arrays
    renamed = 100 - 3 * np.asarray(speakers, dtype=np.int64)
    after = call.given(emissions, tags, renamed).by(f)
    return tuple(same(a, b) for a, b in zip(call.by(f), after, strict=True))


@law(SKIPS, statement="emissions_(t, a) + δ: log Z grows by log(1 + p(z_t = a) (e^δ − 1))", least=SOME)
def raising_an_emission_tells_its_marginal(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    emissions, *rest = call.arrays
    t, a = (int(rng.integers(size)) for size in emissions.shape[-2:])
    raised = emissions.copy()
    raised[..., t, a] += 1
    before, after = call.by(f), call.given(raised, *rest).by(f)
    return equal(after.log_partition, before.log_partition + np.log1p(before.marginals[..., t, a] * (np.e - 1)))


@law(SKIPS, statement="Σ_a p(z_t = a) = 1 up to the length", least={"c": 1})
def moods_share_each_utterance(f: Evaluate, call: Call, rng: np.random.Generator) -> Relation:
    marginals = call.by(f).marginals
    return equal(marginals.sum(axis=-1), _visible(call).astype(marginals.dtype))


@law(SKIPS, statement="mask = [t < T]: f does not depend on what stands behind, NaN and tags that are none included",
     least=SOME)  # fmt: skip
def what_comes_after_a_conversation_has_no_effect(
    f: Evaluate, call: Call, rng: np.random.Generator
) -> tuple[Relation, ...]:
    emissions, tags, speakers = call.arrays
    n = emissions.shape[-2]
    length = int(rng.integers(1, n + 1))
    seen = np.arange(n) < length
    hidden = [
        np.where(seen[:, None], emissions, emissions.dtype.type(np.nan)),
        *(np.where(seen, labels, -100).astype(labels.dtype) for labels in (tags, speakers)),
    ]
    long = call.given(*hidden, mask=seen).by(f)
    short = call.given(emissions[..., :length, :], tags[..., :length], speakers[..., :length], mask=None).by(f)
    return (
        equal(long.log_likelihood, short.log_likelihood),
        equal(long.decode[..., :length], short.decode),
        same(long.decode[..., length:], np.full_like(long.decode[..., length:], -1)),
        equal(long.log_partition, short.log_partition),
        equal(long.marginals[..., :length, :], short.marginals),
        same(long.marginals[..., length:, :], np.zeros_like(long.marginals[..., length:, :])),
    )
