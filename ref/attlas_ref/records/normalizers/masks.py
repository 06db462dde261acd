"""Records of mask builders."""

from ..record import Record, Source


def _mask(name: str, title: str, formula: str, source: Source, tier: int = 2, file: str = "masks") -> Record:
    return Record(
        name=name,
        family="normalizers",
        title=title,
        formula=formula,
        signature="->(m,n)",
        source=source,
        kind="U",
        tier=tier,  # type: ignore[arg-type]
        file=file,
        engines=(),
    )


MODALITY = "modality_masks"

RECORDS = (
    _mask(
        "causal_mask",
        "Causal, aligned at the end",
        "j ≤ i + n − m",
        Source("Vaswani et al.", "Attention Is All You Need", 2017, "1706.03762"),
        tier=1,
    ),
    _mask(
        "prefix_mask",
        "Prefix-LM",
        "j ≤ i or j < prefix_length",
        Source("Dong et al.", "Unified Language Model Pre-training", 2019, "1905.03197"),
    ),
    _mask(
        "modality_mutual_mask",
        "AKI",
        "j ≤ i, or i in the image and j in the text; and valid_j",
        Source("Wang et al.", "AKI: modality-mutual attention", 2025, "2503.02597"),
        file=MODALITY,
    ),
    _mask(
        "known_token_mask",
        "BAMM",
        "known_j, or j ≤ i and not known_i",
        Source("Pinyoanuntapong et al.", "BAMM: Bidirectional Autoregressive Motion Model", 2024, "2403.19435"),
        file=MODALITY,
    ),
    _mask(
        "skip_causal_mask",
        "Clean and noised blocks in one pass (ACDiT)",
        "clean: b_j ≤ b_i; noised: clean b_j < b_i or noised b_j = b_i",
        Source(
            "Hu et al.",
            "ACDiT: Interpolating Autoregressive Conditional Modeling and Diffusion Transformer",
            2024,
            "2412.07720",
        ),
        file=MODALITY,
    ),
    _mask(
        "composite_mask",
        "EE-MLLM",
        "text: j ≤ i; visual: j = i",
        Source(
            "Ma et al.",
            "EE-MLLM: A Data-Efficient and Compute-Efficient Multimodal Large Language Model",
            2024,
            "2408.11795",
        ),
        tier=3,
        file=MODALITY,
    ),
    _mask(
        "isolation_mask",
        "Subjects that do not see each other",
        "g_i = g_j, or one of them is the background",
        Source("IR-Diffusion", "Isolation and Reposition Attention", 2024),
        tier=3,
    ),
    _mask(
        "block_mask",
        "Block-structured mask",
        "allowed[b_i, b_j]",
        Source("Textbook", "Block-structured masks", 2017),
    ),
    _mask(
        "identity_mask",
        "Each token sees only itself",
        "i = j",
        Source("Ahn et al.", "Perturbed-Attention Guidance", 2024, "2403.17377"),
        tier=3,
    ),
)
