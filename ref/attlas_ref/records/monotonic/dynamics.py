"""Records of paths through two sequences, and of attention as a flow."""

from typing import Any

import numpy as np

from ...contract.options import Array, Choice, Flag, Integer, Number
from ..legal import host, up_to_the_first
from ..record import Draft, Record, Source
from ..shared import POSITIVE

KIM = Source(
    "Kim, Kim, Kong & Yoon",
    "Glow-TTS: A Generative Flow for Text-to-Speech via Monotonic Alignment Search",
    2020,
    "2005.11129",
    "Algorithm 1",
)
SHENG = Source(
    "Sheng et al.",
    "SongMASS: Automatic Song Writing with Pre-training and Alignment Constraint",
    2020,
    "2012.05168",
)
CUTURI = Source("Cuturi & Blondel", "Soft-DTW: a Differentiable Loss Function for Time-Series", 2017, "1703.01541")
SAKOE = Source("Sakoe & Chiba", "Dynamic Programming Algorithm Optimization for Spoken Word Recognition", 1978)
DAFT = Source(
    "Kim et al.",
    "Learning Dynamics of Attention: Human Prior for Interpretable Machine Reasoning",
    2019,
    "1905.11666",
)


def _frames_suffice(function: str, values: dict[str, Any]) -> None:
    letters, frames = values["log_prob"].shape[-2:]
    if values["mask"] is None:
        if frames < letters:
            raise ValueError(
                f"{function}: log_prob has {frames} frames for {letters} letters; it needs at least as many"
            )
        return
    mask = np.asarray(host(values["mask"]))
    mask = np.broadcast_to(mask, np.broadcast_shapes(mask.shape, (letters, frames)))
    rows, columns = (np.asarray(mask.any(axis=axis)) for axis in (-1, -2))
    whole = mask == (rows[..., None] & columns[..., None, :])
    gaps = [(seen[..., 1:] & ~seen[..., :-1]).any() for seen in (rows, columns)]
    if not whole.all() or any(gaps):
        raise ValueError(f"{function}: mask is no rectangle; it needs to show the first letters and the first frames")
    if bool((columns.sum(axis=-1) < rows.sum(axis=-1)).any()):
        raise ValueError(f"{function}: mask shows fewer frames than letters; it needs at least as many")


def _rectangle(mask: Any) -> Any:
    """The first letters and frames, of any mask; as many frames as letters at least."""
    rows, columns = (up_to_the_first(mask.any(axis=axis)) for axis in (-1, -2))
    if mask.shape[-2] == 1:  # one for all letters, however many
        return np.ones_like(mask)
    if mask.shape[-1] > 1:
        rows &= np.arange(rows.shape[-1]) < columns.sum(axis=-1)[..., None]
    return rows[..., None] & columns[..., None, :] & rows.any(axis=-1)[..., None, None]


def _more_frames_than_letters(draft: Draft) -> None:
    draft.sizes["x"], draft.sizes["y"] = sorted((draft.sizes["x"], draft.sizes["y"]))


def _is_one_matrix(function: str, values: dict[str, Any]) -> None:
    shape = tuple(values["scores"].shape)
    if len(shape) > 2:
        raise ValueError(f"{function}: scores has shape {shape}; it needs the shape (M, N)")


def _alone(draft: Draft) -> None:
    draft.batch = ()


def _shares(weights: Any) -> tuple[Any, ...]:
    """Rows that sum to 1, of any numbers."""
    part = np.exp(np.clip(weights, -30, 30))
    return (part / part.sum(axis=-1, keepdims=True),)


WARPING: dict[str, Any] = {
    "family": "monotonic",
    "file": "soft_dtw",
    "tier": 2,
    "engines": ("numba", "numba-cuda", "cupy"),
    "positive": ("r", "c"),
    "largest": {"r": 9, "c": 9},
}
"""What soft and hard time warping share."""

RECORDS: tuple[Record, ...] = (
    Record(
        name="monotonic_alignment_search",
        family="monotonic",
        title="Monotonic alignment search",
        formula="Q_xy = s_xy + max(Q_(x, y−1), Q_(x−1, y−1));  the path back from the last letter at the last frame",
        signature="(x,y)->(x,y)",
        source=KIM,
        tier=2,
        engines=("numba", "numba-cuda", "cupy"),
        options={
            "mask": Array(core=("x", "y"), boolean=True, broadcast=True, optional=True, valid=_rectangle),
            "return_score": Flag(),
        },
        checks=(_frames_suffice,),
        positive=(),
        largest={"x": 17, "y": 17},
        arrange=(_more_frames_than_letters,),
        peer="loop_monotonic_alignment_search",
    ),
    Record(
        name="segment_alignment",
        family="monotonic",
        title="Matching pieces of two sequences",
        formula="F_ij = max_k(F_(k, j−1) + mean s_(k:i, j−1) − ρ (i−k)/M,  F_(i−1, k) + mean s_(i−1, k:j) − ρ (j−k)/N)",
        signature="(r,c)->(k,4)",
        source=SHENG,
        tier=2,
        engines=("numba", "numba-cuda", "cupy"),
        options={"length_penalty": Number(draw=(0.0, 2.0)), "return_score": Flag()},
        checks=(_is_one_matrix,),
        positive=("r", "c"),
        largest={"r": 7, "c": 7},
        pools_batch=True,
        arrange=(_alone,),
    ),
    Record(
        name="soft_dtw",
        title="Soft dynamic time warping",
        formula="R_ij = D_ij + softmin_γ(R_(i−1, j), R_(i, j−1), R_(i−1, j−1));  E = ∂R/∂D",
        signature="(r,c)->()",
        source=CUTURI,
        options={"gamma": POSITIVE, "return_alignment": Flag()},
        **WARPING,
        peer="tslearn_soft_dtw",
    ),
    Record(
        name="dtw_path",
        title="Dynamic time warping",
        formula="R_ij = D_ij + min(R_(i−1, j), R_(i, j−1), R_(i−1, j−1))",
        signature="(r,c)->(),(r,c)",
        source=SAKOE,
        **WARPING,
    ),
    Record(
        name="daft_attention",
        family="monotonic",
        title="Attention that flows",
        formula="da_j/dt = w·(([t; q] W + b) ⊙ c_j) + λ a_j + β;  out_s = Σ_j softmax(a(1))_j c_j",
        signature="(n,d),(d)->(S,d)",
        source=DAFT,
        kind="C",
        tier=2,
        options={
            "w_question": Array(core=("S", "d+1", "d"), batched=False),
            "b_question": Array(core=("S", "d"), batched=False),
            "w_logit": Array(core=("S", "d+1"), batched=False),
            "b_logit": Array(core=("S",), batched=False),
            "initial": Array(core=("n",), shared=True, widens=False),
            "method": Choice(values=("exact", "rk4", "euler")),
            "substeps": Integer(low=1, draw=(1, 4)),
            "mask": Array(core=("n",), boolean=True, broadcast=True, optional=True),
            "return_weights": Flag(),
            "return_logits": Flag(),
        },
        positive=(),
        largest={"S": 5, "n": 17, "d": 9},
    ),
    Record(
        name="total_transition_length",
        family="monotonic",
        title="How far attention travels",
        formula="Σ_s JS(α_s, α_(s−1)) / log 2",
        signature="(S,n)->()",
        source=DAFT,
        kind="C",
        tier=2,
        options={
            "clamp": Number(low=0.0, high=0.5, open_low=True, open_high=True, draw=(1e-6, 0.1)),
            "return_steps": Flag(),
        },
        valid=_shares,
        positive=(),
    ),
)
