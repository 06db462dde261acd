"""Records of tasks and constructions for higher order and for rank."""

from typing import Literal

from ..record import Record, Source

SANFORD = Source(
    "Sanford, Hsu & Telgarsky", "Representational Strengths and Limitations of Transformers", 2023, "2306.02896"
)
AMSEL = Source("Amsel, Yehudai & Bruna", "On the Benefits of Rank in Attention Layers", 2024, "2407.16153")


def _task(
    name: str, title: str, formula: str, signature: str, tier: Literal[1, 2, 3], source: Source, file: str
) -> Record:
    return Record(
        name=name,
        family="kronecker",
        title=title,
        formula=formula,
        signature=signature,
        source=source,
        kind="U",
        tier=tier,
        file=file,
        engines=(),
    )


MATCH, NEIGHBOR = "match_tasks", "nearest_neighbor_task"

RECORDS = (
    _task("match2_task", "Pairwise matching", "∃ j: x_i + x_j ≡ 0 mod M", "->(n)", 2, SANFORD, MATCH),
    _task("match3_task", "Triple matching", "∃ j, k: x_i + x_j + x_k ≡ 0 mod M", "->(n)", 2, SANFORD, MATCH),
    _task(
        "match2_construction",
        "Explicit arrays with which softmax attention solves Match2",
        "q = c (cos θ, −sin θ, −µ),  k = (cos θ, sin θ, 1),  θ = 2πx/M,  and a null token",
        "->(n,3),(n+1,3),(n+1,1)",
        1,
        SANFORD,
        MATCH,
    ),
    _task(
        "match3_construction",
        "Explicit arrays with which tensor attention solves Match3",
        "q = c (cos θ, −cos θ, −sin θ, −sin θ, −µ),  k₁ = (cos, sin, cos, sin, 1),  k₂ = (cos, sin, sin, cos, 1)",
        "->(n,5),{(n+1,5),(n+1,5)},{(n+1,1),(n+1,1)}",
        1,
        SANFORD,
        MATCH,
    ),
    _task(
        "nearest_neighbor_task",
        "Nearest neighbor on the sphere",
        "out = x_{i*},  i* = argmax_i <x_i, y> + b_i",
        "->(d)",
        2,
        AMSEL,
        NEIGHBOR,
    ),
    _task(
        "low_rank_heads_error",
        "How well heads of low rank fit the nearest neighbor",
        "min_V mean_b |Σ_h softmax(scale·(y W^Q_h)(X W^K_h)ᵀ) X V_h − x*|²",
        "->()",
        3,
        AMSEL,
        NEIGHBOR,
    ),
)
