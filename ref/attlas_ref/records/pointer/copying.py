"""Records of the family pointer: copying."""

from typing import Any

import numpy as np

from ...contract.options import Array, Flag, Integer, Number
from ..legal import host, not_negative, shares, whole_numbers
from ..record import Draft, Record, Source
from ..shared import DENSE

SEE = Source(
    "See, Liu & Manning", "Get To The Point: Summarization with Pointer-Generator Networks", 2017, "1704.04368"
)
MERITY = Source("Merity, Xiong, Bradbury & Socher", "Pointer Sentinel Mixture Models", 2016, "1609.07843")
SIZE = Integer(optional=True, low=1)


def _from_see(where: str) -> Source:
    return Source(SEE.authors, SEE.title, SEE.year, SEE.arxiv, where)


def _weight(*core: str, optional: bool = False) -> Array:
    """A learned matrix or vector, the same for the whole batch."""
    return Array(core=core, batched=False, optional=optional)


def _seen_by_any(values: dict[str, Any]) -> Any:
    """Which keys some query sees, (..., n); True where all do."""
    mask = values.get("mask")
    return True if mask is None else np.atleast_2d(host(mask)).any(axis=-2)


def _words_are_numbers(function: str, values: dict[str, Any]) -> None:
    for name in ("source_ids", "target"):
        if name not in values:
            continue
        seen = _seen_by_any(values) if name == "source_ids" else True
        words = whole_numbers(function, name, values[name], seen)
        if bool((words < 0).any()):
            raise ValueError(f"{function}: {name} holds {int(words.min())}; it needs numbers of at least 0")


def _size_holds_every_word(function: str, values: dict[str, Any]) -> None:
    size, known = values["size"], values["vocab_prob"].shape[-1]
    if size is None:
        return
    words = np.where(_seen_by_any(values), np.asarray(host(values["source_ids"])), 0)
    last = int(words.max(initial=-1))
    if size < known or size <= last:
        raise ValueError(
            f"{function}: size is {size}; it needs at least V = {known}, and more than {last}, which source_ids holds"
        )


def _initial_is_not_negative(function: str, values: dict[str, Any]) -> None:
    initial = values["initial"]
    if not isinstance(initial, str) and bool(((np.asarray(host(initial)) < 0) & _seen_by_any(values)).any()):
        raise ValueError(f"{function}: initial holds a negative number; it needs numbers of at least 0")


def _draw_a_size(draft: Draft) -> None:
    draft.sizes["V"] = max(1, draft.sizes["V"])
    if draft.options.get("size") is not None:
        draft.options["size"] += draft.sizes["V"]


def _draw_words(x: Any, count: int) -> Any:
    """Make words below a count of any numbers."""
    return np.floor(np.abs(7 * np.nan_to_num(x))) % count


def _shares_and_words(vocab_prob: Any, weights: Any, gate: Any, ids: Any, *target: Any, size: Any = None) -> Any:
    """Probabilities that are at least 0, a gate between 0 and 1, and words below the size."""
    count = vocab_prob.shape[-1] if size is None else size
    words = [_draw_words(x, count) for x in (ids, *target)]
    return (np.abs(vocab_prob), np.abs(weights), np.abs(np.sin(gate)), *words)


def _pointed_words(query: Any, key: Any, sentinel: Any, vocab_prob: Any, ids: Any, *, size: Any) -> Any:
    return query, key, sentinel, np.abs(vocab_prob), _draw_words(ids, vocab_prob.shape[-1] if size is None else size)


