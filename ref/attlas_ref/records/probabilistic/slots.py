"""Records of slots that compete for inputs."""

from ...contract.options import Array, Flag, Integer, Number, Option
from ..record import Record, Source
from ..shared import DENSE

LOCATELLO = Source("Locatello et al.", "Object-Centric Learning with Slot Attention", 2020, "2006.15055")
COSA = Source(
    "Kori, Locatello, De Sousa Ribeiro, Toni & Glocker", "Grounded Object Centric Learning", 2023, "2307.09437"
)
EPS = Number(low=0.0, draw=(0.0, 0.01))


def _weights(**cores: tuple[str, ...]) -> dict[str, Option]:
    """Learned weights, the same for the whole batch."""
    return {name: Array(core=core, batched=False) for name, core in cores.items()}


QUERY = _weights(w_query=("d", "d"), b_query=("d",))
INPUT = _weights(w_key=("D", "d"), b_key=("d",), w_value=("D", "d"), b_value=("d",))
GRU = _weights(gru_w_input=("d", "3d"), gru_w_hidden=("d", "3d"), gru_b_input=("3d",), gru_b_hidden=("3d",))
MLP = _weights(mlp_w1=("d", "f"), mlp_b1=("f",), mlp_w2=("f", "d"), mlp_b2=("d",))
NORMS = _weights(norm_slots_gain=("d",), norm_slots_bias=("d",), norm_mlp_gain=("d",), norm_mlp_bias=("d",))
NORM_INPUT = _weights(norm_input_gain=("D",), norm_input_bias=("D",))
LOOP: dict[str, Option] = {"steps": Integer(low=0, draw=(0, 4)), "eps": EPS}

RECORDS: tuple[Record, ...] = (
    Record(
        name="competitive_attention",
        family="probabilistic",
        title="Softmax over queries, weighted mean over keys",
        formula="a_ij = e^s_ij / Σ_l e^s_lj,  w_ij = (a_ij + eps) / Σ_l (a_il + eps),  out_i = Σ_j w_ij v_j",
        signature="(m,d),(n,d),(n,e)->(m,e)",
        source=LOCATELLO,
        options={"eps": EPS, **{name: option for name, option in DENSE.items() if name != "causal"}},
        peer="torch_competitive_attention",
    ),
    Record(
        name="slot_attention",
        family="probabilistic",
        title="Slot attention",
        formula="u = compete(LN(s) W_q, K, V),  s' = GRU(u, s),  s ← s' + MLP(LN(s'))",
        signature="(n,D),(k,d)->(k,d)",
        source=LOCATELLO,
        options={
            **QUERY,
            **INPUT,
            **GRU,
            **MLP,
            **NORM_INPUT,
            **NORMS,
            **LOOP,
            "mask": Array(core=("n",), boolean=True, broadcast=True, optional=True),
            "return_weights": Flag(),
        },
        kind="C",
        peer="torch_slot_attention",
    ),
    Record(
        name="slots_init",
        family="probabilistic",
        title="Initial slots",
        formula="slot_k = μ + σ noise_k",
        signature="(d),(d),(k,d)->(k,d)",
        source=LOCATELLO,
        kind="U",
        tier=3,
        file="slot_attention",
        engines=(),
    ),
    Record(
        name="conditional_slot_attention",
        family="probabilistic",
        title="Slot refinement over Monte Carlo draws",
        formula="u = compete(LN(s) W_q, K, V),  s' = GRU(u, s),  s ← s' + ReLU(MLP(LN(s')))",
        signature="(n,d),(n,d),(M,k,d)->(M,k,d)",
        source=COSA,
        options={**QUERY, **GRU, **MLP, **NORMS, **LOOP, "mlp_output_relu": Flag()},
        kind="C",
        tier=2,
        largest={"M": 9},
    ),
    Record(
        name="spectral_slot_count",
        family="probabilistic",
        title="Number of slots from the spectrum of the features",
        formula="λ = eig(F Fᵀ / |F|²),  count = #{k : round(λ_k) > 0}",
        signature="(n,d)->(n),(n),(),()",
        source=COSA,
        options={"return_properties": Flag()},
        kind="C",
        tier=2,
        pooled=(3,),
        largest={"n": 17},
    ),
    Record(
        name="slot_dictionary_lookup",
        family="probabilistic",
        title="Slots from a dictionary of priors",
        formula="c_k = argmin_c |o_k − e_c|²,  slot_k = μ_c + e^(ρ_c/2) noise_k",
        signature="(k,d),(C,d),(C,d),(C,d),(k,d)->(k),(k,d)",
        source=COSA,
        kind="U",
        tier=3,
        file="spectral_slot_count",
        engines=(),
        positive=("d", "C"),
    ),
)
