"""What a user does wrong is told in one line, with what would be right."""

from pathlib import Path

import numpy as np
import pytest

from attlas.bench.machine import installed


def test_unknown_formulation_says_what_was_meant(cli):
    assert "did you mean softmax_attention?" in cli.refused("show", "softmax_atention")


def test_unknown_family_says_what_was_meant(cli):
    assert "did you mean normalizers?" in cli.refused("list", "--family", "normalisers")


def test_unknown_command_is_one_line(cli):
    assert "lst" in cli.refused("lst")


def test_missing_argument_is_one_line(cli):
    assert "NAME" in cli.refused("compare")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-o", "caussal=true"], "did you mean causal?"),
        (["-o", "causal"], "KEY=VALUE"),
        (["-o", "causal=perhaps"], "it needs True or False"),
        (["-o", "temperature=warm"], "it needs a finite number above 0"),
        (["-o", "temperature=-1"], "it needs a finite number above 0"),
        (["-o", "mask=true"], "put it into the .npz"),
        (["--size", "m=4,k=3"], "has no size k"),
        (["--size", "m:4"], "LETTER=NUMBER"),
        (["--size", "d=0"], "it needs at least 1"),
        (["--batch", "two"], "whole numbers"),
        (["--dtype", "float80"], "float16, float32, float64"),
        (["--output", "results.txt"], "ends in .npz"),
    ],
)
def test_bad_option_names_option_and_need(cli, options, said):
    assert said in cli.refused("compare", "softmax_attention", *options)


def test_utility_has_nothing_to_compare(cli):
    assert "exists once" in cli.refused("compare", "empty_attention_partial")
    assert "exists once" in cli.refused("bench", "empty_attention_partial")


def test_missing_file(cli, tmp_path):
    assert "no such file" in cli.refused("compare", "softmax_attention", "--input", tmp_path / "none.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x93NUMPY\x01\x00", b"one,two\n1,2\n"])
def test_file_that_is_no_array(cli, tmp_path, content):
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    assert "cannot be read" in cli.refused("compare", "softmax_attention", "--input", path)


def test_folder_in_place_of_a_file(cli, tmp_path):
    assert str(tmp_path) in cli.refused("compare", "softmax_attention", "--input", tmp_path)


def test_pickled_objects_are_not_loaded(cli, tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, query=np.array([{}], dtype=object), allow_pickle=True)
    assert "cannot be read" in cli.refused("compare", "softmax_attention", "--input", path)


def test_array_missing_in_the_file_names_it_and_what_is_needed(cli, tmp_path, heads):
    path = tmp_path / "heads.npz"
    np.savez(path, query=heads["query"], key=heads["key"], valeu=heads["value"])
    line = cli.refused("compare", "softmax_attention", "--input", path)
    assert "value is missing" in line
    assert "is valeu meant?" in line


def test_misspelt_mask_is_not_ignored(cli, tmp_path, heads):
    path = tmp_path / "heads.npz"
    np.savez(path, **heads, maks=np.ones((7, 9), dtype=bool))
    assert "is mask meant?" in cli.refused("compare", "softmax_attention", "--input", path)


def test_shapes_that_do_not_fit_are_told_by_the_contract(cli, tmp_path, heads):
    path = tmp_path / "heads.npz"
    np.savez(path, **{**heads, "value": heads["value"][:, :5]})
    assert "value has 5 rows and key has 9" in cli.refused("compare", "softmax_attention", "--input", path)


def test_one_array_cannot_stand_for_groups(cli, tmp_path):
    path = tmp_path / "one.npy"
    np.save(path, np.zeros((4, 3), dtype=np.float32))
    assert "first.0" in cli.refused("compare", "merge_attention_partials", "--input", path)


def test_input_and_real_exclude_each_other(cli, tmp_path):
    assert "choose one" in cli.refused("compare", "softmax_attention", "--real", "--input", tmp_path / "x.npz")


def test_bench_wants_a_name_or_all(cli):
    assert "--all" in cli.refused("bench")
    assert "--all" in cli.refused("bench", "softmax_attention", "--all")


def test_bench_refuses_unequal_threads(cli, monkeypatch):
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ATTLAS_NUM_THREADS", "1")
    assert "the same number" in cli.refused("bench", "softmax_attention")


@pytest.mark.parametrize("options", [["--layers", "6"], ["--heads", "12"], ["--heads", ""], ["--layers", "-1"]])
def test_tour_refuses_heads_that_there_are_not(cli, options):
    assert "it needs" in cli.refused("tour", *options)


def test_peer_that_is_not_known(cli):
    assert "auto, torch, none" in cli.refused("bench", "softmax_attention", "--peer", "jax")


@pytest.mark.skipif(not installed("torch"), reason="PyTorch is not installed")
def test_peer_where_there_is_none(cli):
    assert "no public peer" in cli.refused("bench", "attention_partial", "--peer", "torch")


def test_torch_that_is_not_installed(cli, monkeypatch):
    monkeypatch.setattr("attlas.bench.peers.installed", lambda module: False)
    assert "pip install 'attlas[peers]'" in cli.refused("bench", "softmax_attention", "--peer", "torch")


def test_real_process_ends_with_one_line_and_status_2(process):
    done = process("show", "nothing_like_it")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "attlas: no formulation is named 'nothing_like_it'\n"


def test_fault_of_ours_is_one_line_too(cli, monkeypatch):
    def broken(*args):
        raise KeyError("lost")

    monkeypatch.setattr("attlas.cli.catalog.list_command", broken)
    result = cli("list")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "ATTLAS_DEBUG" in result.stderr


def test_unwritable_output(cli, tmp_path, monkeypatch):
    missing = tmp_path / "no" / "such" / "folder" / "out.npz"
    line = cli.refused("compare", "finish_attention_partial", "--size", "m=3", "--output", missing)
    assert "cannot be written" in line
    assert not Path(missing).exists()
