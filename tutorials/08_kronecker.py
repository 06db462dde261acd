# %% [markdown]
# # Kronecker and tensor attention: pairs of tokens
#
# Softmax attention asks of one token at a time how well it fits. Some questions are about two tokens at once. After
# this lesson you can prove that one softmax head does not find triples, build a head of third order that does, count
# what it costs, and replace it by a polynomial whose error is bounded before you run it.
#
# 30 minutes. Before: lessons 02 (the dot product) and 06 (normalizers).

# %%
import math
import warnings
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import sympy as sp
from scipy.optimize import linprog

import attlas_ref as ref
from attlas_ref.data import alice

plt.rc("figure.constrained_layout", use=True)
colors = plt.rcParams["axes.prop_cycle"].by_key()["color"][:4]
look = plt.cycler(color=colors, linestyle=["-", "--", "-.", ":"])
plt.rc("axes", prop_cycle=look)

# %% [markdown]
# ## Two questions on a clock
#
# Given some hours on a clock: which of them has a partner with which it sums to 12, that is, to 0 modulo 12? And which
# has *two* partners with which it sums to 0? Sanford, Hsu & Telgarsky (2023, arXiv 2306.02896) call these questions
# [Match2](../atlas/kronecker/match2_task.md) and [Match3](../atlas/kronecker/match3_task.md). A number may be its own
# partner, and a partner may serve twice.

# %%
HOURS, READER = (1, 2, 3, 4, 7, 11), 7


def at(x):
    angle = 2 * np.pi * np.array(x) / 12
    return np.sin(angle), np.cos(angle)


def clock(axes, found, title):
    axes.plot(*at(np.linspace(0, 12, 121)), "-", color="gray", lw=0.6, zorder=0)
    for x in range(12):
        axes.text(*(1.2 * np.array(at(x))), x, ha="center", va="center")
    for x, matches in zip(HOURS, found, strict=True):
        face = "C0" if matches else "none"
        axes.plot(*at(x), "o", color=face, markersize=13, mec="C0", mew=2)
    axes.set(title=title, aspect="equal", xlim=(-1.4, 1.4), ylim=(-1.4, 1.4))
    axes.axis("off")


# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.6))
title = "Match2: who has a partner?"
clock(left, ref.match2_task(HOURS, modulus=12), title)
clock(right, ref.match3_task(HOURS, modulus=12), f"Match3: triples of {READER}")
for x, y in product(HOURS, repeat=2):
    if (x + y) % 12 == 0:
        left.plot(*at([x, y]), "-", color="C0", zorder=1)
    if x <= y and (READER + x + y) % 12 == 0:
        right.plot(*at([READER, x, y, READER]), zorder=1)
plt.show()

# %% [markdown]
# Filled hours have a match. On the left lines join partners: mirror images. On the right, what a partner is good for
# depends on who else is there: 1 helps 7 only because 4 is present.
#
# ## Pairs: one softmax head is enough
#
# Put each number on the circle at the angle $\theta = 2\pi x/M$. Two numbers match iff $\cos(\theta_i + \theta_j) = 1$,
# and the cosine of a sum is a dot product:

# %%
a, b, c = sp.symbols("a b c", real=True)
query = sp.Matrix([sp.cos(a), -sp.sin(a)])
key = sp.Matrix([sp.cos(b), sp.sin(b)])
assert sp.expand_trig(sp.cos(a + b)) == query.dot(key)
sp.Eq(sp.cos(a + b), query.dot(key))

# %% [markdown]
# So the query is $(\cos\theta, -\sin\theta)$ and the key $(\cos\theta, \sin\theta)$. A third channel subtracts $\mu$,
# half way between a match (1) and the nearest miss ($\cos 2\pi/M$): matches then score above 0, misses below. A *null
# token* with key 0 and value 0 scores exactly 0, all others have the value 1. Scaled up enough, one match outweighs the
# null token, and the null token outweighs all misses. The output is above 1/2 iff there is a match.


# %%
def on_the_circle(x, modulus, odds):
    step = 2 * np.pi / modulus
    theta, nearest = step * np.array(x), np.cos(step)
    # A match scores log(odds), a miss at most -log(odds).
    strength = 2 * np.log(odds) / (1 - nearest)
    mu = np.full(len(x), (1 + nearest) / 2)
    return np.cos(theta), np.sin(theta), np.ones(len(x)), mu, strength


