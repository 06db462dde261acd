"""Importing is light, and what is imported looks like what it is: names, signatures, lessons, pickles, stubs."""

import inspect
import json
import os
import pickle
import pydoc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

import attlas
import attlas_ref
from attlas import stubs
from attlas.engines import TABLE, diagnose
from attlas_ref.records import all_records, find

HEAVY = ("numba", "llvmlite", "cupy", "torch", "jax", "scipy", "array_api_compat", "rich", "typer", "hypothesis")
FUNCTIONS = [record.name for record in all_records() if record.runs]
NAMES = pytest.mark.parametrize("name", FUNCTIONS)


def in_a_fresh_process(code, *arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize("package", ["attlas", "attlas_ref"])
def test_importing_loads_nothing_heavy(package):
    loaded = in_a_fresh_process(f"import json, sys, {package}; print(json.dumps(sorted(sys.modules)))")
    assert not [module for module in loaded if module.split(".")[0] in HEAVY]


def test_importing_costs_less_than_importing_numpy(tmp_path):
    """So that the two together stay well under 0.2 s wherever NumPy itself does; the quickest of several counts.

    The first of them compiles, as the first import on any machine does.
    """
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    code = (
        "import json, time; start = time.perf_counter(); import numpy; loaded = time.perf_counter(); import attlas;"
        "print(json.dumps([loaded - start, time.perf_counter() - loaded]))"
    )
    times = [in_a_fresh_process(code, **compiled) for _ in range(6)]
    assert min(own for _, own in times) < min(numpy for numpy, _ in times)


def test_a_call_on_numpy_arrays_loads_no_other_array_library():
    code = (
        "import json, sys, numpy, attlas; a = numpy.ones((2, 3)); attlas.softmax_attention(a, a, a);"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = {module.split(".")[0] for module in in_a_fresh_process(code)}
    assert "numba" in loaded
    assert not loaded & {"cupy", "torch", "jax"}


@NAMES
def test_the_signature_is_the_references_and_backend(name):
    ours, reference = (inspect.signature(getattr(package, name)) for package in (attlas, attlas_ref))
    parameters = list(ours.parameters.values())
    if find(name).kind != "U":
        assert parameters.pop().name == "backend"
    assert [(p.name, p.kind, p.default) for p in parameters] == [
        (p.name, p.kind, p.default) for p in reference.parameters.values()
    ]


@NAMES
def test_the_lesson_is_the_references_and_says_what_backend_is(name):
    record = find(name)
    text = inspect.getdoc(getattr(attlas, name))
    lesson = inspect.getdoc(getattr(attlas_ref, name))
    assert text.splitlines()[0] == lesson.splitlines()[0]
    if record.kind != "U":
        parameters = text.partition("Parameters\n----------\n")[2].partition("\n\nReturns\n-------\n")[0]
        assert "\nbackend : " in parameters
    assert name in pydoc.render_doc(getattr(attlas, name), renderer=pydoc.plaintext)


def test_functions_travel_to_other_processes():
    functions = {name: getattr(attlas, name) for name in FUNCTIONS}
    packed = pickle.dumps(functions)
    assert all(function is functions[name] for name, function in pickle.loads(packed).items())
    code = """
import json, pickle, sys
functions = pickle.loads(bytes.fromhex(sys.argv[1]))
print(json.dumps({name: function.__name__ for name, function in functions.items()}))
"""
    assert in_a_fresh_process(code, packed.hex()) == {name: name for name in FUNCTIONS}


def test_threads_that_ask_at_once_get_one_function(monkeypatch):
    together = Barrier(8)

    def ask(_):
        together.wait()
        return attlas.sigmoid_attention

    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            vars(attlas).pop("sigmoid_attention", None)
            assert len(set(pool.map(ask, range(8)))) == 1


@pytest.mark.parametrize("package", [attlas, attlas_ref])
def test_names_can_be_listed_and_mistyped(package):
    assert {record.name for record in all_records() if record.runs or package is attlas_ref} <= set(dir(package))
    with pytest.raises(AttributeError, match="did you mean softmax_attention"):
        package.softmax_atention  # noqa: B018
    assert not hasattr(package, "_nothing")


def test_the_stubs_say_what_the_records_say():
    assert stubs.main(["--check"]) == 0


def test_a_stale_stub_is_noticed(monkeypatch, tmp_path, capsys):
    path = tmp_path / "__init__.pyi"
    monkeypatch.setattr(stubs, "stubs", lambda: {path: "fresh\n"})
    assert stubs.main(["--check"]) == 1
    assert str(path) in capsys.readouterr().err
    path.write_text("stale\n", encoding="utf-8")
    assert stubs.main(["--check"]) == 1
    assert stubs.main([]) == 0
    assert path.read_text(encoding="utf-8") == "fresh\n"
    assert stubs.main(["--check"]) == 0


def test_the_stubs_name_everything_public():
    for package, text in zip((attlas_ref, attlas), stubs.stubs().values(), strict=True):
        compile(text, package.__name__, "exec")
        for record in all_records():
            if package is attlas and not record.runs:
                continue
            assert f"def {record.name}(" in text or f" as {record.name}\n" in text


def test_every_engine_is_ready_or_says_in_one_line_what_it_lacks():
    for diagnosis in diagnose():
        assert (diagnosis.missing is None) == (diagnosis.device is not None)
        assert "\n" not in (diagnosis.missing or "")
        if diagnosis.missing:
            with pytest.raises(RuntimeError, match=r"softmax_attention: backend .* lacks"):
                attlas.softmax_attention([[1.0]], [[1.0]], [[1.0]], backend=diagnosis.engine)
    assert [diagnosis.engine for diagnosis in diagnose()] == list(TABLE)
