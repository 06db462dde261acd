"""What stands behind a mask leaves the result alone, in every formulation that has one."""

import numpy as np
import pytest

from attlas_ref.contract.results import flat
from attlas_ref.records import find
from attlas_ref.testing import Candidate
from attlas_ref.testing.behind import fouled, masked_call, masks_of
from attlas_ref.testing.candidates import reference_candidate

VISIBLE = "what the mask does not hide is read with it: "
REACHED = {
    **dict.fromkeys(
        (
            ("prefix_tuning_attention", "query"),
            ("visual_sentinel_attention", "hidden"),
            ("visual_sentinel_attention", "sentinel"),
            ("pointer_sentinel_mixture", "query"),
            ("pointer_sentinel_mixture", "vocab_prob"),
        ),
        f"{VISIBLE}the prefix, the sentinel",
    ),
    **dict.fromkeys(
        (("super_attention", "value"), ("super_attention", "alignment")), "it mixes the values before it hides keys"
    ),
    ("soft_alignment_log_likelihood", "query"): f"{VISIBLE}the state itself predicts the word",
    ("gmm_attention", "query"): "a state that sees nothing still moves the means, which the next one continues",
}
"""Arguments of rows that see nothing, which have a way into the result nevertheless."""


@pytest.mark.formulations.with_args(masks_of, because="they take no mask")
def test_what_stands_behind_a_mask_cannot_leak(candidate: Candidate, name: str) -> None:
    call = masked_call(name)
    cleaned = dict(fouled(call, 0.0))
    assert cleaned
    for argument in [argument for argument in cleaned if (name, argument) not in REACHED]:
        try:
            expected = flat(cleaned[argument].by(candidate))
        except (TypeError, ValueError) as refusal:  # nowhere may it hold such a number
            assert argument in str(refusal)  # noqa: PT017
            continue
        for strange in (np.nan, np.inf, -np.inf):
            call_with_it = dict(fouled(call, strange))[argument]
            try:
                results = flat(call_with_it.by(candidate))
            except (TypeError, ValueError) as refusal:
                assert f": {argument} " in str(refusal)  # noqa: PT017
                continue
            for result, clean in zip(results, expected, strict=True):
                np.testing.assert_allclose(result, clean, rtol=1e-12, atol=1e-12, err_msg=f"{strange} in {argument}")


@pytest.mark.formulations.with_args(lambda record: "value" in record.takes, because="they take no values")
def test_a_nan_among_the_values_reaches_what_the_reference_says(candidate: Candidate, name: str) -> None:
    call, place = masked_call(name), find(name).takes.index("value")
    values = call.arrays[place]
    for j in range(values.shape[-2]):
        for strange in (np.nan, np.inf):
            broken = values.copy()
            broken[..., j, 0] = strange
            spoiled = call.given(*call.arrays[:place], broken, *call.arrays[place + 1 :])
            results = zip(flat(spoiled.by(candidate)), flat(spoiled.by(reference_candidate())), strict=True)
            for result, expected in results:
                if np.isnan(strange):
                    np.testing.assert_array_equal(np.isnan(result), np.isnan(expected), err_msg=f"row {j}")
                # Infinities may cancel, or meet a 0, in another order; none becomes its opposite.
                assert not (np.isinf(expected) & (result == -expected)).any(), f"row {j}"