def with_null(*channels):
    rows = np.stack(channels, axis=-1)
    return np.vstack([rows, np.zeros(rows.shape[1])])


# %%
cos, sin, one, mu, strength = on_the_circle(HOURS, 12, 4 * (len(HOURS) + 1))
query = strength * np.stack([cos, -sin, -mu], axis=-1)
key, value = with_null(cos, sin, one), with_null(one)
output = ref.softmax_attention(query, key, value, scale=1.0)[:, 0]
assert ((output > 0.5) == ref.match2_task(HOURS, modulus=12)).all()
dict(zip(HOURS, output.round(2).tolist(), strict=True))

# %% [markdown]
# ## Triples: one softmax head is not
#
# Read a head in the same way: it says “match” iff some linear function $\langle u, \mathrm{out}\rangle$ lies above a
# threshold $t$. Multiply by the sum of the softmax, which is positive, and the question is the sign of
#
# $$\sum_j g_j, \qquad g_j = e^{s_{ij}}\,(\langle u, v_j\rangle - t).$$
#
# Each $g_j$ depends on the reader and on **one** other token (and its position). Now let the reader be 1, modulo 5,
# with two more tokens, each 0 or 4.

# %%
others = [(0, 0), (0, 4), (4, 0), (4, 4)]
matches = ref.match3_task([(1, *pair) for pair in others], modulus=5)[:, 0]
for pair, answer in zip(others, matches, strict=True):
    print((1, *pair), "match" if answer else "none")

# %% [markdown]
# An exclusive or. Whatever the head's width, embeddings or precision, it has five free numbers here: $g$ of 0 and of 4
# in the second place, of 0 and of 4 in the third, and of the reader itself. A linear program looks for any five
# that work.

# %%
sums = [[x == 0, x == 4, y == 0, y == 4, True] for x, y in others]
sign = np.where(matches, 1, -1)
signed = sign[:, None] * np.array(sums)  # should be above 0 in every row
anything = [(None, None)] * 5
program = linprog(np.zeros(5), A_ub=-signed, b_ub=-np.ones(4), bounds=anything)
print("five numbers exist:", program.success)
assert program.status == 2  # infeasible
assert (signed.sum(axis=0) == 0).all()

# %% [markdown]
# The last assertion is the proof. Both matches together use the same five numbers, equally often, as both misses
# together: two sums above 0 would equal two sums that are not.
#
# This is about one head with a threshold. With several heads, or a network behind them, more is possible; there the
# paper proves that heads times width times bits of precision must grow almost like the number of tokens.
#
# ## A head of third order
#
# Let a query score *pairs* of tokens, with one softmax over all of them:
#
# $$s_{ijk} = \sum_c q_{ic}\, k^1_{jc}\, k^2_{kc}, \qquad \mathrm{out}_i = \sum_{jk} w_{ijk}\; v^1_j \odot v^2_k .$$
#
# This is [`tensor_attention`](../atlas/kronecker/tensor_attention.md) (Clift et al. 2019, arXiv 1909.00668; Alman &
# Song 2023, arXiv 2310.04064). The cosine of $a + b + c$ is the sum of four such products:

# %%
cos_a, cos_b, cos_c = sp.cos(a), sp.cos(b), sp.cos(c)
sin_a, sin_b, sin_c = sp.sin(a), sp.sin(b), sp.sin(c)
query = sp.Matrix([cos_a, -cos_a, -sin_a, -sin_a])
key1 = sp.Matrix([cos_b, sin_b, cos_b, sin_b])
key2 = sp.Matrix([cos_c, sin_c, sin_c, cos_c])
products = query.multiply_elementwise(key1).multiply_elementwise(key2)
assert sp.expand(sp.expand_trig(sp.cos(a + b + c)) - sum(products)) == 0
sp.simplify(products)

# %% [markdown]
# Four channels. With $\mu$ as a fifth and a null token in both sets, as before:


# %%
def third_order(x, modulus):
    odds = 4 * (len(x) + 1) ** 2
    cos, sin, one, mu, strength = on_the_circle(x, modulus, odds)
    query = strength * np.stack([cos, -cos, -sin, -sin, -mu], axis=-1)
    key1 = with_null(cos, sin, cos, sin, one)
    key2 = with_null(cos, sin, sin, cos, one)
    values = with_null(one), with_null(one)
    return ref.tensor_attention(query, (key1, key2), values, scale=1.0)[:, 0]


