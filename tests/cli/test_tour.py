"""The tour runs everything there is, and its report stands alone."""

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from unittest import mock

import numpy as np
import pytest
from typer.testing import CliRunner

import attlas_ref
from attlas.bench.contestants import engines_for, engines_here
from attlas.cli.app import app
from attlas.tour import colors
from attlas.tour.inputs import FEW_TOKENS, real_call, real_heads, variants
from attlas.tour.report import weight_levels
from attlas.tour.run import on_the_tour
from attlas_ref.contract import Flag, parse_signature
from attlas_ref.data import alice
from attlas_ref.records import all_records, find
from attlas_ref.testing.budget import error_in_budgets, high_and_lows

pytestmark = pytest.mark.xdist_group("tour")  # one tour for all of them

LAYERS, HEADS = (1, 4), (2, 7, 11)
SHOWN = {"softmax_attention", "sigmoid_attention", "hopfield_attention", "structural_prior_attention"}


def words_by_words(record) -> bool:
    """Whether one map says how much every word looks at every other: not two maps, a single query, a few tokens."""
    if not record.returns_weights:
        return False
    call = real_call(record, LAYERS[:1], HEADS[:1])
    result = record.reference(*call.arrays, **{**call.options, "return_weights": True})
    return np.shape(getattr(result, "weights", None)) == (1, 1, 134, 134)


STOPS = [r for index, r in enumerate(on_the_tour()) if index % 8 == 0 or r.name in SHOWN]
"""A part of the tour, which `make tour` takes as a whole: each family, and what some tests speak of."""


@pytest.fixture(scope="module")
def toured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tour") / "new"
    command = ["tour", "--output", folder, "--layers", "1,4", "--heads", "2,7,11"]
    with mock.patch("attlas.tour.run.all_records", return_value=STOPS):
        result = CliRunner().invoke(app, list(map(str, command)))
    return result, (folder / "attlas.html").read_text(encoding="utf-8")


@pytest.fixture
def data(toured):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', toured[1], re.DOTALL)[1])


def test_tour_passes_and_prints_every_formulation_on_every_engine(toured):
    result, _ = toured
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    rows = [line.split()[:2] for line in result.stdout.splitlines()]
    for record in STOPS:
        for engine in engines_for(record):
            assert [record.name, engine.name] in rows
    assert max(map(len, result.stdout.splitlines()[:-1])) <= 80  # the last line is the report's path


def test_tour_visits_everything_but_utilities():
    assert {record.name for record in on_the_tour()} == {r.name for r in all_records() if r.kind != "U" and r.engines}


def test_report_names_every_formulation_engine_and_word(toured, data):
    text = toured[1]
    table = text[text.index("<tbody>") : text.index("</tbody>")]
    for record in STOPS:
        assert table.count(f"<code>{record.name}</code>") == len(engines_for(record))
    assert all(engine.name in table for engine in engines_here())
    assert data["words"] == alice().tokens.tolist()
    shown = [entry["name"] for entry in data["formulations"]]
    assert shown == [record.name for record in STOPS if words_by_words(record)]
    assert set(shown) >= SHOWN


