"""Records of connectionist temporal classification."""

from typing import Any

import numpy as np

from ...contract.options import Choice, Flag, Indices, Integer, Number, Option
from ..legal import host, whole_numbers
from ..record import Draft, Record, Source

GRAVES = Source(
    "Graves, Fernández, Gomez & Schmidhuber",
    "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks",
    2006,
)
SEGEV = Source(
    "Segev et al.",
    "Align With Purpose: Optimize Desired Properties in CTC Models with a General Plug-and-Play Framework",
    2023,
    "2307.01715",
)


def labels_fit(function: str, name: str, array: Any, limit: int, seen: Any = True) -> None:
    """Check that what counts of an array of labels is whole, at least 0 and below the number of symbols V."""
    labels = whole_numbers(function, name, array, seen)
    if bool(((labels < 0) | (labels >= limit)).any()):
        raise ValueError(f"{function}: {name} leaves the symbols; it needs numbers of at least 0 and below V = {limit}")


def _target_is_readable(function: str, values: dict[str, Any]) -> None:
    target, blank, v = np.asarray(host(values["target"])), values["blank"], values["log_probs"].shape[-1]
    if blank >= v:
        raise ValueError(f"{function}: blank is {blank}; it needs a number below V = {v}")
    lengths = values["target_lengths"]
    seen = True if lengths is None else np.arange(target.shape[-1]) < np.asarray(lengths)[..., None]
    labels_fit(function, "target", target, v, seen)
    if bool(((target == blank) & seen).any()):
        raise ValueError(f"{function}: target holds the blank {blank}; it needs symbols alone")


def _alignments_are_symbols(function: str, values: dict[str, Any]) -> None:
    for name in ("alignments", "improved"):
        labels_fit(function, name, values[name], values["log_probs"].shape[-1])


def _one_symbol_beside_the_blank(draft: Draft) -> None:
    """With the blank alone there is nothing to say."""
    if draft.sizes["V"] == 1:
        draft.sizes["s"] = 0
    if "blank" in draft.options:
        draft.options["blank"] %= draft.sizes["V"]


def _readable(log_probs: Any, target: Any, *, blank: int) -> tuple[Any, Any]:
    """Labels below V that are not the blank."""
    labels = np.floor(np.abs(8 * target)) % max(log_probs.shape[-1] - 1, 1)
    return log_probs, labels + (labels >= blank)


def _alignments(log_probs: Any, alignments: Any, improved: Any) -> tuple[Any, ...]:
    """Probabilities of at most 1, and labels below V."""
    v = log_probs.shape[-1]
    return -np.abs(log_probs), *(np.floor(np.abs(8 * labels)) % v for labels in (alignments, improved))


LATTICE: dict[str, Any] = {
    "family": "monotonic",
    "source": GRAVES,
    "tier": 2,
    "engines": ("numba", "numba-cuda", "cupy"),
    "checks": (_target_is_readable,),
    "valid": _readable,
    "valid_by": ("blank",),
    "labels": ("target",),
    "exact": ("target",),
    "positive": ("V",),
    "largest": {"t": 17, "s": 7, "V": 5},
    "arrange": (_one_symbol_beside_the_blank,),
}
"""What the functions of a lattice share."""

LENGTHS: dict[str, Option] = {
    "blank": Integer(low=0, draw=(0, 2)),
    "input_lengths": Indices(below="t+1", optional=True),
    "target_lengths": Indices(below="s+1", optional=True),
}


def _utility(name: str, title: str, formula: str, signature: str, source: Source, file: str, tier: Any) -> Record:
    return Record(
        name=name,
        family="monotonic",
        title=title,
        formula=formula,
        signature=signature,
        source=source,
        kind="U",
        tier=tier,
        file=file,
        engines=(),
    )


RECORDS: tuple[Record, ...] = (
    Record(
        name="ctc_log_likelihood",
        title="Connectionist temporal classification",
        formula="α_t(s) = log p_t(y'_s) + lse(α_(t−1)(s), α_(t−1)(s−1), [skip] α_(t−1)(s−2));  log p = lse of the ends",
        signature="(t,V),(s)->()",
        options={**LENGTHS, "return_posterior": Flag()},
        **LATTICE,
    ),
    Record(
        name="ctc_posterior",
        title="Occupancy of each symbol",
        formula="γ_t(k) = Σ_{s: y'_s = k} exp(α_t(s) + β_t(s) − log p)",
        signature="(t,V),(s)->(t,V)",
        file="ctc_log_likelihood",
        options=LENGTHS,
        **LATTICE,
    ),
    Record(
        name="ctc_viterbi",
        title="Forced alignment of a target",
        formula="a = argmax Σ_t log p_t(a_t) over collapse(a) = y",
        signature="(t,V),(s)->(t),()",
        options=LENGTHS,
        **LATTICE,
    ),
    _utility(
        *("ctc_collapse", "Drop repeats, then blanks", "(a_t : a_t ≠ a_(t−1), a_t ≠ blank)", "->(s)"),
        *(GRAVES, "", 2),
    ),
    _utility(
        *("ctc_greedy", "Best symbol of each frame", "collapse(argmax_k log p_t(k))", "->(s)"),
        *(GRAVES, "ctc_collapse", 2),
    ),
    Record(
        name="align_with_purpose_loss",
        family="monotonic",
        title="Hinge that prefers improved alignments",
        formula="mean_a max(0, P(a) − P(ā) + margin)",
        signature="(t,V),(A,t),(A,t)->()",
        source=SEGEV,
        kind="C",
        tier=3,
        file="align_with_purpose",
        options={
            "margin": Number(low=0.0, draw=(0.0, 1.0)),
            "space": Choice(values=("probability", "log")),
        },
        checks=(_alignments_are_symbols,),
        valid=_alignments,
        labels=("alignments", "improved"),
        exact=("alignments", "improved"),
        positive=("V",),
        largest={"t": 17, "A": 5, "V": 5},
    ),
    _utility(
        *("shift_alignment", "Everything one frame earlier", "ā = (a without a_p, blank)", "->(t)"),
        *(SEGEV, "align_with_purpose", 3),
    ),
)