for x in product(range(5), repeat=3):  # every input of three numbers
    matched = third_order(x, 5) > 0.5
    assert (matched == ref.match3_task(x, modulus=5)).all()
print("all 125 inputs are right, with five channels")

# %%
xor = np.reshape([third_order((1, *pair), 5)[0] for pair in others], (2, 2))
figure, axes = plt.subplots(figsize=(4.6, 3.2))
image = axes.imshow(xor, cmap="viridis", vmin=0, vmax=1)
for (row, column), weight in np.ndenumerate(xor):
    word, ink = ("match", "#111111") if weight > 0.5 else ("none", "white")
    text = f"{word}: {weight:.2f}"
    axes.text(column, row, text, ha="center", va="center", color=ink)
axes.set(xticks=[0, 1], xticklabels=[0, 4], yticks=[0, 1], yticklabels=[0, 4])
axes.set(title="The exclusive or, solved", xlabel="third token")
axes.set_ylabel("second token")
figure.colorbar(image, ax=axes, label="output for the reader 1")
plt.show()

# %% [markdown]
# ## Where Kronecker comes in
#
# A score with a pair is a dot product of the query with one row, $k^1_j \odot k^2_k$. All these rows, one below the
# other, are the [Khatri-Rao product](../atlas/kronecker/khatri_rao.md) of the two sets of keys: the columns $(c, c)$ of
# their Kronecker product. So tensor attention is *softmax attention to products of rows*, and all that is known of
# softmax attention holds.

# %%
rng = np.random.default_rng(0)
query, key1, key2, value1, value2 = rng.normal(size=(5, 6, 4))
rows = ref.khatri_rao((key1, key2))  # (36, 4)
assert np.allclose(rows, np.kron(key1, key2)[:, [0, 5, 10, 15]])  # (c, c)

third = ref.tensor_attention(query, (key1, key2), (value1, value2))
values = ref.khatri_rao((value1, value2))
assert np.allclose(third, ref.softmax_attention(query, rows, values))

# %% [markdown]
# Not every score of a pair is worth a cube. If it is a *sum*, $\langle q, k^1_j\rangle + \langle q, k^2_k\rangle$, its
# exponential is a product, and the head is two softmax heads, multiplied.

# %%
keys, values = (key1, key2), (value1, value2)
third = ref.tensor_attention(query, keys, values, score="sum")
first = ref.softmax_attention(query, key1, value1)
second = ref.softmax_attention(query, key2, value2)
assert np.allclose(third, first * second)

# %% [markdown]
# On real words one sees the difference. Layer 3, head 1 of all-MiniLM-L6-v2 reads the first words of *Alice's
# Adventures in Wonderland*; the query is “tired”. The head was trained for single tokens, so this shows the two forms,
# not what a model would learn.

# %%
heads = alice()
words = heads.tokens[1:12].tolist()
real_query, real_key, real_value = (
    np.asarray(x[3, 1, 1:12], float) for x in heads[:3]
)
tired = real_query[[words.index("tired")]]


def over_pairs(score, scale):
    keys, values = (real_key, real_key), (real_value, real_value)
    options = {"score": score, "scale": scale, "return_weights": True}
    return ref.tensor_attention(tired, keys, values, **options).weights[0]


by_sum = over_pairs("sum", 1 / np.sqrt(32))
by_product = over_pairs("product", 0.5)
assert np.linalg.matrix_rank(by_sum, tol=1e-9) == 1
assert np.linalg.matrix_rank(by_product, tol=1e-9) > 1

# %%
panels = {
    "sum: every row a multiple of every other": by_sum,
    "product: the two members together": by_product,
}
figure, both = plt.subplots(1, 2, figsize=(8.2, 3.9))
for axes, (title, weights) in zip(both, panels.items(), strict=True):
    image = axes.imshow(weights, cmap="viridis", vmin=0, vmax=by_product.max())
    axes.set_xticks(range(11), words, rotation=90, fontsize=8.5)
    axes.set_yticks(range(11), words, fontsize=8.5)
    axes.set(title=title, xlabel="second member", ylabel="first member")
    axes.label_outer()
