"""Records of scores that involve learned functions."""

from typing import Any

from ...contract.options import Array, Choice, Flag, Integer, Number
from ..record import Draft, Record, Source
from ..shared import DENSE, TILES_OF_A_BATCH, VISIBILITY

LUONG = Source(
    "Luong, Pham & Manning",
    "Effective Approaches to Attention-based Neural Machine Translation",
    2015,
    "1508.04025",
    "eq. (8)",
)
MINIMUM = Source(
    "Bermeitinger, Hrycej, Pavone, Kath & Handschuh",
    "Reducing the Transformer Architecture to a Minimum",
    2024,
    "2410.13732",
)
BETTER = Source(
    "Hosseini & Hosseini",
    "You Need to Pay Better Attention: Rethinking the Mathematics of Attention Mechanism",
    2024,
    "2403.01643",
)
RELATIONAL = Source(
    "Altabaa & Lafferty",
    "Disentangling and Integrating Relational and Sensory Information in Transformer Architectures",
    2024,
    "2405.16727",
    "Algorithm 1",
)
SEEN = {name: DENSE[name] for name in ("mask", "causal", "return_weights")}
EDGES = {"mask": DENSE["mask"], "negative_slope": Number(draw=(0.0, 1.0)), "return_weights": DENSE["return_weights"]}
EDGE_BIAS = {"edge_bias": Array(core=("m", "n"), broadcast=True, optional=True)}
ACTIVATION = Choice(values=("identity", "relu", "tanh", "sigmoid", "softmax"))


def _second_layer_is_whole(function: str, values: dict[str, Any]) -> None:
    weight2, bias2 = values["weight2"], values["bias2"]
    if (weight2 is None) != (bias2 is None):
        missing, given = ("weight2", "bias2") if weight2 is None else ("bias2", "weight2")
        raise ValueError(f"{function}: {missing} is None and {given} is given; it needs both or neither")
    width = values["weight1"].shape[-1] if weight2 is None else weight2.shape[-1]
    if values["weight3"].shape != (width,):
        raise ValueError(f"{function}: weight3 has shape {values['weight3'].shape}; it needs ({width},)")


def _position_weight_is_wide_enough(function: str, values: dict[str, Any]) -> None:
    n, columns = values["value"].shape[-2], values["weight"].shape[-1]
    if n > columns:
        raise ValueError(f"{function}: weight has {columns} columns and value has {n} rows; it needs one for each")


def _heads_divide_the_width(function: str, values: dict[str, Any]) -> None:
    heads, width = values["query_weight"].shape[0], values["value"].shape[-1]
    if heads == 0 or width % heads:
        raise ValueError(f"{function}: query_weight has {heads} heads; it needs a number that divides D = {width}")


def _powers_are_defined(function: str, values: dict[str, Any]) -> None:
    adjacency, power = values["adjacency"], values["power"]
    if power is None:
        return
    if bool((adjacency < 0).any()) and bool((power % 1 != 0).any()):
        raise ValueError(f"{function}: adjacency has a negative entry; it needs none where power is not whole")
    if bool(((adjacency == 0) & (power < 0)).any()):
        raise ValueError(f"{function}: adjacency has a zero with a negative power; it needs another entry there")


def _base_is_positive(function: str, values: dict[str, Any]) -> None:
    if not bool((values["base"] > 0).all()):
        raise ValueError(f"{function}: base has an entry that is not positive; it needs base > 0")


NEEDED_BY_METHOD = {
    "concat": (),
    "gate": ("gate_weight", "gate_bias"),
    "affine": ("scale_weight", "scale_bias", "shift_weight", "shift_bias"),
    "nonlinear_affine": ("scale_weight", "scale_bias", "shift_weight", "shift_bias"),
}


