"""Records of latent monotonic alignments, and of attention about a place that they give."""

from typing import Any

import numpy as np

from ...contract.options import Flag, Integer
from ..legal import host, whole_numbers
from ..record import Record, Source
from ..shared import DENSE

ZEYER = Source("Zeyer, Schlüter & Ney", "A Study of Latent Monotonic Attention Variants", 2021, "2103.16710")
CONFIGURATIONS = Source(ZEYER.authors, ZEYER.title, ZEYER.year, ZEYER.arxiv, "released configurations")


def _are_logarithms(function: str, values: dict[str, Any]) -> None:
    for name in ("log_emission", "log_transition", "log_initial"):
        logs = values[name]
        if logs is not None and not bool((np.asarray(host(logs)) < np.inf).all()):
            raise ValueError(
                f"{function}: {name} holds NaN or infinity; it needs finite logarithms, or -inf for what is impossible"
            )


def _centers_are_whole(function: str, values: dict[str, Any]) -> None:
    whole_numbers(function, "center", values["center"])


def _boundaries_go_forward(function: str, values: dict[str, Any]) -> None:
    numbers, n = whole_numbers(function, "boundaries", values["boundaries"]), values["key"].shape[-2]
    if bool((numbers[..., 1:] < numbers[..., :-1]).any()):
        raise ValueError(f"{function}: boundaries decreases somewhere; it needs numbers that never do")
    if bool(((numbers < -1) | (numbers >= n)).any()):
        raise ValueError(f"{function}: boundaries leaves the keys; it needs numbers from -1 to n - 1 = {n - 1}")


def _some_impossible(emission: Any, transition: Any, initial: Any, dtype: str | None) -> tuple[Any, ...]:
    """Make a few transitions impossible, where the dtype has an infinity."""
    if not str(dtype).startswith("int"):
        transition = np.where(transition < -1, -np.inf, transition)
    return emission, transition, initial


def _places(query: Any, key: Any, value: Any, center: Any) -> tuple[Any, ...]:
    """Make places among the keys, and just outside of them."""
    return query, key, value, np.floor(np.abs(8 * center)) % (key.shape[-2] + 4) - 2


def _increasing(query: Any, key: Any, value: Any, boundaries: Any) -> tuple[Any, ...]:
    """Make ends of segments, some of which are empty; all of them where there are no keys."""
    n = key.shape[-2]
    return query, key, value, np.sort(np.floor(np.abs(8 * boundaries)) % n, axis=-1) if n else boundaries * 0 - 1


CHAIN: dict[str, Any] = {
    "family": "monotonic",
    "source": ZEYER,
    "engines": ("numba", "numba-cuda", "cupy"),
    "checks": (_are_logarithms,),
    "valid": _some_impossible,
    "valid_by": ("dtype",),
    "defaults_to": {"log_initial": None},
    "positive": (),
    "largest": {"N": 17, "T": 9},
}
"""What the functions of a chain of positions share."""

LOOK: dict[str, Any] = {name: DENSE[name] for name in ("scale", "mask", "bias", "return_weights")}

RECORDS: tuple[Record, ...] = (
    Record(
        name="latent_monotonic_log_prob",
        title="Sum over all alignments",
        formula="a_i(t) = em_i(t) + lse_s(a_(i−1)(s) + tr_(i−1)(s, t)),  log p = lse_t a_(N−1)(t)",
        signature="(N,T),(N-1,T,T),(T)->()",
        options={"return_posterior": Flag()},
        **CHAIN,
    ),
    Record(
        name="latent_monotonic_viterbi",
        title="Best alignment",
        formula="a_i(t) = em_i(t) + max_s(a_(i−1)(s) + tr_(i−1)(s, t)),  path read back from the end",
        signature="(N,T),(N-1,T,T),(T)->(N),()",
        tier=2,
        **CHAIN,
    ),
    Record(
        name="latent_monotonic_posterior",
        title="Where the alignment is, given the output",
        formula="p(t_i = t | y) = exp(a_i(t) + b_i(t) − log p)",
        signature="(N,T),(N-1,T,T),(T)->(N,T)",
        tier=2,
        **CHAIN,
    ),
    Record(
        name="monotonic_position_log_prob",
        family="monotonic",
        title="A position that only moves forward",
        formula="p_i(s, t) = exp E_i(t) / Σ_(t' ≥ s + [strict]) exp E_i(t')  for t ≥ s + [strict]",
        signature="(N,T)->(N,T,T)",
        source=CONFIGURATIONS,
        options={"strict": Flag(), "allow_last": Flag(), "log": Flag()},
        tier=2,
        engines=("numba", "numba-cuda", "cupy"),
        positive=(),
        largest={"N": 17, "T": 33},
    ),
    Record(
        name="windowed_soft_attention",
        family="monotonic",
        title="Softmax in a window about a given place",
        formula="out_i = Σ_j softmax_j(s_ij) v_j  over  c_i − left ≤ j ≤ c_i + right",
        signature="(m,d),(n,d),(n,e),(m)->(m,e)",
        source=CONFIGURATIONS,
        options={"left": Integer(low=0, draw=(0, 6)), "right": Integer(low=0, draw=(0, 6)), **LOOK},
        tier=2,
        checks=(_centers_are_whole,),
        valid=_places,
        labels=("center",),
        exact=("center",),
    ),
    Record(
        name="segmental_soft_attention",
        family="monotonic",
        title="Softmax in the segment of each query",
        formula="out_i = Σ_j softmax_j(s_ij) v_j  over  b_(i−1) < j ≤ b_i",
        signature="(m,d),(n,d),(n,e),(m)->(m,e)",
        source=ZEYER,
        options=LOOK,
        tier=2,
        checks=(_boundaries_go_forward,),
        valid=_increasing,
        labels=("boundaries",),
        exact=("boundaries",),
    ),
    Record(
        name="linear_alignment",
        family="monotonic",
        title="A first guess along the diagonal",
        formula="t_i = min(round((i + 1) max((T − 1)/N, 1)), T − 1)",
        signature="->(n)",
        source=CONFIGURATIONS,
        kind="U",
        tier=3,
        engines=(),
    ),
)
