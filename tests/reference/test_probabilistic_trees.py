"""Dependency trees: against all trees, the matrix–tree theorem, torch-struct; with large potentials."""

from typing import Any

import numpy as np
import pytest
from enumerated import Heads, summed, trees
from rounding import assert_equal_up_to_rounding

import attlas_ref

RNG = np.random.default_rng(59)
TREES = {False: attlas_ref.tree_attention_marginals, True: attlas_ref.projective_tree_marginals}
MULTI = pytest.mark.parametrize("multi_root", [False, True])
PROJECTIVE = pytest.mark.parametrize("projective", [False, True])


def potentials(n: int, scale: float = 1.0, hide: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    arcs, roots = scale * RNG.normal(size=(n, n)), scale * RNG.normal(size=n)
    return tuple(np.where(RNG.random(x.shape) < hide, -np.inf, x) for x in (arcs, roots))  # type: ignore[return-value]


def score(arcs: np.ndarray, roots: np.ndarray, heads: Heads) -> float:
    return float(sum(roots[d] if h < 0 else arcs[h, d] for d, h in enumerate(heads)))


def by_enumeration(arcs: np.ndarray, roots: np.ndarray, **kind: bool) -> tuple[float, np.ndarray, np.ndarray]:
    """log Z, the marginals of arcs and of roots, which stand in the last row of the array."""
    n = len(roots)
    log_partition, marginals = summed(
        trees(n, **kind),
        lambda heads: score(arcs, roots, heads),
        lambda heads: ((h, d) for d, h in enumerate(heads)),
        (n + 1, n),
    )
    return log_partition, marginals[:n], marginals[n]


@MULTI
@PROJECTIVE
@pytest.mark.parametrize(("scale", "hide"), [(1.0, 0.0), (1.0, 0.5), (1e4, 0.0), (1e4, 0.3)])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5])
def test_marginals_are_those_of_all_trees(
    n: int, projective: bool, multi_root: bool, scale: float, hide: float
) -> None:
    for _ in range(2 if n == 5 else 6):
        arcs, roots = potentials(n, scale, hide)
        result = TREES[projective](arcs, roots, multi_root=multi_root)
        log_partition, marginals, root_marginals = by_enumeration(
            arcs, roots, multi_root=multi_root, projective=projective
        )
        # Sums of at most 1,296 trees; a score of size s costs s units in an exponent.
        budget = {"operations": 100, "magnitude": 10 * max(scale, 10)}
        if log_partition == -np.inf:
            assert result.log_partition == -np.inf
        else:
            assert_equal_up_to_rounding(result.log_partition, log_partition, **budget)
        assert_equal_up_to_rounding(result.marginals, marginals, **budget)
        assert_equal_up_to_rounding(result.root_marginals, root_marginals, **budget)
        assert all((part >= 0).all() for part in result[1:])


@MULTI
@PROJECTIVE
def test_marginals_of_six_tokens(projective: bool, multi_root: bool) -> None:
    arcs, roots = potentials(6)
    result = TREES[projective](arcs, roots, multi_root=multi_root)
    expected = by_enumeration(arcs, roots, multi_root=multi_root, projective=projective)
    for part, wanted in zip(result, expected, strict=True):
        assert_equal_up_to_rounding(part, wanted, operations=2000)


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 12])
def test_equal_scores_count_the_trees(n: int) -> None:
    for multi_root, count in ((True, (n + 1) ** (n - 1)), (False, n ** (n - 1))):
        found = attlas_ref.tree_attention_marginals(np.zeros((n, n)), np.zeros(n), multi_root=multi_root)
        assert_equal_up_to_rounding(found.log_partition, np.log(count), operations=10 * n * n, magnitude=3.0)
    if n <= 5:
        for multi_root in (False, True):
            count = len(list(trees(n, multi_root=multi_root, projective=True)))
            found = attlas_ref.projective_tree_marginals(np.zeros((n, n)), np.zeros(n), multi_root=multi_root)
            assert_equal_up_to_rounding(found.log_partition, np.log(count), operations=10 * n * n, magnitude=3.0)


