# ---
# jupyter: {jupytext: {text_representation: {extension: .py, format_name: percent}}}
# attlas:
#   formulation: orthogonal_matching_pursuit
#   options: [k]
#   lines: 14
#   minutes: 25
#   points: 3
#   mistakes:
#     target_matched_again: >-
#       Every choice is made for the target itself. After the first one, what counts is the residual: what the chosen
#       features leave unexplained.
#     not_fitted_anew: >-
#       Only the newest feature is taken off the residual. Fit all coefficients anew after each choice, so that the
#       residual is orthogonal to every chosen feature.
#     sign_counts: >-
#       The largest product is chosen. A feature that points the other way explains as much: take the largest absolute
#       value.
# ---

# %% [markdown]
# # Choosing one at a time
#
# Explain a target y by k of d features. Trying all sets of k is hopeless, so choose one feature at a time: the one that
# has most to do with what the others have left unexplained, the *residual* r. Then fit all coefficients anew:
#
# $$j^* = \arg\max_{j \notin S} |X_j^\top r|, \qquad S \leftarrow S \cup \{j^*\}, \qquad r = y - X_S X_S^+ y,$$
#
# where $X_S$ holds the chosen columns and $X_S^+ y$ are their least squares coefficients. The residual starts as y.
# Since it is orthogonal to every chosen feature, no feature would be chosen twice but for rounding; leave the chosen
# ones out.
#
# Why is this here? The scores $|X^\top r|$ are those of attention with the residual as the query and the features as
# keys. A hard choice, then the query changes by what has been read: sequential attention selects features of a linear
# model in exactly this way.
#
# **Write** `orthogonal_matching_pursuit(features, target, *, k)`: `features` is `(..., N, d)`, one column of length 1
# per feature, `target` `(..., N)`. The result is `(..., k)`, whole numbers: the features in the order in which they
# were chosen. Of equals take the lowest. k is at most the rank of the features; leading axes broadcast. There is no
# need to check arguments.

# %% [markdown]
# <details><summary>Hint 1: first without leading axes</summary>
#
# Write it for one matrix. Then loop over `np.ndindex` of the leading axes, after broadcasting.
#
# </details>
#
# <details><summary>Hint 2: the choice</summary>
#
# `np.abs(X.T @ residual)`, with -1 written at those already chosen, and `argmax`, which takes the first of equals.
#
# </details>
#
# <details><summary>Hint 3: the fit</summary>
#
# `np.linalg.lstsq(X[:, chosen], y)[0]` gives the coefficients of the chosen columns.
#
# </details>

# %%
import numpy as np


def orthogonal_matching_pursuit(features, target, *, k):
    """Return the k features that explain the target best when chosen one at a time, (..., k)."""
    ### BEGIN SOLUTION
    leading = np.broadcast_shapes(features.shape[:-2], target.shape[:-1])
    features = np.broadcast_to(features, (*leading, *features.shape[-2:]))
    target = np.broadcast_to(target, (*leading, target.shape[-1]))
    order = np.zeros((*leading, k), dtype=np.int64)
    for place in np.ndindex(leading):
        X, y, chosen = features[place], target[place], []
        residual = y
        for _ in range(k):
            match = np.abs(X.T @ residual)
            match[chosen] = -1
            chosen.append(int(match.argmax()))
            residual = y - X[:, chosen] @ np.linalg.lstsq(X[:, chosen], y)[0]
        order[place] = chosen
    return order
    ### END SOLUTION


# %%
### BEGIN HIDDEN TESTS
def _pursuit(features, target, k, next_residual, size=np.abs):
    leading = np.broadcast_shapes(features.shape[:-2], target.shape[:-1])
    features = np.broadcast_to(features, (*leading, *features.shape[-2:]))
    target = np.broadcast_to(target, (*leading, target.shape[-1]))
    order = np.zeros((*leading, k), dtype=np.int64)
    for place in np.ndindex(leading):
        X, y, chosen = features[place], target[place], []
        residual = y
        for _ in range(k):
            match = size(X.T @ residual)
            match[chosen] = -np.inf
            chosen.append(int(match.argmax()))
            residual = next_residual(X, y, chosen, residual)
        order[place] = chosen
    return order


def _fitted(X, y, chosen, residual):
    return y - X[:, chosen] @ np.linalg.lstsq(X[:, chosen], y)[0]


def target_matched_again(features, target, *, k):
    return _pursuit(features, target, k, lambda X, y, chosen, residual: y)


def not_fitted_anew(features, target, *, k):
    def newest_taken_off(X, y, chosen, residual):
        return residual - X[:, chosen[-1]] * (X[:, chosen[-1]] @ residual)

    return _pursuit(features, target, k, newest_taken_off)


def sign_counts(features, target, *, k):
    return _pursuit(features, target, k, _fitted, size=lambda products: products)


### END HIDDEN TESTS
