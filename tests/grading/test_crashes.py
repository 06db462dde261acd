"""Whatever a student's code does, the grader says it in plain words."""

import sys

import pytest

HEAD = "import numpy as np\n\n\ndef softmax_attention(query, key, value, *, mask=None, causal=False, scale=None):\n"


def words(graded, line: str, **settings) -> str:
    report = graded(f"{HEAD}    {line}\n", **settings)
    assert report.status == "failed"
    assert report.points == 0
    return f"{report.failure.words} {report.failure.likely or ''}"


def test_syntax_error_names_the_line(graded):
    report = graded("def softmax_attention(query:\n    pass\n")
    assert "SyntaxError" in report.failure.words
    assert "line 1" in report.failure.words


def test_exception_names_its_line(graded):
    assert "ZeroDivisionError: division by zero (line 5)" in words(graded, "return 1 / 0")


def test_exception_while_loading(graded):
    assert "NameError" in graded("softmax_attention = nothing\n").failure.words


def test_exception_that_cannot_be_shown(graded):
    source = "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\n\n\n" + HEAD + "    raise Odd\n"
    assert "Odd" in graded(source).failure.words


def test_function_of_another_name(graded):
    assert (
        "no function softmax_attention" in graded("def attention(query, key, value):\n    return value\n").failure.words
    )


def test_empty_file(graded):
    assert "no function softmax_attention" in graded("").failure.words


def test_endless_loop(graded):
    said = words(graded, "while True: pass", seconds=0.7)
    assert "took longer than 0.7 seconds" in said
    assert "loop that does not end" in said


def test_endless_loop_while_loading(graded):
    assert "Loading the file took longer" in graded("while True: pass", seconds=0.3).failure.words


def test_slow_for_ever(graded):
    assert "took longer" in words(graded, "import time; time.sleep(1e6)", seconds=0.7)


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process is limited there alone")
def test_memory(graded):
    assert "more memory than it may have" in words(graded, "return np.ones(2**40)")
    said = words(graded, "kept = [bytearray(2**26) for _ in range(2**20)]", memory=2**29, seconds=20.0)
    assert "memory" in said


def test_crash_of_the_interpreter(graded):
    said = words(graded, "import faulthandler; faulthandler._sigsegv()")
    assert "crashed Python itself" in said


def test_recursion_without_end(graded):
    assert "RecursionError" in words(graded, "return softmax_attention(query, key, value)")


def test_megabytes_of_print(graded):
    report = graded(f"{HEAD}    print('x' * 10_000_000)\n    return value * 0\n", seconds=20.0)
    assert report.status == "failed"
    assert report.printed == "x" * 4000


def test_bytes_that_are_no_text(graded):
    report = graded("import sys\nsys.stdout.buffer.write(bytes(range(256)))\nsys.stdout.flush()\n")
    assert report.status == "failed"


def test_closed_streams(graded):
    assert graded(f"import sys\nsys.stdout.close()\n{HEAD}    return value * 0\n").status == "failed"


def test_every_descriptor_closed(graded):
    said = words(graded, "import os; os.closerange(0, 64)")
    assert "ended the process" in said or "raises" in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("pass", "has no `return`"),
        ("return [[1.0]]", "returns a list of 1; it needs an array"),
        ("return 'attention'", "returns a str; it needs an array"),
        ("return value.astype(complex)", "returns an array of complex128"),
        ("return value.astype(object)", "returns an array of object"),
        ("return np.ma.masked_array(value)", "returns a masked array"),
        ("return value, value", "returns a tuple of 2; it needs an array"),
        ("return value[0]", "it needs the shape"),
        ("return lambda: value", "returns a function"),
    ],
)
def test_result_of_another_kind(graded, line, said):
    assert said in words(graded, line)


def test_signature_without_an_option(graded):
    report = graded("def softmax_attention(query, key, value):\n    return value * 0\n")
    assert report.status == "failed"
    source = HEAD.replace(", causal=False", "") + "    raise NotImplementedError\n"
    assert graded(source).status == "failed"


def test_result_that_changes_from_call_to_call(graded):
    assert graded(f"{HEAD}    return value * 0 + np.random.random()\n").status == "failed"


def test_threads_that_do_not_end(graded):
    start = "import threading, time\nthreading.Thread(target=time.sleep, args=(1e6,)).start()\n"
    assert graded(f"{start}{HEAD}    return value * 0\n").status == "failed"


def test_code_for_the_end_is_not_run(graded):
    assert (
        graded(f"import atexit, time\natexit.register(time.sleep, 1e6)\n{HEAD}    return value * 0\n").status
        == "failed"
    )


def test_same_seed_gives_the_same_report(graded):
    first, second = (graded(f"{HEAD}    return query @ key.mT @ value\n", seed=3) for _ in range(2))
    assert [vars(rule) for rule in first.rules] == [vars(rule) for rule in second.rules]
    assert first.failure.words == second.failure.words


def test_numba_and_scipy_may_be_used(graded):
    source = (
        "from numba import njit\nfrom scipy.special import logsumexp\n\n\n@njit\ndef double(x):\n    return 2 * x\n\n\n"
    )
    report = graded(f"{source}{HEAD}    return double(logsumexp(value, axis=-1, keepdims=True))\n", seconds=30.0)
    assert "It raises" not in report.failure.words