@MULTI
def test_the_matrix_tree_theorem(multi_root: bool) -> None:
    arcs, roots = potentials(9)
    a, rho, one = np.exp(arcs), np.exp(roots), np.eye(9)
    np.fill_diagonal(a, 0)
    laplacian = np.diag(a.sum(axis=0)) - a
    if multi_root:
        laplacian += np.diag(rho)
    else:
        laplacian[0] = rho
    inverse = np.linalg.inv(laplacian)
    own = np.diag(inverse)
    if multi_root:
        marginals, root_marginals = a * (own - inverse.T), rho * own
    else:
        other = np.where(np.arange(9)[:, None] == 0, 0, a * inverse.T)
        marginals, root_marginals = np.where(one[0] > 0, 0, a * own) - other, rho * inverse[:, 0]
    result = attlas_ref.tree_attention_marginals(arcs, roots, multi_root=multi_root)
    budget = {"operations": 9**3, "magnitude": float(np.linalg.cond(laplacian))}
    assert_equal_up_to_rounding(result.log_partition, np.linalg.slogdet(laplacian)[1], **budget)
    assert_equal_up_to_rounding(result.marginals, marginals, **budget)
    assert_equal_up_to_rounding(result.root_marginals, root_marginals, **budget)


@MULTI
def test_determinants_that_underflow_do_not_matter(multi_root: bool) -> None:
    # Each of two tokens prefers the other by e^5000: one of them has to give in.
    arcs = np.array([[0.0, 5000.0], [5000.0, 0.0]])
    result = attlas_ref.tree_attention_marginals(arcs, np.zeros(2), multi_root=multi_root)
    assert_equal_up_to_rounding(result.log_partition, 5000 + np.log(2), operations=10, magnitude=5000.0)
    assert_equal_up_to_rounding(result.marginals, [[0, 0.5], [0.5, 0]], operations=10)


@MULTI
def test_many_tokens_with_large_scores_have_one_head_each(multi_root: bool) -> None:
    arcs, roots = potentials(60, 1e4)
    result = attlas_ref.tree_attention_marginals(arcs, roots, multi_root=multi_root)
    assert np.isfinite(result.log_partition)
    assert_equal_up_to_rounding(
        result.marginals.sum(axis=0) + result.root_marginals, np.ones(60), operations=60**2, magnitude=60.0
    )


@MULTI
@PROJECTIVE
def test_marginals_are_derivatives(projective: bool, multi_root: bool) -> None:
    arcs, roots = potentials(4)
    result = TREES[projective](arcs, roots, multi_root=multi_root)
    step = np.finfo(float).eps ** (1 / 3)
    for which, marginals in enumerate(result[1:]):
        for place in np.ndindex(marginals.shape):
            sides = []
            for sign in (1, -1):
                arrays = [arcs.copy(), roots.copy()]
                arrays[which][place] += sign * step
                sides.append(TREES[projective](*arrays, multi_root=multi_root).log_partition)
            assert abs((sides[0] - sides[1]) / (2 * step) - marginals[place]) < 10 * step**2


@PROJECTIVE
def test_a_token_without_any_head_leaves_no_tree(projective: bool) -> None:
    arcs, roots = potentials(4)
    arcs[:, 2], roots[2] = -np.inf, -np.inf
    for multi_root in (False, True):
        log_partition, marginals, root_marginals = TREES[projective](arcs, roots, multi_root=multi_root)
        assert log_partition == -np.inf
        assert not marginals.any()
        assert not root_marginals.any()


@PROJECTIVE
def test_a_token_that_only_the_root_can_lead_to(projective: bool) -> None:
    # Eliminated too early, it would leave nothing to divide by.
    arcs, roots = potentials(4)
    arcs[:, 1] = -np.inf
    result = TREES[projective](arcs, roots)
    assert_equal_up_to_rounding(result.root_marginals, [0, 1, 0, 0], operations=20)


@MULTI
@PROJECTIVE
def test_masks_differ_from_sentence_to_sentence(projective: bool, multi_root: bool) -> None:
    arcs, roots = RNG.normal(size=(4, 5, 5)), RNG.normal(size=(4, 5))
    mask = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], dtype=bool)
    arcs[~(mask[:, :, None] & mask[:, None, :])] = np.nan
    roots[~mask] = np.nan
    result = TREES[projective](arcs, roots, multi_root=multi_root, mask=mask)
    for b, shown in enumerate(mask):
        inner = by_enumeration(
            arcs[b][np.ix_(shown, shown)], roots[b][shown], multi_root=multi_root, projective=projective
        )
        assert_equal_up_to_rounding(result.log_partition[b], inner[0] if shown.any() else 0.0, operations=1000)
        assert_equal_up_to_rounding(result.marginals[b][np.ix_(shown, shown)], inner[1], operations=1000)
        assert_equal_up_to_rounding(result.root_marginals[b][shown], inner[2], operations=1000)
        assert not result.root_marginals[b][~shown].any()
        assert not result.marginals[b][~shown].any()
        assert not result.marginals[b][:, ~shown].any()