figure.colorbar(image, ax=both, label="weight of the pair", shrink=0.8)
plt.show()

# %% [markdown]
# ## The price
#
# $n$ queries, $n^2$ pairs, and for each a product over $d$ channels and $e$ channels of values: $2 n^3 (d + e)$
# operations beside $2 n^2 (d + e)$. Streaming (lesson 05) saves the memory of the cube, not its operations.

# %%
for n in (128, 1024, 8192):
    pairs, triples = 2 * n**2 * (32 + 32), 2 * n**3 * (32 + 32)
    print(f"n = {n:5}: softmax {pairs:.0e} operations, triples {triples:.0e}")

# %% [markdown]
# Alman & Song show that no exact method is much faster when entries may be large, unless a well-known conjecture on
# satisfiability (SETH) fails. For small entries there is a way out.
#
# ## A polynomial instead
#
# Cut off the series of the exponential at degree $g$: $T_g(s) = \sum_{l \le g} s^l/l!$. A score is a sum over channels,
# so its powers are polynomials, and every monomial is a product of a factor for the query, one for the first key and
# one for the second. SymPy, with two channels and $g = 2$:

# %%
q1, q2, j1, j2, k1, k2 = sp.symbols("q1 q2 j1 j2 k1 k2")
s = q1 * j1 * k1 + q2 * j2 * k2
terms = sp.expand(1 + s + s**2 / 2)
assert len(terms.args) == math.comb(2 + 2, 2)  # C(d + g, g) monomials
sp.Eq(sp.Symbol("T_2"), terms)

# %% [markdown]
# A sum over all pairs of a product of factors is a product of sums:
#
# $$\sum_{jk} T_g(s_{ijk})\, v^1_j v^2_k = \sum_{|a| \le g} \frac{q_i^a}{a!}
#   \Bigl(\sum_j (k^1_j)^a v^1_j\Bigr)\Bigl(\sum_k (k^2_k)^a v^2_k\Bigr),$$
#
# with multi-indices $a$, $x^a = \prod_c x_c^{a_c}$ and $a! = \prod_c a_c!$. No pair is ever formed. That is
# [`tensor_attention_lowrank`](../atlas/kronecker/tensor_attention_lowrank.md):


# %%
def low_rank(query, keys, values, degree, scale):
    every = product(range(degree + 1), repeat=query.shape[1])
    indices = np.array([a for a in every if sum(a) <= degree])  # (r, d)
    share = [1 / math.prod(map(math.factorial, a)) for a in indices]  # 1/a!
    powers = lambda x: (x[:, None, :] ** indices).prod(axis=-1)  # (n, r)
    top, bottom = 1.0, 1.0
    for key, value in zip(keys, values, strict=True):
        top = top * (powers(key).T @ value)  # (r, e)
        bottom = bottom * powers(key).sum(axis=0)  # (r,)
    features = powers(scale * query) * share  # (m, r)
    return features @ top / (features @ bottom)[:, None]


q, key1, key2, value1, value2 = rng.uniform(-1, 1, (5, 24, 4))
arrays = q, (key1, key2), (value1, value2)
polynomial = ref.tensor_attention_lowrank(*arrays, degree=4, scale=0.5)
assert np.allclose(low_rank(*arrays, 4, 0.5), polynomial)

# %% [markdown]
# ## How far off?
#
# Taylor's theorem bounds what was cut off: with $|s| \le S$, each kernel value has a relative error of at most
#
# $$\delta = \frac{e^S S^{g+1}}{(g+1)!}.$$
#
# Let $Z$ be the sum of the exponentials. The numerator errs by at most $\delta Z \max|v|$, the denominator by at most
# $\delta Z$, and so the output by at most
#
# $$\frac{\delta Z \max|v| + \delta Z\,|\mathrm{out}|}{(1 - \delta) Z} \le \frac{2\delta}{1 - \delta}\,\max|v|, \qquad
#   \delta < 1 .$$


# %%
def bound(S, g):
    log_delta = S + (g + 1) * math.log(S) - math.lgamma(g + 2)
    delta = math.exp(min(log_delta, 1))
    return 2 * delta / (1 - delta) if delta < 1 else math.inf


