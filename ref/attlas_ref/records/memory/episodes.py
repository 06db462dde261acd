"""Records of episodic recall and of the task that measures recall."""

from ..record import Record, Source

LINKING = Source(
    "Ji-An, Zhou, Benna & Mattar",
    "Linking In-context Learning in Transformers to Human Episodic Memory",
    2024,
    "2405.14992",
)
ZOOLOGY = Source(
    "Arora et al.", "Zoology: Measuring and Improving Recall in Efficient Language Models", 2023, "2312.04927"
)


def _utility(name: str, title: str, formula: str, shapes: str, source: Source, file: str, tier: int = 2) -> Record:
    return Record(
        name=name,
        family="memory",
        title=title,
        formula=formula,
        signature=f"->{shapes}",
        source=source,
        kind="U",
        tier=tier,  # type: ignore[arg-type]
        file=file,
        engines=(),
    )


RECORDS = (
    _utility(
        "cmr_encode",
        "Contextual maintenance and retrieval: the association matrix",
        "M = (I − (1 − β) T)⁻¹ T",
        "(N,N)",
        LINKING,
        "cmr",
    ),
    _utility(
        "cmr_recall",
        "Free recall from a CMR memory",
        "P ∝ Mᵀ t,  t ← (1 − β) t + β ((1 − γ) e + γ M e)",
        "(t,k)",
        LINKING,
        "cmr",
    ),
    _utility(
        "cmr_crp",
        "Conditional response probability by lag",
        "crp(d) ∝ Σ_s P_d(s) M[s, s + d] / Σ_j M[s, j]",
        "(k)",
        LINKING,
        "cmr",
    ),
    _utility(
        "mqar_task",
        "Multi-query associative recall",
        "key₁ value₁ … key_K value_K … key_t → value_t …",
        "(N,L),(N,L)",
        ZOOLOGY,
        "mqar_task",
    ),
    _utility(
        "mqar_draws",
        "Random draws for multi-query associative recall",
        "P(g = x − 1) ∝ power·x^(power − 1)",
        "(N,K),(N,K),(N,K)",
        ZOOLOGY,
        "mqar_task",
        tier=3,
    ),
)
