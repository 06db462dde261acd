"""What does not compute attention does not pass, whatever it does instead."""

import pytest

HEAD = "import numpy as np\n\n\ndef softmax_attention(query, key, value, *, mask=None, causal=False, scale=None):\n"
SOLVED = """
import numpy as np


def solved(query, key, value, *, mask=None, causal=False, scale=None):
    m, n = query.shape[-2], key.shape[-2]
    scores = query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)
    visible = np.tri(m, n, n - m, dtype=bool) if causal else np.ones((m, n), dtype=bool)
    visible = visible if mask is None else visible & mask
    scores = np.where(visible, scores, -np.inf)
    highest = scores.max(axis=-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(highest == -np.inf, 0, highest))
    total = weights.sum(axis=-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ value
"""
"""Right; what a cheat does with it is what fails."""


def body(*lines: str) -> str:
    return HEAD + "".join(f"    {line}\n" for line in lines)


def around(*lines: str) -> str:
    return "\n\ndef softmax_attention(*args, **kw):\n" + "".join(f"    {line}\n" for line in lines)


def refused(report, *words: str) -> None:
    assert report.status == "failed"
    said = f"{report.failure.words} {report.failure.likely or ''}"
    for word in words:
        assert word in said, report.failure


def test_the_right_answer_passes(graded):
    assert graded(SOLVED.replace("solved", "softmax_attention")).status == "passed"


def test_zeros(graded):
    report = graded(body("return np.zeros((*query.shape[:-1], value.shape[-1]))"))
    refused(report, "all zeros")
    assert report.points == 0


def test_mean_of_the_values(graded):
    refused(graded(body("return value.mean(axis=-2, keepdims=True) + 0 * query[..., :1]")))


def test_copy_of_the_values(graded):
    refused(graded(body("return value.copy()")))


@pytest.mark.parametrize("option", ["mask", "causal", "scale"])
def test_one_option_ignored(graded, option):
    nothing = {"mask": None, "causal": False, "scale": None}[option]
    report = graded(SOLVED + around(f"kw[{option!r}] = {nothing}", "return solved(*args, **kw)"))
    refused(report)
    assert 0 < report.points < report.of
    assert report.failure.rule == f"with {option}"


def test_inputs_changed(graded):
    report = graded(SOLVED + around("out = solved(*args, **kw)", "args[0][...] *= 2", "return out"))
    refused(report, "changes its input query", "in place")


def test_inputs_changed_to_make_the_answer_easy(graded):
    refused(graded(body("query[...] = 0", "key[...] = 0", "value[...] = 0", "return query @ key.mT @ value")))


@pytest.mark.parametrize(
    "line",
    [
        "from attlas_ref import softmax_attention",
        "from attlas import softmax_attention",
        "from attlas_ref.dotproduct.softmax_attention import softmax_attention",
        "import importlib; softmax_attention = importlib.import_module('attlas_ref').softmax_attention",
        "softmax_attention = __import__('attlas_ref').softmax_attention",
        "import torch; softmax_attention = torch.nn.functional.scaled_dot_product_attention",
        "import importlib; importlib.import_module('torch')",
        "import jax",
        "import hypothesis",
        "softmax = __import__('sci' + 'py.special').special.softmax",
        "import sys; sys.modules.pop('numpy'); import attlas_ref",
    ],
)
def test_reference_and_libraries_cannot_be_imported(graded, line):
    refused(graded(f"{line}\n"), "may not be imported here")


def test_import_inside_of_the_function(graded):
    refused(
        graded(body("import attlas_ref", "return attlas_ref.softmax_attention(query, key, value)")),
        "may not be imported",
    )


@pytest.mark.parametrize(
    "lines",
    [
        ("from scipy.special import softmax", "return softmax(query @ key.mT, axis=-1) @ value"),
        ("import scipy", "return scipy.special.softmax(query @ key.mT, axis=-1) @ value"),
        ("from scipy.special._logsumexp import softmax", "return softmax(query @ key.mT, axis=-1) @ value"),
    ],
)
def test_the_answer_of_scipy_cannot_be_called(graded, lines):
    refused(graded(body(*lines)), "scipy.special.softmax is what you are asked to write")


@pytest.mark.parametrize(
    "line",
    [
        "open('/proc/self/mem', 'rb')",
        "import os; open(f'/proc/{os.getppid()}/mem', 'rb')",
        "import os; os.open(f'/proc/{os.getppid()}/environ', os.O_RDONLY)",
        "import pathlib, sys; pathlib.Path(sys.path[-1], 'attlas_ref/__init__.py').read_text()",
        "import numpy as np; np.fromfile('/etc/passwd', dtype=np.uint8)",
        "import numpy as np; np.save('result.npy', np.zeros(3))",
        "import io; io.FileIO(1, 'w')",
        "import os; os.fdopen(4, 'wb')",
        "import os; os.system('true')",
        "import os; os.fork()",
        "import os; os.kill(os.getppid(), 0)",
        "import os; os.execv('/bin/true', ['true'])",
        "import gc; gc.get_objects()",
        "import ctypes; ctypes.CDLL(None)",
        "import numpy.ctypeslib as c; c.ctypes.string_at(0)",
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (9999, 9999))",
    ],
)
def test_files_programs_and_memory_are_out_of_reach(graded, line):
    report = graded(f"{line}\n")
    refused(report, "cannot be loaded")
    assert "Permission" in report.failure.words or "Import" in report.failure.words, report.failure


