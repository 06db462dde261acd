"""Every kernel of the recursions over two sequences, for compilation where there is no GPU."""

from collections.abc import Iterator
from typing import Any

from ..probabilistic.teams import CROWD, LONERS, WARP
from ..rules import Real
from . import alignment_search, ctc_best, ctc_sums, latent, positions, segments, warping


def kernels(real: Real) -> Iterator[tuple[str, Any, bool]]:
    """Enumerate names, kernels and whether their threads share memory."""
    for name, team in (("warp", WARP), ("crowd", CROWD)):
        for keeps in (False, True):
            what = f"{name}{'_kept' * keeps}"
            yield f"ctc_{what}", ctc_sums.build_ctc(team, real, keeps), True
            yield f"soft_dtw_{what}", warping.build_soft(team, real, keeps), False
            yield f"latent_{what}", latent.build_latent(team, real, keeps), True
        yield f"ctc_viterbi_{name}", ctc_best.build_viterbi(team, real), True
        yield f"alignment_search_{name}", alignment_search.build_search(team, real), False
        yield f"dtw_path_{name}", warping.build_hard(team, real), False
        yield f"latent_viterbi_{name}", latent.build_latent_viterbi(team, real), True
    yield "cover_row", segments.build_cover(LONERS, real), False
    yield "follow_cover", segments.build_follow(LONERS, real), False
    for log in (False, True):
        yield f"positions{'_in_logs' * log}", positions.build_positions(CROWD, real, log), False
