"""Records of the family pointer: selection."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Integer
from ..legal import host
from ..record import Draft, Record, Source

YASUDA = Source(
    "Yasuda, Bateni, Chen, Fahrbach, Fu & Mirrokni",
    "Sequential Attention for Feature Selection",
    2022,
    "2209.14881",
)
VIJAYAKUMAR = Source(
    "Vijayakumar et al.",
    "Diverse Beam Search: Decoding Diverse Solutions from Neural Sequence Models",
    2016,
    "1610.02424",
)
COUNT = Integer(low=1, draw=(1, 4))


def _features_are_independent_enough(function: str, values: dict[str, Any]) -> None:
    arrays = {name: np.asarray(host(values[name])).astype(np.float64) for name in ("features", "target")}
    features, k = arrays["features"], values["k"]
    least = min(features.shape[-2:])
    if k > least:
        raise ValueError(f"{function}: k is {k}; it needs at most min(N, d) = {least}")
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{function}: {name} holds a NaN or an infinity; a choice needs finite numbers")
    if not features.size:
        return
    if bool((features == 0).all(axis=-2).any()):
        raise ValueError(f"{function}: features has a column of zeros; it needs columns of length 1")
    rank = int(np.linalg.matrix_rank(features).min())
    if k > rank:
        raise ValueError(f"{function}: k is {k}; it needs at most the rank of features, {rank}")


def _draw_no_more_than_there_are(draft: Draft) -> None:
    for letter in ("N", "d"):
        draft.sizes[letter] = max(1, draft.sizes[letter])
    draft.options["k"] = min(draft.options["k"], draft.sizes["N"], draft.sizes["d"])


def _full_rank(features: Any, target: Any) -> Any:
    """Make columns of full rank, also after rounding to whole numbers: a triangle with a strong diagonal on top."""
    rows, columns = features.shape[-2:]
    i, j = np.arange(rows)[:, None], np.arange(columns)
    tame = np.clip(features, -2, 2)
    strong = np.where(tame < 0, -1, 1) + tame
    least = min(rows, columns)
    return np.where((i < j) & (j < least), 0, np.where(i % least == j % least, strong, tame)), target


SELECTION: dict[str, Any] = {
    "family": "pointer",
    "source": YASUDA,
    "signature": "(N,d),(N)->(k)",
    "checks": (_features_are_independent_enough,),
    "positive": ("N", "d"),
    "counts": {"k": "d"},
    "largest": {"N": 9, "d": 9},
    "arrange": (_draw_no_more_than_there_are,),
    "valid": _full_rank,
}
"""What selections of features share."""

RECORDS: tuple[Record, ...] = (
    Record(
        name="sequential_attention_weights",
        family="pointer",
        title="Softmax over the features not yet selected",
        formula="w_i = 1 for i ∈ S,  softmax over i ∉ S elsewhere",
        signature="(d)->(d)",
        source=YASUDA,
        options={"selected": Array(core=("d",), boolean=True)},
        kind="C",
        positive=(),
    ),
    Record(
        name="orthogonal_matching_pursuit",
        title="Greedy selection of features",
        formula="j* = argmax_{j ∉ S} |X_jᵀ r|,  r = y − X_S X_S⁺ y",
        options={"k": COUNT, "return_coefficients": Flag()},
        **SELECTION,
    ),
    Record(
        name="sequential_attention_select",
        title="Feature selection by attention's equivalent program",
        formula="j* enters min_β ½|Xβ − y|² + λ|β_S̄|₁ just below λ_max = |X_S̄ᵀ P_S^⊥ y|_∞",
        options={"k": COUNT, "method": Choice(values=("omp", "lasso"))},
        kind="C",
        tier=2,
        **SELECTION,
    ),
    Record(
        name="diverse_beam_step",
        family="pointer",
        title="One step of diverse beam search",
        formula="score_g(b, v) = s_b + log p(v | b) − strength · #{v kept by earlier groups}",
        signature="->(K),(K),(K)",
        source=VIJAYAKUMAR,
        kind="U",
        tier=3,
        engines=(),
    ),
)
