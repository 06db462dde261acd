"""Records of marginals over chains, segments and trees."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag
from ..legal import host, mask_is_a_prefix, up_to_the_first, whole_numbers
from ..record import Draft, Record, Source
from ..shared import POSITIVE, VISIBILITY

KIM = Source("Kim, Denton, Hoang & Rush", "Structured Attention Networks", 2017, "1702.00887")
KOO = Source("Koo, Globerson, Carreras & Collins", "Structured Prediction Models via the Matrix-Tree Theorem", 2007)
EISNER = Source("Eisner", "Three New Probabilistic Models for Dependency Parsing: An Exploration", 1996)
STRUCTFORMER = Source(
    "Shen et al.",
    "StructFormer: Joint Unsupervised Induction of Dependency and Constituency Structure from Masked Language Modeling",
    2020,
    "2012.00857",
)


def _drawn_uniforms(x: Any) -> Any:
    """Numbers in [0, 1) that every dtype holds, in the middle of 128 equal steps."""
    return (np.floor(128 * np.mod(x, 1)) + 0.5) / 128


def _uniforms_are_fractions(function: str, values: dict[str, Any]) -> None:
    uniform = host(values["uniform"])
    seen = True if values["mask"] is None else host(values["mask"])
    if not bool((((uniform >= 0) & (uniform < 1)) | ~(seen & (uniform == uniform))).all()):
        raise ValueError(f"{function}: uniform leaves the range; it needs numbers of at least 0 and below 1")


def _lengths_begin_at_one(function: str, values: dict[str, Any]) -> None:
    lengths = values["scores"].shape[-3]
    if lengths < 2:
        raise ValueError(f"{function}: scores has {lengths} lengths; it needs K of at least 2, of which 0 is not used")


def _relations_are_not_negative(function: str, values: dict[str, Any]) -> None:
    for name in ("dependency", "relation_weights"):
        if bool((host(values[name]) < 0).any()):
            raise ValueError(f"{function}: {name} holds a negative number; it needs numbers of at least 0")


def _tags_are_labels(function: str, values: dict[str, Any]) -> None:
    c, mask = values["emissions"].shape[-1], host(values["mask"])
    seen = True if mask is None else mask
    given = [name for name in ("tags", "speakers") if values[name] is not None]
    numbers = {name: whole_numbers(function, name, values[name], seen) for name in given}
    tags = numbers.get("tags", np.zeros(0))
    if bool(((tags < 0) | (tags >= c)).any()):
        raise ValueError(f"{function}: tags leaves the labels; it needs numbers of at least 0 and below c = {c}")


def _tags_and_speakers(emissions: Any, tags: Any, speakers: Any) -> tuple[Any, ...]:
    """Labels below c, and speakers of whom some talk twice in a row."""
    return emissions, np.floor(np.abs(8 * tags)) % emissions.shape[-1], np.floor(np.abs(1.5 * speakers)) % 3


def _draw_lengths(draft: Draft) -> None:
    draft.sizes["k"] = max(2, draft.sizes["k"])


def _positive_relations(query: Any, key: Any, value: Any, dependency: Any, relations: Any) -> tuple[Any, ...]:
    return query, key, value, np.abs(dependency), np.abs(relations)


PREFIX = Array(core=("n",), boolean=True, broadcast=True, optional=True, valid=up_to_the_first)
TOKENS = Array(core=("n",), boolean=True, broadcast=True, optional=True)
CHAIN: dict[str, Any] = {
    "family": "probabilistic",
    "source": KIM,
    "positive": ("c",),
    "shorter": {"pairwise": ("c", "c")},
    "largest": {"c": 9},
}
"""What the functions of a chain share."""

TREE: dict[str, Any] = {
    "family": "probabilistic",
    "signature": "(n,n),(n)->(),(n,n),(n)",
    "options": {"multi_root": Flag(), "mask": TOKENS},
    "positive": (),
    "largest": {"n": 9},
}
"""What sums over dependency trees share."""

RECORDS = (
    Record(
        name="linear_chain_marginals",
        title="Forward–backward on a chain",
        formula="α_(t+1)(b) = u_(t+1)(b) + lse_a(α_t(a) + P_t(a, b));  p(z_t = a) = exp(α_t(a) + β_t(a) − log Z)",
        signature="(n,c),(n-1,c,c)->(),(n,c),(n-1,c,c)",
        options={"mask": PREFIX},
        checks=(mask_is_a_prefix,),
        **CHAIN,
        peer="struct_linear_chain_marginals",
    ),
    Record(
        name="linear_chain_argmax",
        title="Viterbi path of a chain",
        formula="z = argmax Σ_t u_t(z_t) + Σ_t P_t(z_t, z_(t+1))",
        signature="(n,c),(n-1,c,c)->(n)",
        options={"mask": PREFIX},
        checks=(mask_is_a_prefix,),
        tier=2,
        **CHAIN,
        peer="struct_linear_chain_argmax",
    ),
    Record(
        name="linear_chain_sample",
        title="Exact samples from a chain",
        formula="z_n ~ softmax(α_n),  z_t ~ softmax_a(α_t(a) + P_t(a, z_(t+1)))",
        signature="(n,c),(n-1,c,c)->(n)",
        options={"uniform": Array(core=("n",), valid=_drawn_uniforms), "mask": PREFIX},
        checks=(mask_is_a_prefix, _uniforms_are_fractions),
        tier=3,
        **CHAIN,
    ),
    Record(
        name="segmentation_attention",
        family="probabilistic",
        title="Attention to segments through a binary chain",
        formula="out_i = Σ_j p(z_j = 1 | q_i) v_j,  p(z | q_i) ∝ exp(Σ_j z_j s_ij + Σ_j transition[z_j, z_(j+1)])",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source(KIM.authors, KIM.title, KIM.year, KIM.arxiv, "section 3.1"),
        kind="C",
        options={
            "transition": Array(core=("2", "2")),
            "state_bias": Array(core=("2",), optional=True, batched=False),
            **VISIBILITY,
            "mask": Array(core=("m", "n"), boolean=True, broadcast=True, optional=True, valid=up_to_the_first),
            "normalize": Flag(),
            "return_weights": Flag(),
        },
        checks=(mask_is_a_prefix,),
    ),
    Record(
        name="semi_markov_marginals",
        family="probabilistic",
        title="Segments with lengths",
        formula="f_t(b) = lse_{l, a}(scores[t − l, l, b, a] + f_(t−l)(a));  marginals = ∂ log Z / ∂ scores",
        signature="(n,k,c,c)->(),(n,k,c,c)",
        source=Source("Sarawagi & Cohen", "Semi-Markov Conditional Random Fields for Information Extraction", 2004),
        tier=3,
        checks=(_lengths_begin_at_one,),
        positive=("c",),
        largest={"n": 17, "k": 9, "c": 5},
        arrange=(_draw_lengths,),
        peer="struct_semi_markov_marginals",
    ),
    Record(
        name="tree_attention_marginals",
        title="Marginals of dependency trees",
        formula="Z = Σ_trees exp(Σ root_d + Σ arc_hd) = Π_k D_k;  p(h → d) = ∂ log Z / ∂ arc_hd",
        source=KOO,
        **TREE,
        peer="struct_tree_attention_marginals",
    ),
    Record(
        name="projective_tree_marginals",
        title="Marginals of trees without crossing arcs",
        formula="I(i, j) = arc_ij + lse_k(C(i, k) + C(k + 1, j)),  C(i, j) = lse_k(I(i, k) + C(k, j));  p = ∂ log Z",
        source=EISNER,
        tier=2,
        **TREE,
        peer="struct_projective_tree_marginals",
    ),
    Record(
        name="syntactic_attention",
        family="probabilistic",
        title="Attention to heads or dependents under all trees",
        formula="out_d = Σ_h p(h → d) v_h,  or  out_h = Σ_d p(h → d) v_d",
        signature="(n,e),(n,n),(n)->(n,e)",
        source=Source(KIM.authors, KIM.title, KIM.year, KIM.arxiv, "section 3.2"),
        kind="C",
        options={
            "projective": Flag(),
            "multi_root": Flag(),
            "direction": Choice(values=("parent", "child")),
            "mask": TOKENS,
            "return_weights": Flag(),
        },
        positive=(),
        largest={"n": 9, "e": 9},
    ),
    Record(
        name="syntactic_dependency",
        family="probabilistic",
        title="Dependencies from distances and heights",
        formula="P_ij = Σ_{l ≤ i, j ≤ r} p(l | i) p(r | i) p(j | l, r),  p(j | l, r) = softmax_[l, r](δ / μ₂)_j",
        signature="(n-1),(n)->(n,n)",
        source=STRUCTFORMER,
        tier=2,
        options={
            "distance_temperature": POSITIVE,
            "height_temperature": POSITIVE,
            "combine": Choice(values=("minimum", "product")),
        },
        positive=(),
        largest={"n": 17},
    ),
    Record(
        name="dependency_constrained_attention",
        family="probabilistic",
        title="Attention through a parser's relations",
        formula="out_i = Σ_j (λ_h0 P_ij + λ_h1 P_ji) σ(s_ij) v_j",
        signature="(h,n,d),(h,n,d),(h,n,e),(n,n),(h,2)->(h,n,e)",
        source=STRUCTFORMER,
        tier=2,
        options={
            "scale": VISIBILITY["scale"],
            "mask": Array(core=("h", "n", "n"), boolean=True, broadcast=True, optional=True),
            "bias": Array(core=("h", "n", "n"), broadcast=True, optional=True),
            "return_weights": Flag(),
        },
        checks=(_relations_are_not_negative,),
        valid=_positive_relations,
        largest={"h": 4},
    ),
    Record(
        name="skip_chain_crf",
        family="probabilistic",
        title="A chain with arcs to a speaker's last turn",
        formula="p(z) ∝ exp(start[z_1] + end[z_T] + Σ emissions[t, z_t] + Σ_arcs transition[z_t, z_u])",
        signature="(t,c),(t),(t)->(),(t),(),(t,c)",
        source=Source(
            "Liu et al.",
            "EmotionIC: Emotional Inertia and Contagion-driven Dependency Modelling for Emotion Recognition in "
            "Conversation",
            2023,
            "2303.11117",
        ),
        tier=2,
        options={
            "start": Array(core=("c",), batched=False),
            "end": Array(core=("c",), batched=False),
            "self_transition": Array(core=("c", "c"), batched=False),
            "other_transition": Array(core=("c", "c"), batched=False),
            "mask": Array(core=("t",), boolean=True, broadcast=True, optional=True, valid=up_to_the_first),
        },
        checks=(mask_is_a_prefix, _tags_are_labels),
        valid=_tags_and_speakers,
        labels=("tags", "speakers"),
        exact=("tags", "speakers"),
        defaults_to={"tags": None},
        positive=("c",),
        largest={"t": 17, "c": 5},
    ),
)