class Links(HTMLParser):
    """Collects every attribute through which a page loads something."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.tags = []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.found += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]


def test_report_loads_nothing(toured):
    text = toured[1]
    links = Links()
    links.feed(text)
    assert links.found == []
    assert not {"link", "iframe", "object", "embed", "base", "img"} & set(links.tags)
    namespace = "http://www.w3.org/2000/svg"  # a name, not an address that is loaded
    assert re.findall(r"https?://|@import|url\(|\bfetch\(|XMLHttp|import\(", text.replace(namespace, "")) == []
    assert "<!--slot:" not in text


def test_report_holds_the_weights_of_the_reference(data):
    shape = (len(data["formulations"]), len(LAYERS), len(HEADS), 134, 134)
    levels = np.frombuffer(zlib.decompress(base64.b64decode(data["weights"])), np.uint8).reshape(shape)
    for number, entry in enumerate(data["formulations"]):
        call = real_call(find(entry["name"]), LAYERS, HEADS)
        result = getattr(attlas_ref, entry["name"])(*call.arrays, **{**call.options, "return_weights": True})
        weights = np.clip(result.weights[1, 2], 0, 1)
        kept = (levels[number, 1, 2] / 255.0) ** 3
        # A level is half a step wide on each side, and the slope of the cube is largest at the upper end.
        upper = weights ** (1 / 3) + 0.5 / 255
        assert np.all(np.abs(kept - weights) <= 3 * upper**2 * 0.5 / 255)


def test_levels_are_0_only_for_what_is_nearly_0():
    assert weight_levels(np.array([0.0, 1e-3, 1.0, 1.5, -0.2])).tolist() == [0, 26, 255, 255, 0]


@pytest.mark.parametrize("record", on_the_tour(), ids=lambda record: record.name)
def test_tour_feeds_real_heads_to_everything_that_takes_them(record):
    call, heads = real_call(record, LAYERS, HEADS), real_heads(LAYERS, HEADS)
    named = dict(zip(record.takes, call.arrays, strict=True))
    cores = dict(zip(record.takes, parse_signature(record.signature).inputs, strict=True))
    for name in {name for name in set(named) & set(heads) if set(cores[name]) <= set("mnde") and len(cores[name]) == 2}:
        real = getattr(alice(), name)[np.ix_(LAYERS, HEADS)]
        few = record.largest.keys() & {"m", "n", "n_1"}
        np.testing.assert_array_equal(named[name], real[..., :FEW_TOKENS, :] if few else real)
    assert call.arrays


def test_partials_on_the_tour_are_those_of_the_real_heads():
    call, heads = real_call(find("merge_attention_partials"), LAYERS, HEADS), real_heads(LAYERS, HEADS)
    merged = attlas_ref.merge_attention_partials(*call.arrays)
    whole = attlas_ref.attention_partial(*heads.values())
    # The same products in matrices of other shapes, which NumPy may round differently.
    np.testing.assert_allclose(merged.maximum, whole.maximum, rtol=1e-6)
    exact = high_and_lows("softmax_attention", tuple(heads.values()), {})
    assert error_in_budgets(attlas_ref.finish_attention_partial(merged), *exact) <= 1


def test_variants_switch_on_each_flag_once():
    record = find("relu_attention")
    flags = [name for name, option in record.options.items() if isinstance(option, Flag)]
    first, *others = variants(record, real_call(record, LAYERS, HEADS))
    assert not set(flags) & set(first.options)
    assert [[name for name in flags if call.options.get(name)] for call in others] == [[name] for name in flags]


def test_tour_fails_when_an_engine_is_wrong(cli, tmp_path, monkeypatch):
    from attlas.tour import run

    monkeypatch.setattr(run, "all_records", lambda: [find("finish_attention_partial")])
    monkeypatch.setattr("attlas.bench.compare.error_in_budgets", lambda *judged: 7.0)
    result = cli("tour", "--output", tmp_path, "--layers", "0", "--heads", "0")
    assert result.exit_code == 1
    assert "NOT every error is within its budget" in result.stdout
    assert "Not within the error budget: finish_attention_partial" in (tmp_path / "attlas.html").read_text("utf-8")


def test_report_into_a_place_that_is_no_folder(cli, tmp_path, monkeypatch):
    from attlas.tour import run

    monkeypatch.setattr(run, "all_records", lambda: [find("finish_attention_partial")])
    (tmp_path / "file").write_text("")
    assert "cannot be written" in cli.refused("tour", "--output", tmp_path / "file", "--layers", "0", "--heads", "0")


@pytest.mark.parametrize("lightness", [colors.LIGHT_PAGE, colors.DARK_PAGE])
def test_color_map_takes_equal_steps_to_the_eye(lightness):
    path = oklab(colors.color_map(lightness))
    steps = np.linalg.norm(np.diff(path[::15], axis=0), axis=-1)
    assert steps.max() / steps.min() < 1.3  # bytes are coarse: a step of 15 colors is about 12 units of 1/255
    assert np.all(np.diff(path[::5, 0]) * (lightness[1] - lightness[0]) > 0)  # and the lightness alone tells the order


def oklab(rgb):
    """Bytes of sRGB to OKLab (Ottosson, 2020)."""
    c = rgb / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    return np.cbrt(cones) @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )
