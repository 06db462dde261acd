"""The kernel of softmax attention itself, which other formulations take statistics and weights from."""

from .few import build_few
from .real import Real
from .tile import Kernels, build, softmax


def dot_score(dot, query_square, key_square, bias, parameters):
    """scale · <q, k> + bias, over the temperature."""
    return (parameters[0] * dot + bias) * parameters[1]


def build_softmax(real: Real) -> Kernels:
    """Softmax of scaled dot products; parameters (scale, 1 / temperature)."""
    return build("softmax", real, dot_score, softmax(real))._replace(few=build_few("softmax", real, dot_score))