def _weights_of_the_method_are_there(function: str, values: dict[str, Any]) -> None:
    method = values["method"]
    for name in NEEDED_BY_METHOD[method]:
        if values[name] is None:
            raise ValueError(f"{function}: {name} is None; it needs an array with method {method!r}")
    if (values["hidden_weight"] is None) != (values["hidden_bias"] is None):
        missing = "hidden_weight" if values["hidden_weight"] is None else "hidden_bias"
        raise ValueError(f"{function}: {missing} is None; it needs hidden_weight and hidden_bias together")
    width = values["inputs"].shape[-1] + (values["features"].shape[-1] if method == "concat" else 0)
    if values["hidden_weight"] is not None:
        rows, width = values["hidden_weight"].shape[-2], values["hidden_weight"].shape[-1]
        needed = values["inputs"].shape[-1] + (values["features"].shape[-1] if method == "concat" else 0)
        if rows != needed:
            raise ValueError(f"{function}: hidden_weight has {rows} rows; it needs {needed} with method {method!r}")
    if values["score_weight"].shape != (width,):
        raise ValueError(f"{function}: score_weight has shape {values['score_weight'].shape}; it needs ({width},)")


def _draw_both_layers_or_one(draft: Draft) -> None:
    if draft.given & {"weight2", "bias2"}:
        draft.given |= {"weight2", "bias2"}
    draft.sizes["h"] = draft.sizes["w" if "weight2" in draft.given else "u"]


def _draw_enough_positions(draft: Draft) -> None:
    draft.sizes["l"] = max(draft.sizes["l"], draft.sizes["n"])


def _draw_heads_that_divide(draft: Draft) -> None:
    d = draft.sizes["d"] = max(1, draft.sizes["d"])
    draft.sizes["h"] = max(h for h in (1, 2, 3) if d % h == 0 and h <= max(1, draft.sizes["h"]))


def _draw_what_the_method_needs(draft: Draft) -> None:
    layer = {"hidden_weight", "hidden_bias"}
    if draft.given & layer:
        draft.given |= layer
    method = draft.options.get("method", "concat")
    draft.given |= set(NEEDED_BY_METHOD[method])
    draft.sizes["g"] = draft.sizes["d"] + (draft.sizes["f"] if method == "concat" else 0)
    draft.sizes["w"] = draft.sizes["a" if "hidden_weight" in draft.given else "g"]


def _draw_no_relative_symbols(draft: Draft) -> None:
    # Symbols of pairs have one axis more than the signature says; a law speaks of them.
    draft.options["symbols_relative"] = False


def _draw_as_many_queries_as_rows(draft: Draft) -> None:
    if draft.options.get("m") is None:
        draft.sizes["m"] = draft.sizes["n"]
    else:
        draft.options["m"] = draft.sizes["m"]