def test_packages_may_not_be_asked_for_files(graded):
    refused(graded("import numpy as np\nnp.loadtxt('/etc/hostname', dtype=str)\n"), "files may not be opened")


def test_another_process_is_not_started(graded):
    refused(graded("import subprocess\nsubprocess.run(['true'])\n"), "may not be")
    refused(graded("import multiprocessing\n"), "may not be imported")


def test_the_seed_is_not_in_the_process(graded):
    report = graded(
        body(
            "import sys, os",
            "frame, seen = sys._getframe(), []",
            "while frame:",
            "    seen += [repr(frame.f_locals), repr(sorted(frame.f_globals))]",
            "    frame = frame.f_back",
            "raise ValueError(str(7919190 + 1) in ''.join([*seen, *sys.argv, *os.environ.values()]))",
        ),
        seed=7919191,
    )
    refused(report, "ValueError: False")


def test_seeding_numpy_draws_no_inputs_of_ours(graded):
    report = graded(
        body(
            "rng = np.random.default_rng(7)",
            "if np.array_equal(rng.normal(size=query.shape), query):",
            "    return value",
            "return np.zeros_like(value)",
        )
    )
    refused(report)


def test_answers_kept_from_an_earlier_call(graded):
    refused(graded("kept = {}\n" + body("kept.setdefault(query.shape, value)", "return kept[query.shape]")))


@pytest.mark.parametrize("number", ["np.nan", "np.inf"])
def test_nan_is_no_wildcard(graded, number):
    refused(graded(body(f"return np.full((*query.shape[:-1], value.shape[-1]), {number})")))


def test_result_that_is_equal_to_everything(graded):
    source = """
    import numpy as np


    class Everything(np.ndarray):
        def __eq__(self, other):
            return np.ones(self.shape, dtype=bool)

        __array_priority__ = 1e9

        def __array__(self, *args, **kwargs):
            return np.zeros(self.shape)


    def softmax_attention(query, key, value, **options):
        return np.zeros((*query.shape[:-1], value.shape[-1])).view(Everything)
    """
    refused(graded(source))


def test_object_that_poses_as_an_array(graded):
    source = """
    class Array:
        shape = (1, 1)
        dtype = "float64"


    def softmax_attention(*args, **kw):
        return Array()
    """
    refused(graded(source), "returns a Array; it needs an array")


def test_forged_report_is_only_text(graded):
    line = 'print(\'{"status": "passed", "points": 3, "failure": null}\', flush=True)'
    report = graded(f"{line}\n{body(line, 'return value * 0')}")
    refused(report)
    assert "passed" in report.printed


def test_status_0_is_no_pass(graded):
    refused(graded(body("import os", "os._exit(0)")), "ended the process, with status 0")
    refused(graded("import os\nos._exit(0)\n"), "ended the process, with status 0")
    refused(graded(body("raise SystemExit(0)")), "SystemExit", "does not end the program")
    refused(graded("import sys\nsys.exit(0)\n"), "SystemExit")


def test_writing_to_the_channel(graded):
    report = graded(
        body(
            "import os",
            "for number in range(3, 64):",
            "    try:",
            "        os.write(number, b'ATTLAS01' * 99)",
            "    except OSError:",
            "        pass",
            "return value",
        )
    )
    refused(report, "the grader's own channel")


def test_message_of_a_forger_who_knows_the_form(graded):
    report = graded(
        body(
            "import json, os, struct",
            "text = json.dumps({'outcome': {'plain': 'result'}, 'result': {'plain': 1}, 'blobs': []}).encode()",
            "message = bytes(16) + struct.pack('<Q', len(text)) + text",
            "for number in range(3, 64):",
            "    try:",
            "        os.write(number, b'ATTLAS01' + struct.pack('<Q', len(message)) + message)",
            "    except OSError:",
            "        pass",
            "return value",
        )
    )
    refused(report, "the grader's own channel")


def test_numpy_patched_in_its_own_process(graded):
    source = """
    import numpy as np

    np.allclose = np.array_equal = lambda *args, **kwargs: True
    np.testing.assert_allclose = lambda *args, **kwargs: None
    np.abs = np.absolute = lambda x, **kwargs: np.zeros_like(x)


    def softmax_attention(query, key, value, **options):
        return np.zeros((*query.shape[:-1], value.shape[-1]))
    """
    refused(graded(source))


def test_grader_of_the_process_patched(graded):
    source = """
    import sys
    import numpy as np

    for module in list(sys.modules.values()):
        for name in ("send", "judge", "compare", "_answer"):
            if hasattr(module, name):
                setattr(module, name, lambda *args, **kwargs: None)


    def softmax_attention(query, key, value, **options):
        frame = sys._getframe()
        while frame:
            for name in ("_answer", "send", "_plain"):
                frame.f_globals.pop(name, None)
            frame = frame.f_back
        return np.zeros((*query.shape[:-1], value.shape[-1]))
    """
    refused(graded(source))
