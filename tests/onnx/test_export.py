import json
import os
import re

import numpy as np
import onnx
import onnxruntime
import psutil
import pytest
from helpers.datasets import draw_picture

from ieast.checkpoint import load_model
from ieast.config import StylizeOptions
from ieast.errors import ConfigError, MemoryLimitError, WeightsError
from ieast.io.images import to_image, to_tensor
from ieast.methods import build
from ieast.models.encoder import Encoder
from ieast.models.pretrained import MODELS
from ieast.onnx import engine as engine_module
from ieast.onnx import export
from ieast.onnx.engine import OnnxEngine
from ieast.onnx.export import export_onnx
from ieast.onnx.folder import BOUND, GRAPHS, INSIDE, PALETTE, STATISTICS
from ieast.stylization.session import StyleSession
from ieast.stylizer.style import Style


@pytest.fixture(scope="module")
def exported(stylizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx") / "model"
    card = export_onnx(stylizer, folder, "ieast")
    return folder, card


@pytest.fixture(scope="module")
def engine(exported):
    return OnnxEngine(exported[0], threads=1)


def run(graph, features):
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"features": features})[0]


@pytest.mark.parametrize("size", [(49, 38), (16, 5), (128, 96), (97, 131)])
@pytest.mark.parametrize(
    "options",
    [
        StylizeOptions(content_noise=0),
        StylizeOptions(alpha=0.3, content_noise=0),
        StylizeOptions(alpha=0),
        StylizeOptions(weights=(3, 1), content_noise=0),
        StylizeOptions(weights=(0, 1), alpha=0.5, preserve_colour="luminance", content_noise=0),
    ],
)
def test_pictures_equal_those_of_pytorch(stylizer, engine, size, options):
    content, styles = draw_picture(0, *size), [draw_picture(1, 40, 57), draw_picture(2, 33, 17)]
    actual = engine.open(styles, options).stylize(content)
    weights = options.weights or (1, 1)
    chosen = [Style(to_tensor(style), weight) for style, weight in zip(styles, weights, strict=True)]
    expected = to_image(stylizer.stylize(to_tensor(content), chosen, options.alpha, preserve_colour=options.preserve_colour))
    assert actual.size == content.size
    difference = np.abs(np.asarray(actual).astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= 1  # a value at the edge of two grey levels
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize("options", [StylizeOptions(weights=(3, 1)), StylizeOptions(alpha=0.5), StylizeOptions(alpha=0)])
def test_pictures_of_the_shipped_graphs_equal_those_of_pytorch(options):
    """Which have statistics to match and palettes to keep to, and graphs for both."""
    content, styles = draw_picture(0, 97, 131), [draw_picture(1, 80, 57), draw_picture(2, 33, 47)]
    chosen = styles[: len(options.weights or (1,))]
    engine, model = OnnxEngine(MODELS["ieast"] / INSIDE, threads=1), load_model(MODELS["ieast"])[0]
    assert {f"{name}.onnx" for name in (STATISTICS, PALETTE, BOUND)} <= set(engine.card.files)
    sessions = (engine.open(chosen, options), StyleSession(model, chosen, options))
    actual, expected = (np.asarray(session.stylize(content)).astype(int) for session in sessions)
    assert np.abs(actual - expected).max() <= 1


def test_an_engine_computes_on_all_cores_where_the_system_does_not_tell_which_are_usable(monkeypatch):
    monkeypatch.delattr(psutil.Process, "cpu_affinity", raising=False)  # macOS has neither
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    engine = OnnxEngine(MODELS["ieast"] / INSIDE)
    assert {graph.get_session_options().intra_op_num_threads for graph in engine._graphs.values()} == {3}


def test_looking_at_a_style_may_take_too_much_memory(monkeypatch):
    engine = OnnxEngine(MODELS["ieast"] / INSIDE, threads=1)
    taps = engine.encode(np.zeros((1, 3, 640, 480), np.float32), 1, "a style")
    monkeypatch.setattr(engine_module, "free_bytes", lambda: 200_000_000)
    with pytest.raises(MemoryLimitError, match=r"^looking at a style of about 480x640 pixels needs up to 0\.3 GB of memory"):
        engine.as_style(taps)


def test_the_card_tells_how_close_the_graphs_are_and_vouches_for_them(exported, engine):
    folder, card = exported
    assert 0 < card.largest_difference <= export.TOLERANCE
    assert engine.digest() == card.digest()
    assert sorted(path.name for path in folder.iterdir()) == sorted([*card.files, "onnx.json"])
    for name in card.files:
        assert onnx.load(folder / name).opset_import[0].version == card.opset == export.OPSET


def test_weights_that_half_precision_holds_are_stored_in_it(exported):
    graph = onnx.load(exported[0] / "decoder.onnx")
    before = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    weights = [tensor for tensor in graph.graph.initializer if len(tensor.dims) == 4]
    for tensor in weights[1:]:
        half = before[tensor.name].astype(np.float16).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, tensor.name))
    features = np.random.default_rng(0).normal(size=(1, weights[0].dims[1], 3, 4)).astype(np.float32)
    expected = run(graph, features)
    size = graph.ByteSize()
    first = weights[0].name  # whose values are not half precision's
    stored = {tensor.name for tensor in export._in_half(graph).graph.initializer}
    assert first in stored
    assert graph.ByteSize() < 0.75 * size
    np.testing.assert_array_equal(run(graph, features), expected)


