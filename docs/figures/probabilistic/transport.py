"""Figures of transport plans and attention with them."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attlas_ref.dotproduct.softmax_attention import softmax_attention
from attlas_ref.probabilistic.conditional_transport import conditional_transport
from attlas_ref.probabilistic.cosine_cost import cosine_cost
from attlas_ref.probabilistic.ipot_plan import ipot_plan
from attlas_ref.probabilistic.optimal_transport_distance import optimal_transport_distance
from attlas_ref.probabilistic.sinkhorn_attention import sinkhorn_attention
from attlas_ref.probabilistic.sinkhorn_plan import sinkhorn_plan
from attlas_ref.probabilistic.unbalanced_sinkhorn_plan import unbalanced_sinkhorn_plan

from ..general import SOURCE, real_head
from ..panels import SMALL, draw_maps, draw_rows
from ..style import LINES, color_scale, line, show_weights
from .words import HERE, THERE, WORDS_FROM, words_at

Reals = NDArray[np.float64]
ENOUGH = 4000
"""Steps after which a plan with a small epsilon has settled."""


def _words() -> tuple[Reals, list[str], list[str]]:
    """The cost between words of the beginning and words of later on."""
    here, there = words_at(HERE), words_at(THERE)
    return cosine_cost(here.vectors, there.vectors), here.words, there.words


def _between(figure: Figure, panels: list[tuple[str, Reals]], label: str) -> None:
    """Draw maps between the words of the beginning and those of later on."""
    _, here, there = _words()
    for index, axes in enumerate(draw_maps(figure, panels, here, there, label=label)):
        axes.set(xlabel="later word", ylabel="" if index else "early word")


def _plan(figure: Figure) -> str:
    cost, here, _ = _words()
    plans = [
        (f"epsilon = {epsilon:g}", sinkhorn_plan(cost, epsilon=epsilon, steps=ENOUGH)) for epsilon in (1, 0.1, 0.01)
    ]
    _between(figure, [(title, len(here) * plan) for title, plan in plans], "share of the early word's mass")
    return (
        "Each early word has a mass of 1/8 to give and each later word takes 1/9; moving costs one minus the cosine. "
        "With a large epsilon everybody gives to everybody; as it vanishes the plan finds the same words again, "
        f"“tired” gives to “sleepy”, and what is left goes where it is wanted. {WORDS_FROM}."
    )


def _exact(figure: Figure) -> str:
    cost, _, _ = _words()
    distance, plan = optimal_transport_distance(cost, return_plan=True)
    used = int((plan > 0).sum())
    left, right = figure.subplots(1, 2)
    epsilons, steps = np.geomspace(0.01, 3, 20), np.unique(np.geomspace(1, 300, 24).astype(int))
    smooth = [float((sinkhorn_plan(cost, epsilon=e, steps=ENOUGH) * cost).sum()) for e in epsilons]
    left.semilogx(epsilons, smooth, label="sinkhorn_plan", **line(0))
    left.axhline(distance, label="the linear program", **line(1))
    left.set(title="The smoothed plan pays more", xlabel="epsilon", ylabel="cost of the plan")
    left.legend()
    for index, beta in enumerate((0.1, 0.5)):
        walk = [ipot_plan(cost, beta=beta, steps=int(t)) for t in steps]
        missed = [float(np.abs(p.sum(axis=0) - 1 / 9).sum()) for p in walk]
        right.loglog(steps, missed, label=f"ipot_plan, beta = {beta:g}", **line(index))
    missed = [float(np.abs(sinkhorn_plan(cost, epsilon=0.01, steps=int(t)).sum(axis=0) - 1 / 9).sum()) for t in steps]
    right.loglog(steps, missed, label="sinkhorn_plan, epsilon = 0.01", **line(2))
    right.set(title="How soon the columns are right", xlabel="steps", ylabel="mass that is misplaced")
    right.legend()
    return (
        f"Transport between eight early and nine later words. The linear program pays {distance:.3f} and uses {used} "
        f"of {cost.size} pairs, at most 8 + 9 − 1; Sinkhorn's cost falls to it with epsilon. {WORDS_FROM}."
    )


def _proximal(figure: Figure) -> str:
    cost, here, _ = _words()
    panels = [(f"{t} step{'s' * (t > 1)}", len(here) * ipot_plan(cost, beta=0.5, steps=t)) for t in (1, 10, 200)]
    _between(figure, panels, "share of the early word's mass")
    distance = optimal_transport_distance(cost)
    found = [float(ipot_plan(cost, beta=0.5, steps=t, return_distance=True).distance) for t in (1, 10, 200)]
    return (
        f"The same blurred step (beta = 0.5) again and again comes into focus: the plan costs {found[0]:.3f}, then "
        f"{found[1]:.3f}, then {found[2]:.3f}; the linear program's costs {distance:.3f}. {WORDS_FROM}."
    )


def _relaxed(figure: Figure) -> str:
    cost, here, there = _words()
    a, b = np.full(len(here), 1 / len(here)), np.full(len(there), 1 / len(there))
    left, right = figure.subplots(1, 2)
    plan = unbalanced_sinkhorn_plan(cost, row_marginal=a, column_marginal=b, epsilon=0.03, marginal_penalty=0.3)
    mesh = show_weights(left, len(here) * plan, here, "penalty 0.3", keys=there)
    left.set(xlabel="later word", ylabel="early word")
    color_scale(figure, mesh, left, "share of the early word's mass")
    penalties = np.geomspace(0.03, 30, 25)
    masses = np.array([
        unbalanced_sinkhorn_plan(cost, row_marginal=a, column_marginal=b, epsilon=0.03, marginal_penalty=p).sum(axis=0)
        for p in penalties
    ])  # fmt: skip
    for index, word in enumerate(("conversations", "sleepy", "her")):
        right.semilogx(penalties, masses[:, there.index(word)] / b[0], label=word, **line(index))
    right.set(
        title="What later words receive", xlabel="marginal_penalty", ylabel="share of what they want", ylim=(0, None)
    )
    right.legend()
    return (
        "A word without a match need not be served: “her” is far from all early words and stays nearly empty until the "
        f"penalty exceeds what it costs to reach it (epsilon 0.03). {WORDS_FROM}."
    )


def _cosine(figure: Figure) -> str:
    cost, here, there = _words()
    axes = figure.subplots()
    mesh = show_weights(axes, cost, here, "Cost between words", keys=there, limits=(0, float(cost.max())))
    axes.set(xlabel="later word", ylabel="early word")
    color_scale(figure, mesh, axes, "one minus cosine")
    return (
        "The same word again costs next to nothing, a related one (tired, sleepy) little, and words that have nothing "
        f"to do with each other about 1. {WORDS_FROM}."
    )


def _conditional(figure: Figure) -> str:
    cost, _, _ = _words()
    result = conditional_transport(cost, -cost / 0.1, return_plans=True)
    panels = [("forward: rows attend", result.forward_plan), ("backward: columns attend", result.backward_plan)]
    _between(figure, panels, "weight")
    return (
        f"Forward each early word picks later words, which costs {result.forward:.2f}; backward each later word picks "
        f"early ones, which costs {result.backward:.2f}. Nobody has to be picked: forward, “her” is left out "
        f"(navigator: minus the cost over 0.1). {WORDS_FROM}."
    )


def _attention(figure: Figure) -> str:
    head = real_head(3, 1)
    softmax = softmax_attention(*head[:3], return_weights=True).weights
    plan = sinkhorn_attention(*head[:3], return_weights=True).weights
    grid = figure.subplots(1, 3)
    for axes, weights, title in zip(grid, (softmax, plan), ("softmax", "plan"), strict=False):
        mesh = show_weights(axes, weights, head.words, title, label_queries=axes is grid[0])
        axes.tick_params(labelsize=SMALL)
    color_scale(figure, mesh, list(grid[:2]), "weight", below=True)
    draw_rows(grid[2], head.words, {"softmax": softmax.sum(axis=0), "plan": plan.sum(axis=0)},
              ylabel="how much it is read in total")  # fmt: skip
    grid[2].tick_params(labelsize=SMALL)
    grid[2].axhline(1, color=LINES[2], linewidth=1)
    return (
        "A plan reads every key as much as any other, and bends each query's weights as little as that takes. "
        f"{SOURCE}."
    )


FIGURES = {
    "sinkhorn_plan": _plan,
    "sinkhorn_attention": _attention,
    "unbalanced_sinkhorn_plan": _relaxed,
    "optimal_transport_distance": _exact,
    "ipot_plan": _proximal,
    "cosine_cost": _cosine,
    "conditional_transport": _conditional,
}