RECORDS = (
    Record(
        name="additive_attention",
        family="dotproduct",
        title="Bahdanau (additive) attention",
        formula="out_i = Σ_j softmax_j(u · tanh(q_i W_q + k_j W_k + b)) v_j",
        signature="(m,p),(n,r),(n,e)->(m,e)",
        source=Source(
            "Bahdanau, Cho & Bengio",
            "Neural Machine Translation by Jointly Learning to Align and Translate",
            2014,
            "1409.0473",
        ),
        options={
            "query_weight": Array(core=("p", "a"), batched=False),
            "key_weight": Array(core=("r", "a"), batched=False),
            "score_vector": Array(core=("a",), batched=False),
            "score_bias": Array(core=("a",), batched=False, optional=True),
            **SEEN,
        },
        peer="torch_additive_attention",
    ),
    Record(
        name="concat_attention",
        family="dotproduct",
        title="Luong concat",
        formula="out_i = Σ_j softmax_j(u · tanh([q_i; k_j] W)) v_j",
        signature="(m,p),(n,r),(n,e)->(m,e)",
        source=LUONG,
        options={
            "weight": Array(core=("p+r", "a"), batched=False),
            "score_vector": Array(core=("a",), batched=False),
            **SEEN,
        },
        kind="C",
        tier=2,
    ),
    Record(
        name="bilinear_attention",
        family="dotproduct",
        title="Luong general",
        formula="out_i = Σ_j softmax_j(q_iᵀ W k_j) v_j",
        signature="(m,p),(n,r),(n,e)->(m,e)",
        source=LUONG,
        options={
            "weight": Array(core=("p", "r"), batched=False),
            "normalizer": Choice(values=("softmax", "sparsemax")),
            **SEEN,
        },
        kind="C",
    ),
    Record(
        name="location_attention",
        family="dotproduct",
        title="Luong location",
        formula="out_i = Σ_j softmax_j(q_i W) v_j",
        signature="(m,p),(n,e)->(m,e)",
        source=LUONG,
        options={
            "weight": Array(core=("p", "l"), batched=False),
            "mask": DENSE["mask"],
            "return_weights": DENSE["return_weights"],
        },
        kind="C",
        tier=2,
        checks=(_position_weight_is_wide_enough,),
        arrange=(_draw_enough_positions,),
    ),
    Record(
        name="neural_attention",
        family="dotproduct",
        title="Feed-forward score",
        formula="out_i = Σ_j softmax_j(relu(relu([q_i; k_j] W₁ + b₁) W₂ + b₂) · w₃ + b₃) v_j",
        signature="(m,p),(n,p),(n,e)->(m,e)",
        source=Source(
            "DiGiugno & Mahmood",
            "Neural Attention: A Novel Mechanism for Enhanced Expressive Power in Transformer Models",
            2025,
            "2502.17206",
        ),
        options={
            "weight1": Array(core=("2p", "u"), batched=False),
            "bias1": Array(core=("u",), batched=False),
            "weight3": Array(core=("h",), batched=False),
            "bias3": Number(draw=(-2.0, 2.0)),
            "weight2": Array(core=("u", "w"), batched=False, optional=True),
            "bias2": Array(core=("w",), batched=False, optional=True),
            **SEEN,
        },
        tier=2,
        checks=(_second_layer_is_whole,),
        arrange=(_draw_both_layers_or_one,),
        rounds_with_the_batch=TILES_OF_A_BATCH,
        peer="torch_neural_attention",
    ),
    Record(
        name="graph_attention",
        family="dotproduct",
        title="GAT",
        formula="out_i = Σ_j softmax_j(LeakyReLU(a_q·q_i + a_k·k_j + edge_bias_ij)) v_j",
        signature="(m,c),(n,c),(n,e)->(m,e)",
        source=Source(
            "Veličković, Cucurull, Casanova, Romero, Liò & Bengio", "Graph Attention Networks", 2017, "1710.10903"
        ),
        options={"query_vector": Array(core=("c",)), "key_vector": Array(core=("c",)), **EDGES, **EDGE_BIAS},
        tier=2,
        peer="torch_graph_attention",
    ),
    Record(
        name="graph_attention_v2",
        family="dotproduct",
        title="GATv2",
        formula="out_i = Σ_j softmax_j(a · LeakyReLU(q_i + k_j) + edge_bias_ij) v_j",
        signature="(m,c),(n,c),(n,e)->(m,e)",
        source=Source("Brody, Alon & Yahav", "How Attentive are Graph Attention Networks?", 2021, "2105.14491"),
        options={"score_vector": Array(core=("c",)), **EDGES, **EDGE_BIAS},
        tier=2,
        peer="torch_graph_attention_v2",
    ),
    Record(
        name="coulomb_graph_attention",
        family="dotproduct",
        title="CoulGAT",
        formula="out = act(w Z),  w_i = softmax_j LeakyReLU(a_i · (P Z)_j),  P = softmax(A^power),  Z = X W + b",
        signature="(n,f),(n,n)->(n,c)",
        source=Source(
            "Gokden",
            "CoulGAT: An Experiment on Interpretability of Graph Attention Networks",
            2019,
            "1912.08409",
        ),
        options={
            "weight": Array(core=("f", "c"), batched=False),
            "node_bias": Array(core=("n", "c"), batched=False),
            "score_matrix": Array(core=("n", "c"), batched=False),
            "power": Array(core=("n", "n"), batched=False, optional=True),
            "negative_slope": Number(draw=(0.0, 1.0)),
            "activation": Choice(values=("relu", "identity")),
            "return_weights": Flag(),
        },
        kind="C",
        tier=2,
        checks=(_powers_are_defined,),
        valid=lambda features, adjacency: (features, abs(adjacency) + 1),
    ),
    Record(
        name="relational_attention",
        family="dotproduct",
        title="Relational attention with symbols",
        formula="out_i = Σ_j softmax_j(s_ij) (act(<rq_i, rk_j>) W_r + σ_j)",
        signature="(h,m,d),(h,n,d),(r,m,p),(r,n,p),(h,n,e)->(h,m,e)",
        source=RELATIONAL,
        options={
            "relation_weight": Array(core=("h", "r", "e"), batched=False),
            "activation": ACTIVATION,
            "relation_scale": Number(optional=True, draw=(-2.0, 2.0)),
            "symbols_relative": Flag(),
            **DENSE,
            "mask": Array(core=("h", "m", "n"), boolean=True, broadcast=True, optional=True),
            "bias": Array(core=("h", "m", "n"), broadcast=True, optional=True),
        },
        tier=2,
        positive=("d", "p"),
        arrange=(_draw_no_relative_symbols,),
        wider={"symbols_relative": {"symbols": ("h", "m", "n", "e")}},
        peer="torch_relational_attention",
    ),
    Record(
        name="dual_attention",
        family="dotproduct",
        title="Sensory heads beside relational heads",
        formula="out_i = [softmax heads; relational heads]",
        signature="(s,m,d),(s,n,d),(s,n,e),(h,m,c),(h,n,c),(r,m,p),(r,n,p),(h,n,e)->(m,w)",
        source=RELATIONAL,
        options={
            "relation_weight": Array(core=("h", "r", "e"), batched=False),
            "activation": ACTIVATION,
            "relation_scale": Number(optional=True, draw=(-2.0, 2.0)),
            "scale": VISIBILITY["scale"],
            "mask": Array(core=("1", "m", "n"), boolean=True, broadcast=True, optional=True),
            "causal": DENSE["causal"],
        },
        kind="C",
        tier=2,
        positive=("d", "c", "p"),
    ),
    Record(
        name="conditional_cross_attention",
        family="dotproduct",
        title="Conditional DETR",
        formula="out_i = Σ_j softmax_j(scale·(<q_i, k_j> + <pq_i, pk_j>) + bias_ij) v_j",
        signature="(m,d),(n,d),(n,e),(m,t),(n,t)->(m,e)",
        source=Source(
            "Meng, Chen, Fan, Zeng, Li, Yuan, Sun & Wang",
            "Conditional DETR for Fast Training Convergence",
            2021,
            "2108.06152",
        ),
        options=DENSE,
        kind="C",
        tier=2,
    ),
    Record(
        name="conditioned_attention",
        family="dotproduct",
        title="Conditioning on external features",
        formula="out = Σ_j softmax_j(w · g(h_j, c_j) + b) h_j",
        signature="(n,d),(n,f)->(d)",
        source=Source(
            "Margatina, Baziotis & Potamianos",
            "Attention-based Conditioning Methods for External Knowledge Integration",
            2019,
            "1906.03674",
            "eqs (4)-(6)",
        ),
        options={
            "score_weight": Array(core=("w",), batched=False),
            "score_bias": Number(draw=(-2.0, 2.0)),
            "method": Choice(values=("concat", "gate", "affine", "nonlinear_affine")),
            "gate_weight": Array(core=("f", "d"), batched=False, optional=True),
            "gate_bias": Array(core=("d",), batched=False, optional=True),
            "scale_weight": Array(core=("f", "d"), batched=False, optional=True),
            "scale_bias": Array(core=("d",), batched=False, optional=True),
            "shift_weight": Array(core=("f", "d"), batched=False, optional=True),
            "shift_bias": Array(core=("d",), batched=False, optional=True),
            "hidden_weight": Array(core=("g", "a"), batched=False, optional=True),
            "hidden_bias": Array(core=("a",), batched=False, optional=True),
            "mask": Array(core=("n",), boolean=True, broadcast=True, optional=True),
            "return_weights": Flag(),
        },
        kind="C",
        tier=2,
        checks=(_weights_of_the_method_are_there,),
        arrange=(_draw_what_the_method_needs,),
    ),
    Record(
        name="collapsed_attention",
        family="dotproduct",
        title="One matrix in place of query and key weights",
        formula="out = softmax(scale·X W Yᵀ + bias) Y",
        signature="(m,d),(n,d)->(m,d)",
        source=MINIMUM,
        options={"weight": Array(core=("d", "d"), batched=False), **DENSE},
        kind="C",
        tier=2,
        defaults_to={"context": "inputs"},
    ),
    Record(
        name="symmetric_attention",
        family="dotproduct",
        title="Symmetric scores",
        formula="out = softmax(scale·(X F)(X F)ᵀ + bias) X",
        signature="(n,d)->(n,d)",
        source=MINIMUM,
        options={
            "factor": Array(core=("d", "r"), batched=False),
            **DENSE,
            "mask": Array(core=("n", "n"), boolean=True, broadcast=True, optional=True),
            "bias": Array(core=("n", "n"), broadcast=True, optional=True),
        },
        kind="C",
        tier=2,
        positive=("d", "r"),
    ),
    Record(
        name="optimized_attention",
        family="dotproduct",
        title="Multi-head attention without the value weight",
        formula="out = [softmax((Q W^Q_i)(K W^K_i)ᵀ / √c) V_i]_i W^O",
        signature="(m,d),(n,d),(n,d)->(m,d)",
        source=BETTER,
        options={
            "query_weight": Array(core=("h", "d", "c"), batched=False),
            "key_weight": Array(core=("h", "d", "c"), batched=False),
            "output_weight": Array(core=("d", "d"), batched=False),
            "mask": DENSE["mask"],
            "causal": DENSE["causal"],
        },
        kind="C",
        tier=2,
        checks=(_heads_divide_the_width,),
        arrange=(_draw_heads_that_divide,),
        positive=("d", "c"),
    ),
    Record(
        name="lean_attention",
        family="dotproduct",
        title="One head, no key and value weights",
        formula="out = softmax((Q W^Q) Kᵀ / √D) V W^O",
        signature="(m,d),(n,d),(n,d)->(m,d)",
        source=BETTER,
        options={
            "query_weight": Array(core=("d", "d"), batched=False),
            "output_weight": Array(core=("d", "d"), batched=False),
            "mask": DENSE["mask"],
            "causal": DENSE["causal"],
        },
        kind="C",
        tier=2,
    ),
    Record(
        name="super_attention",
        family="dotproduct",
        title="Mixing positions of the values",
        formula="out = softmax((Q W^Q) Kᵀ / √D) (W^A V) W^O",
        signature="(m,d),(n,d),(n,d)->(m,d)",
        source=BETTER,
        options={
            "query_weight": Array(core=("d", "d"), batched=False),
            "alignment": Array(core=("n", "n"), batched=False),
            "output_weight": Array(core=("d", "d"), batched=False),
            "mask": DENSE["mask"],
            "causal": DENSE["causal"],
        },
        kind="C",
        tier=2,
    ),
    Record(
        name="uniform_attention",
        family="dotproduct",
        title="Mean over the visible values",
        formula="out_i = mean of the v_j that query i sees",
        signature="(n,e)->(m,e)",
        source=Source("Xue, Moosavi & Aletras", "Deconstructing Attention", 2025, "2510.11602"),
        options={
            "m": Integer(low=0, optional=True),
            "mask": Array(core=("m", "n"), boolean=True, broadcast=True, optional=True),
            "causal": Flag(),
        },
        counts={"m": "n"},
        arrange=(_draw_as_many_queries_as_rows,),
        kind="C",
        tier=3,
    ),
    Record(
        name="blend_bidirectional",
        family="dotproduct",
        title="Bitune",
        formula="x = (base·x_causal + |weight|·x_both) / (base + |weight|)",
        signature="(n,d),(n,d)->(n,d)",
        source=Source("Kopiczko, Blankevoort & Asano", "Bitune: Bidirectional Instruction-Tuning", 2024, "2405.14862"),
        options={
            "weight": Array(core=("n", "d"), broadcast=True),
            "base": Array(core=("n", "d"), broadcast=True, valid=lambda base: abs(base) + 1),
        },
        kind="C",
        tier=3,
        checks=(_base_is_positive,),
    ),
)