@PROJECTIVE
def test_a_visible_nan_reaches_its_sentence_alone(projective: bool) -> None:
    arcs, roots = RNG.normal(size=(2, 4, 4)), RNG.normal(size=(2, 4))
    arcs[1, 2, 0] = np.nan
    arcs[0, 2, 2] = np.nan  # the diagonal is not looked at
    result = TREES[projective](arcs, roots)
    assert all(np.isfinite(part[0]).all() for part in result)
    assert np.isnan(result.log_partition[1])
    assert np.isnan(result.root_marginals[1]).all()


def test_a_certain_tree_is_read_as_it_is() -> None:
    heads = (2, 2, -1, 4, 2)  # no arcs cross
    arcs, roots, value = np.full((5, 5), -1e4), np.full(5, -1e4), RNG.normal(size=(5, 3))
    for token, head in enumerate(heads):
        if head < 0:
            roots[token] = 1e4
        else:
            arcs[head, token] = 1e4
    parents = np.array([value[head] if head >= 0 else np.zeros(3) for head in heads])
    children = np.array([sum((value[d] for d, h in enumerate(heads) if h == token), np.zeros(3)) for token in range(5)])
    for projective in (False, True):
        for direction, expected in (("parent", parents), ("child", children)):
            found = attlas_ref.syntactic_attention(value, arcs, roots, projective=projective, direction=direction)
            assert_equal_up_to_rounding(found, expected, operations=20, magnitude=3.0)


def test_a_nan_in_a_value_reaches_those_who_may_read_it() -> None:
    value, (arcs, roots) = RNG.normal(size=(4, 1)), potentials(4)
    mask = np.array([True, True, False, True])
    value[1], value[2] = np.nan, np.nan
    found = attlas_ref.syntactic_attention(value, arcs, roots, mask=mask)[:, 0]
    np.testing.assert_array_equal(np.isnan(found), [True, False, False, True])  # nobody reads himself


# Another library


def with_roots(arcs: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Scores as torch-struct takes them: those of the roots on the diagonal."""
    both = arcs.copy()
    both[..., range(arcs.shape[-1]), range(arcs.shape[-1])] = roots
    return both


@MULTI
def test_trees_are_those_of_torch_struct(torch: Any, struct: Any, multi_root: bool) -> None:
    arcs, roots = RNG.normal(size=(2, 6, 6)), RNG.normal(size=(2, 6))
    found = struct.deptree_nonproj(torch.from_numpy(with_roots(arcs, roots)), multi_root, eps=0)
    result = attlas_ref.tree_attention_marginals(arcs, roots, multi_root=multi_root)
    expected = with_roots(result.marginals, result.root_marginals)
    assert_equal_up_to_rounding(found.numpy(), expected, operations=6**3, magnitude=1e3)


@MULTI
@pytest.mark.filterwarnings("ignore")
def test_projective_trees_are_those_of_torch_struct(torch: Any, struct: Any, multi_root: bool) -> None:
    arcs, roots = RNG.normal(size=(2, 6, 6)), RNG.normal(size=(2, 6))
    # It writes into what it is given, which PyTorch allows only where that is computed from something else.
    potentials = torch.from_numpy(with_roots(arcs, roots)).requires_grad_()
    crf = struct.DependencyCRF(1 * potentials, multiroot=multi_root)
    result = attlas_ref.projective_tree_marginals(arcs, roots, multi_root=multi_root)
    assert_equal_up_to_rounding(result.log_partition, crf.partition.detach().numpy(), operations=6**3)
    expected = with_roots(result.marginals, result.root_marginals)
    assert_equal_up_to_rounding(crf.marginals.detach().numpy(), expected, operations=6**3)


@MULTI
@PROJECTIVE
@pytest.mark.parametrize("n", [1, 2, 5])
def test_an_infinite_score_makes_the_sum_infinite_and_no_share_known(
    multi_root: bool, projective: bool, n: int
) -> None:
    arcs, roots = RNG.normal(size=(3, n, n)), RNG.normal(size=(3, n))
    roots[1, -1] = np.inf
    tree = TREES[projective](arcs, roots, multi_root=multi_root)
    assert tree.log_partition[1] == np.inf
    assert np.isfinite(tree.log_partition[[0, 2]]).all()
    assert np.isnan(tree.root_marginals[1]).all()
    assert np.isnan(tree.marginals[1][~np.eye(n, dtype=bool)]).all()
    roots[1, 0] = np.nan
    assert np.isnan(TREES[projective](arcs, roots, multi_root=multi_root).log_partition[1])
    mask = np.arange(n) < n - 1
    roots[1] = 0
    arcs[1, :, -1] = np.inf  # behind the mask
    assert np.isfinite(TREES[projective](arcs, roots, multi_root=multi_root, mask=mask).log_partition).all()