RECORDS: tuple[Record, ...] = (
    Record(
        name="copy_mixture",
        family="pointer",
        title="Pointer-generator distribution",
        formula="P(w) = g vocab(w) + (1 − g) Σ_{j: id_j = w} w_j",
        signature="(m,V),(m,n),(m),(n)->(m,size)",
        source=_from_see("eq. (9)"),
        options={"size": SIZE},
        checks=(_words_are_numbers, _size_holds_every_word, shares("gate")),
        valid=_shares_and_words,
        valid_by=("size",),
        exact=("source_ids",),
        labels=("source_ids",),
        one_row={"source_ids": "weights"},
        counts={"size": "V"},
        arrange=(_draw_a_size,),
    ),
    Record(
        name="copy_gate",
        family="pointer",
        title="Generate or copy",
        formula="g = σ(w_c·context + w_s·state + w_x·embedded + b)",
        signature="(m,c),(m,s),(m,x)->(m)",
        source=_from_see("eq. (8)"),
        options={
            "w_context": _weight("c"),
            "w_state": _weight("s"),
            "w_embedded": _weight("x"),
            "b": Number(draw=(-2.0, 2.0)),
        },
        kind="C",
        tier=2,
    ),
    Record(
        name="copy_log_prob",
        family="pointer",
        title="Log likelihood of targets under the mixture",
        formula="log P(y) = logaddexp(log g + log vocab(y), log(1 − g) + log Σ_{j: id_j = y} w_j)",
        signature="(m,V),(m,n),(m),(n),(m)->(m)",
        source=SEE,
        kind="C",
        tier=2,
        checks=(_words_are_numbers, shares("gate")),
        valid=_shares_and_words,
        exact=("source_ids", "target"),
        labels=("source_ids", "target"),
        one_row={"source_ids": "weights"},
        positive=("V",),
    ),
    Record(
        name="pointer_sentinel_mixture",
        family="pointer",
        title="Pointer sentinel",
        formula="P(w) = g vocab(w) + Σ_{j: id_j = w} a_j,  [a, g] = softmax([q'·k_j, q'·s]),  q' = tanh(q W + b)",
        signature="(m,d),(n,d_k),(d_k),(m,V),(n)->(m,size)",
        source=MERITY,
        options={
            "w_query": _weight("d", "d_k"),
            "b_query": _weight("d_k"),
            "mask": DENSE["mask"],
            "size": SIZE,
            "return_gate": Flag(),
        },
        kind="C",
        checks=(_words_are_numbers, _size_holds_every_word),
        valid=_pointed_words,
        valid_by=("size",),
        exact=("source_ids",),
        labels=("source_ids",),
        one_row={"source_ids": "query"},
        positive=(),
        counts={"size": "V"},
        arrange=(_draw_a_size,),
    ),
    Record(
        name="coverage_attention",
        family="pointer",
        title="Coverage vector of the pointer-generator",
        formula="a_i = softmax(scale (v·tanh(k_j W_k + q_i W_q + c_ij w_c + b) + b_v)),  c_(i+1) = c_i + a_i",
        signature="(m,d_q),(n,d_k),(n,e)->(m,e)",
        source=_from_see("section 2.3"),
        options={
            "w_query": _weight("d_q", "a"),
            "w_key": _weight("d_k", "a"),
            "b_key": _weight("a", optional=True),
            "w_coverage": _weight("a"),
            "b_coverage": _weight("a", optional=True),
            "v": _weight("a"),
            "b_v": Number(draw=(-2.0, 2.0)),
            "scale": Number(draw=(-2.0, 2.0)),
            "initial": Array(core=("n",), words=("zeros", "uniform"), valid=np.abs),
            "mask": DENSE["mask"],
            "return_weights": Flag(),
            "return_coverage": Flag(),
        },
        checks=(_initial_is_not_negative,),
    ),
    Record(
        name="coverage_loss",
        family="pointer",
        title="Coverage loss",
        formula="Σ_i Σ_j min(a_ij, c_ij),  c_ij = c_0j + Σ_{i' < i} a_i'j",
        signature="(m,n)->()",
        source=_from_see("eq. (12)"),
        options={"initial": Array(core=("n",), shared=True, widens=False, valid=np.abs)},
        kind="C",
        tier=2,
        checks=(not_negative("initial"),),
        valid=lambda weights: (np.abs(weights),),
    ),
)