def test_a_graph_that_computes_something_else_is_not_kept(stylizer, exported, tmp_path, monkeypatch):
    graphs = iter([onnx.load(exported[0] / f"{name}.onnx") for name in GRAPHS])  # which take long to make
    monkeypatch.setattr(export, "_graph", lambda *plan: next(graphs))
    monkeypatch.setattr(
        export.OnnxEngine, "decode", lambda self, features, height, width: np.zeros((1, 3, height, width), np.float32)
    )
    with pytest.raises(WeightsError, match=r"was not written: ONNX Runtime's pictures differ from PyTorch's by up to [1-9]"):
        export_onnx(stylizer, tmp_path / "model", "ieast")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["adain", "ccpl"])
def test_methods_without_style_attention_are_refused(tmp_path, method):
    with pytest.raises(ConfigError, match=f"{method} cannot be exported to ONNX; sanet and ieast can"):
        export_onnx(build(method, Encoder("vgg19-compact"), {}), tmp_path / "model", method)


@pytest.mark.parametrize(
    ("options", "masks", "name"),
    [
        (StylizeOptions(), True, "masks"),
        (StylizeOptions(preserve_colour="coral"), False, "preserve_colour coral"),
        (StylizeOptions(precision="bf16"), False, "precision bf16"),
    ],
)
def test_what_needs_pytorch_says_so(engine, options, masks, name):
    picture = draw_picture(0, 32, 32)
    with pytest.raises(ConfigError, match=f"^{name}: .* extra `torch`"):
        engine.open([picture], options, [picture] if masks else [])


def test_too_little_memory_is_said_before_work_starts(engine, monkeypatch):
    session = engine.open([draw_picture(0, 32, 32)], StylizeOptions())
    monkeypatch.setattr(engine_module, "free_bytes", lambda: 10_000_000)
    with pytest.raises(MemoryLimitError, match=r"stylizing 48x32 pixels needs up to 0\.1 GB of memory, and 0\.0 GB are"):
        session.stylize(draw_picture(1, 48, 32))
    with pytest.raises(MemoryLimitError, match="encoding a style of 32x32 pixels"):
        engine.open([draw_picture(0, 32, 32)], StylizeOptions())


@pytest.mark.parametrize("damage", ["missing", "changed", "card", "newer", "names", "half"])
def test_damaged_folders_are_named(exported, tmp_path, damage):
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in exported[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    card = json.loads((folder / "onnx.json").read_text())
    messages = {
        "missing": "lacks its file decoder.onnx",
        "changed": "decoder.onnx is not the file that was exported",
        "card": "onnx.json is damaged",
        "newer": "onnx.json is of format 4; this version reads up to 3",
        "names": re.escape("must vouch for encoder, transform, decoder, colours"),
        "half": re.escape("must vouch for encoder, transform, decoder, colours"),  # palettes to keep to, and no way to do it
    }
    if damage == "missing":
        (folder / "decoder.onnx").unlink()
    elif damage == "changed":
        (folder / "decoder.onnx").write_bytes(b"x")
    elif damage == "card":
        (folder / "onnx.json").write_text("{")
    else:
        files = {"names": {"../decoder.onnx": "0"}, "half": card["files"] | {"palette.onnx": "0"}}
        changed = {"format": 4} if damage == "newer" else {"files": files[damage]}
        (folder / "onnx.json").write_text(json.dumps(card | changed))
    with pytest.raises(WeightsError, match=messages[damage]):
        OnnxEngine(folder)


def test_no_exported_model_is_said(tmp_path):
    with pytest.raises(WeightsError, match=r"holds no exported model: there is no onnx\.json"):
        OnnxEngine(tmp_path)
