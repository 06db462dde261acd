"""`compare` runs what was given and writes what came out."""

import numpy as np
import pytest

import attlas_ref
from attlas.bench.contestants import engines_for, engines_here
from attlas_ref.records import all_records, find
from attlas_ref.testing.drawn import letters_of

ENGINES = [engine.name for engine in engines_here()]
COMPARED = [record.name for record in all_records() if record.kind != "U"]


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", COMPARED)
def test_every_formulation_is_compared_on_every_engine(cli, name):
    record = find(name)
    size = ",".join(
        f"{letter}={number}" for letter, number in {"m": 12, "n": 15}.items() if letter in letters_of(record)
    )
    compared = cli.json("compare", name, "--size", size, "--batch", "2")
    assert [row["engine"] for row in compared["engines"]] == [engine.name for engine in engines_for(record)]
    for row in compared["engines"]:
        assert row["passed"]
        assert 0 <= row["error_in_budgets"] <= 1
        assert min(row["reference_seconds"], row["seconds"], row["speedup"]) > 0


def test_output_holds_what_the_reference_gives(cli, tmp_path, heads):
    mask = np.random.default_rng(21).random((7, 9)) < 0.7
    given, out = saved(tmp_path / "in.npz", **heads, mask=mask), tmp_path / "out.npz"
    options = {"causal": True, "temperature": 0.5, "return_weights": True}
    cli.json("compare", "softmax_attention", "--input", given, "--output", out,
             "-o", "causal=true", "-o", "temperature=0.5", "-o", "return_weights=true")  # fmt: skip
    expected = attlas_ref.softmax_attention(*heads.values(), mask=mask, **options)
    with np.load(out) as results:
        parts = {f"{who}.{part}" for who in ("reference", *ENGINES) for part in ("output", "weights")}
        assert set(results.files) == parts
        np.testing.assert_array_equal(results["reference.output"], expected.output)
        np.testing.assert_array_equal(results["reference.weights"], expected.weights)
        for engine in ENGINES:
            assert results[f"{engine}.output"].dtype == np.float32
            np.testing.assert_array_equal(results[f"{engine}.weights"] == 0, expected.weights == 0)


def test_parts_of_a_tuple_come_numbered_and_leave_named(cli, tmp_path):
    first = (np.array([3.0]), np.array([2.0]), np.array([[1.0, 4.0]]))
    given, out = tmp_path / "in.npz", tmp_path / "out.npz"
    saved(given, **{f"{which}.{part}": a for which in ("first", "second") for part, a in enumerate(first)})
    cli.json("compare", "merge_attention_partials", "--input", given, "--output", out)
    with np.load(out) as results:  # a partial merged with itself counts twice
        np.testing.assert_array_equal(results["reference.maximum"], [3.0])
        np.testing.assert_array_equal(results["reference.total"], [4.0])
        np.testing.assert_array_equal(results["reference.accumulator"], [[2.0, 8.0]])


def test_one_array_is_self_attention(cli, tmp_path):
    tokens, out = np.random.default_rng(22).standard_normal((5, 3)), tmp_path / "out.npz"
    np.save(tmp_path / "tokens.npy", tokens)
    cli.json("compare", "softmax_attention", "--input", tmp_path / "tokens.npy", "--output", out)
    with np.load(out) as results:
        expected = attlas_ref.softmax_attention(tokens, tokens, tokens)
        np.testing.assert_array_equal(results["reference.output"], expected)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype_is_that_of_the_file_unless_another_is_asked_for(cli, tmp_path, heads, dtype):
    given, out = saved(tmp_path / "in.npz", **heads), tmp_path / "out.npz"
    cli.json("compare", "softmax_attention", "--input", given, "--output", out)
    with np.load(out) as results:
        assert results["reference.output"].dtype == np.float32
    cli.json("compare", "softmax_attention", "--input", given, "--dtype", dtype, "--output", out)
    with np.load(out) as results:
        assert results["reference.output"].dtype == dtype


def test_arrays_that_are_no_arguments_are_left_out_with_a_note(cli, tmp_path, heads):
    given = saved(tmp_path / "in.npz", **heads, tokens=np.array(["a", "b"]))
    result = cli("compare", "softmax_attention", "--input", given)
    assert result.exit_code == 0
    assert result.stderr == f"attlas: {given}: not an argument of softmax_attention and left out: tokens\n"


def test_drawn_input_has_the_sizes_asked_for(cli):
    size = "m=3,n=5,d=2,e=4"
    compared = cli.json("compare", "softmax_attention", "--size", size, "--batch", "2,1", "--dtype", "float64")
    assert compared["input"] == [
        "query = float64 (2, 1, 3, 2)",
        "key = float64 (2, 1, 5, 2)",
        "value = float64 (2, 1, 5, 4)",
    ]


def test_seed_draws_the_same_input_again(cli, tmp_path):
    outs = []
    for seed in ("1", "1", "2"):
        cli.json("compare", "attention_energy", "--size", "m=3", "--seed", seed, "--output", tmp_path / "out.npz")
        with np.load(tmp_path / "out.npz") as results:
            outs.append(results["reference.output"])
    np.testing.assert_array_equal(outs[0], outs[1])
    assert not np.array_equal(outs[0], outs[2])


def test_real_heads_can_be_compared(cli):
    assert "(3, 3, 134, 32)" in cli("compare", "finish_attention_partial", "--real").stdout


def test_engine_beyond_its_budget_ends_with_status_1(cli, monkeypatch):
    monkeypatch.setattr("attlas.bench.compare.error_in_budgets", lambda *judged: 1.5)
    result = cli("compare", "softmax_attention", "--size", "m=4,n=4")
    assert result.exit_code == 1
    assert "exceeds the budget: 1.50" in result.stdout


def test_engine_that_fails_is_told_apart_from_one_that_is_wrong(cli, monkeypatch):
    def broken(*args, **options):
        raise MemoryError("no room")

    monkeypatch.setattr("attlas.bench.contestants.call_on", broken)
    result = cli("compare", "softmax_attention", "--size", "m=4,n=4")
    assert result.exit_code == 1
    assert "failed: MemoryError: no room" in result.stdout
    assert result.stderr == ""


def test_table_fits_80_columns(cli):
    result = cli("compare", "softmax_attention_vjp", "--size", "m=8,n=8")
    assert max(map(len, result.stdout.splitlines())) <= 80
