"""The spectrum of a set of features: a decomposition of its cosines, O(n³), by the engine's own linear algebra."""

from typing import TYPE_CHECKING, Any

from attlas_ref.contract import SpectrumPropertiesResult, SpectrumResult

if TYPE_CHECKING:
    from ...engines import Place

__all__ = ["spectral_slot_count"]

LEAST = 3


def spectral_slot_count(here: "Place", features: Any, *, return_properties: bool) -> Any:
    """Count the eigenvalues that are not rounded to 0."""
    xp, n = here.xp, features.shape[-2]
    lengths = xp.sqrt((features * features).sum(axis=-1)[..., None])
    directions = features / xp.where(lengths == 0, 1, lengths)  # (..., n, d)
    cosines = directions @ directions.swapaxes(-1, -2)  # (..., n, n)
    sound = xp.isfinite(cosines).all(axis=(-2, -1))[..., None, None]
    values, vectors = cosines.sum(axis=-1), cosines  # of nothing
    if cosines.size:
        values, vectors = xp.linalg.eigh(xp.where(sound, cosines, 0))  # ascending
    values = xp.where(sound[..., 0], xp.where(values < 0, 0, values)[..., ::-1], xp.nan)  # (..., n)
    rounded = xp.round(values)
    count = (rounded > 0).sum(axis=-1)
    slots = max(LEAST, int(count.max()) if count.size else 0)
    batch_count = xp.asarray(slots)
    if not return_properties:
        return SpectrumResult(values, rounded, count, batch_count)

    leading = min(slots, n)
    vectors = xp.where(sound, vectors[..., ::-1], xp.nan)[..., :leading]  # (..., n, leading)
    if vectors.size:
        largest = xp.take_along_axis(vectors, xp.abs(vectors).argmax(axis=-2)[..., None, :], axis=-2)
        vectors = xp.where(largest < 0, -vectors, vectors)
    felt = ~(values[..., :leading] <= n * xp.finfo(values.dtype).eps * max(n, 1))
    found = xp.where(felt[..., None], vectors.swapaxes(-1, -2) @ features, 0)  # (..., leading, d)
    rest = xp.zeros((*found.shape[:-2], slots - leading, found.shape[-1]), dtype=found.dtype)
    return SpectrumPropertiesResult(values, rounded, count, batch_count, xp.concat([found, rest], axis=-2))
