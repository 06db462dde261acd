"""Records of the other maps from scores to weights."""

from ..contract.options import Choice, Flag, Number
from .record import Record, Source
from .shared import DENSE, POSITIVE

RECORDS = (
    Record(
        name="sigmoid_attention",
        family="normalizers",
        title="Elementwise logistic weights",
        formula="out_i = Σ_j σ(s_ij + offset) v_j,  offset = −log n by default",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source(
            "Ramapuram, Danieli, Dhekane, Weers, Busbridge et al.",
            "Theory, Analysis, and Best Practices for Sigmoid Self-Attention",
            2024,
            "2409.04431",
            "eq. (3)",
        ),
        options={"offset": Number(optional=True, draw=(-4.0, 4.0)), **DENSE},
        peer="torch_sigmoid_attention",
    ),
    Record(
        name="relu_attention",
        family="normalizers",
        title="Rectified weights",
        formula="out_i = Σ_j max(s_ij, 0)^r / N_i v_j,  r = 1 or 2,  N_i = n^p, Σ_j max(s_ij, 0)^r or 1",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source(
            "Wortsman, Lee, Gilmer & Kornblith",
            "Replacing softmax with ReLU in Vision Transformers",
            2023,
            "2309.08586",
        ),
        options={
            "length_power": Number(draw=(0.0, 2.0)),
            "squared": Flag(),
            "normalize": Choice(values=("length", "sum", None)),
            **DENSE,
        },
        peer="torch_relu_attention",
    ),
    Record(
        name="softcapped_attention",
        family="normalizers",
        title="Tanh logit capping",
        formula="out_i = Σ_j softmax_j(cap·tanh(s_ij / cap)) v_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=Source("Gemma Team", "Gemma 2: Improving Open Language Models at a Practical Size", 2024, "2408.00118"),
        options={"cap": POSITIVE, **DENSE},
        tier=2,
        peer="torch_softcapped_attention",
    ),
)