def measured(size, g):
    arrays = size * q, (size * key1, size * key2), (value1, value2)
    exact = ref.tensor_attention(*arrays, scale=0.5)
    with warnings.catch_warnings():  # it warns where the bound says nothing
        warnings.simplefilter("ignore", RuntimeWarning)
        cut = ref.tensor_attention_lowrank(*arrays, degree=g, scale=0.5)
    return np.abs(cut - exact).max()


# %%
degrees = range(0, 17, 2)
figure, axes = plt.subplots(figsize=(6.8, 3.6))
for index, size in enumerate((0.5, 1.0, 1.25)):
    largest = 0.5 * 4 * size**3  # scale, channels, a product of three entries
    errors = np.array([measured(size, g) for g in degrees])
    bounds = np.array([bound(largest, g) for g in degrees])
    assert (errors <= bounds + 1e-14).all()
    color, marker = f"C{index}", "osD"[index]
    name = f"entries up to {size:g}"
    axes.plot(degrees, errors, marker + "-", color=color, label=name)
    axes.plot(degrees, bounds, "--", color=color)
axes.set(yscale="log", ylim=(1e-17, 1e3), ylabel="largest error of an output")
axes.set(title="Error (solid), bound (dashed)", xlabel="degree")
axes.legend()
plt.show()

# %% [markdown]
# The bound is honest and loose: it prepares for the worst signs of all entries at once. Where a dashed line is missing
# it says nothing ($\delta \ge 1$). A little more in the entries costs several degrees, because the score grows with
# their third power.
#
# ## When does it pay?
#
# The polynomial form does about $2 n r e$ operations per set of tokens, with $r = \binom{d+g}{g}$ monomials; the exact
# one $2 n^3 (d + e)$. So $r$ has to stay below about $n^2$, and $r$ explodes with $d$. Here is the smallest even degree
# whose bound is below 0.001, and what it takes:


# %%
def degree_for(S):
    return next(g for g in range(0, 10**5, 2) if bound(S, g) < 1e-3)


for size, d in ((0.5, 4), (1.0, 4), (0.5, 16), (1.0, 16)):
    g = degree_for(size**3 * math.sqrt(d))
    r = math.comb(d + g, g)
    print(f"entries {size}, d = {d:2}: degree {g:2}, {r:13,} monomials", end="")
    print(f", pays from n = {math.isqrt(r):,}")

rows = ref.khatri_rao((real_key, real_key))
S = np.abs(0.5 * real_query @ rows.T).max()
print(f"the real head: scores up to {S:.0f}, degree {degree_for(S)}")
assert math.comb(32 + degree_for(S), 32) > 1e30

# %% [markdown]
# For the real head the form is hopeless: that degree in 32 channels has more monomials than any text has pairs. This
# is the theorem at work: small entries are not a convenience, they are the condition.
#
# ## Questions
#
# 1. The cube of weights for $n = 1000$ in float32: how large is it, and must it be held?
#
# <details><summary>Answer</summary>
#
# 10⁹ weights, 4 GB per head. No: for one query the scores are a matrix product, (q ⊙ K₁) K₂ᵀ, and with a running
# maximum and sum an engine holds one block of it.
#
# </details>
#
# 2. What becomes of third-order attention if all rows of $K_2$ are ones and all values $v^2$ are 1?
#
# <details><summary>Answer</summary>
#
# Softmax attention to (K₁, V₁): the score does not depend on the second member, which is then averaged over.
#
# </details>
#
# 3. Is the score of third order symmetric in its two members? Could a query prefer “sister of Alice” to “Alice of
# sister”?
#
# <details><summary>Answer</summary>
#
# With K₁ = K₂ it is symmetric. With two projections of the tokens, as in the construction above, it need not be.
# With `score="determinant"` the scores of `simplicial_attention` change their sign when the members change places.
#
# </details>
#
# 4. Why are even degrees preferred?
#
# <details><summary>Answer</summary>
#
# A truncated exponential of even degree is positive everywhere; one of odd degree falls below 0 on the far left, and
# its weights can be negative, with a sum near 0 in the denominator.
#
# </details>
#
# 5. Match3 asks about two partners. What would one build for three?
#
# <details><summary>Answer</summary>
#
# Fourth order: cos(a + b + c + d) is a sum of eight products of four factors, so eight channels and one for µ. The cost
# is n⁴.
#
# </details>
#
# Onward: lesson 09, where weights become probabilities of something.
