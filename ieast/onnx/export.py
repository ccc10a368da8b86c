"""From PyTorch to ONNX, with dynamic sizes, and the proof that nothing changed."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ieast.errors import ConfigError, WeightsError
from ieast.io.files import disk_full_explained, replace_folder, sha256, temporary_folder
from ieast.layers.attention import MEAN, STD
from ieast.layers.colour import with_colours_of
from ieast.layers.palette import mixed, palette_of, within
from ieast.methods.sanet import Sanet
from ieast.models.encoder import Encoder
from ieast.models.vgg19 import REDUCTION, SMALLEST_SIDE
from ieast.onnx.engine import OnnxEngine
from ieast.onnx.folder import BOUND, CARD, GRAPHS, PALETTE, STATISTICS, OnnxCard
from ieast.stylizer.base import Stylizer

FILES = frozenset({CARD, *(f"{name}.onnx" for name in (*GRAPHS, STATISTICS, PALETTE, BOUND))})
"""What a folder may hold that an export replaces."""

OPSET = 18
TOLERANCE = 1e-4
"""Of any value in [0, 1] of a picture: a fortieth of a grey level."""

# Content and style, height and width: even, odd, and smaller than the encoder takes.
_COMPARED = (((128, 192), (96, 96)), ((151, 83), (70, 123)), ((13, 37), (40, 18)))


class _Encode(nn.Module):
    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        taps = self.encoder(images)
        return taps["relu4_1"], taps["relu5_1"]


class _Transfer(nn.Module):
    def __init__(self, stylizer: Sanet):
        super().__init__()
        self.transform = stylizer.transform

    def forward(
        self,
        content4_1: Tensor,
        content5_1: Tensor,
        style4_1: Tensor,
        style5_1: Tensor,
        mean: Tensor | None = None,
        std: Tensor | None = None,
    ) -> Tensor:
        content, style = {"relu4_1": content4_1, "relu5_1": content5_1}, {"relu4_1": style4_1, "relu5_1": style5_1}
        if mean is not None and std is not None:
            style |= {MEAN: mean, STD: std}
        return self.transform.attend(content, style)


class _Statistics(nn.Module):
    def __init__(self, stylizer: Sanet):
        super().__init__()
        self.transform = stylizer.transform

    def forward(self, style4_1: Tensor, style5_1: Tensor) -> tuple[Tensor, Tensor]:
        return self.transform.statistics_of({"relu4_1": style4_1, "relu5_1": style5_1})


class _Decode(nn.Module):
    def __init__(self, stylizer: Sanet):
        super().__init__()
        self.merge_conv, self.decoder = stylizer.transform.merge_conv, stylizer.decoder

    def forward(self, features: Tensor) -> Tensor:
        return self.decoder(self.merge_conv(features))


class _Colours(nn.Module):
    def forward(self, content: Tensor, stylized: Tensor) -> Tensor:
        return with_colours_of(content, stylized)


class _Palette(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return palette_of(images)[:, :, 0, 0]


class _Bound(nn.Module):
    def forward(self, pictures: Tensor, palettes: Tensor, shares: Tensor) -> Tensor:
        return within(pictures, mixed(palettes[:, None, :, None, None], shares[:, None, None, None, None]))


def export_onnx(stylizer: Stylizer, folder: Path, method: str) -> OnnxCard:
    """Write the graphs of `stylizer` to `folder`, which appears complete or not at all (`ieast.onnx.folder`).

    Weights that half precision holds exactly are stored in it. What ONNX Runtime makes of the graphs is compared with PyTorch
    on three pairs of pictures, odd sizes among them.

    Args:
        stylizer: A model of a method with style attention.
        folder: Where to put it; an exported model that was there is replaced.
        method: The method's name, for people.

    Raises:
        ConfigError: The method cannot be exported.
        WeightsError: ONNX Runtime's pictures differ from PyTorch's.
    """
    if not isinstance(stylizer, Sanet):
        raise ConfigError(f"{stylizer.name} cannot be exported to ONNX; sanet and ieast can")
    stylizer = stylizer.eval().cpu().float().requires_grad_(False).to(memory_format=torch.contiguous_format)
    channels = stylizer.encoder.widths[3]
    maps = [torch.rand(1, channels, height, width) for height, width in ((12, 18), (6, 9), (7, 10), (4, 5))]
    picture = torch.rand(1, 3, 83, 102)
    of_style, statistics = ["style4_1", "style5_1"], [MEAN, STD] if stylizer.options.match_statistics else []
    vectors = [torch.rand(1, channels) for _ in statistics]
    plans: dict[str, tuple[nn.Module, Sequence[Tensor], Sequence[str], Sequence[str]]] = {
        "encoder": (_Encode(stylizer.encoder), [picture], ["images"], ["relu4_1", "relu5_1"]),
        "transform": (
            _Transfer(stylizer),
            [*maps, *vectors],
            ["content4_1", "content5_1", *of_style, *statistics],
            ["features"],
        ),
        "decoder": (_Decode(stylizer), maps[:1], ["features"], ["pictures"]),
        "colours": (_Colours(), [picture, picture.flip(2)], ["content", "stylized"], ["pictures"]),
    }
    if statistics:
        plans[STATISTICS] = (_Statistics(stylizer), maps[2:], of_style, statistics)
    if stylizer.bounds_palette:
        palettes = torch.cat([_Palette()(picture), _Palette()(picture.square())])
        plans[PALETTE] = (_Palette(), [picture], ["images"], ["palette"])
        plans[BOUND] = (
            _Bound(),
            [picture, palettes, torch.tensor([0.3, 0.7])],
            ["pictures", "palettes", "shares"],
            ["bounded"],
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with disk_full_explained(folder), temporary_folder(beside=folder) as temporary:
        for name, plan in plans.items():
            onnx.save(_graph(*plan), temporary / f"{name}.onnx")
        card = OnnxCard(
            method=method,
            opset=OPSET,
            multiple=REDUCTION,
            smallest_side=SMALLEST_SIDE,
            channels=channels,
            width=stylizer.encoder.widths[0],
            largest_difference=0,
            files={f"{name}.onnx": sha256(temporary / f"{name}.onnx") for name in plans},
        )
        (temporary / CARD).write_text(card.model_dump_json(indent=2) + "\n")
        difference = largest_difference(stylizer, OnnxEngine(temporary))
        if not difference <= TOLERANCE:
            raise WeightsError(
                f"{folder} was not written: ONNX Runtime's pictures differ from PyTorch's by up to {difference:.1e}, "
                f"allowed is {TOLERANCE:.0e}"
            )
        card = card.model_copy(update={"largest_difference": difference})
        (temporary / CARD).write_text(card.model_dump_json(indent=2) + "\n")
        replace_folder(temporary, folder)
    return card


@torch.inference_mode()
def largest_difference(stylizer: Stylizer, engine: OnnxEngine) -> float:
    """Between the pictures that both make of the same noise, at three sizes, in any value."""
    generator = torch.Generator().manual_seed(0)
    differences = []
    for content_size, style_size in _COMPARED:
        content, style = (torch.rand(1, 3, *size, generator=generator) for size in (content_size, style_size))
        taps = engine.encode(content.numpy(), engine.card.multiple, "a content")
        features = engine.transfer(taps, engine.as_style(engine.encode(style.numpy(), 1, "a style")))
        free = engine.decode(features, *content_size)
        picture = engine.within(free, [engine.palette(style.numpy())], [1.0]) if engine.bounds_palette else free
        differences.append(np.abs(picture - stylizer.stylize(content, style, tile=None).numpy()).max())
        colours = stylizer.stylize(content, style, preserve_colour="luminance", tile=None).numpy()
        differences.append(np.abs(engine.in_colours_of(content.numpy(), free) - colours).max())
    return float(max(differences))


def _graph(module: nn.Module, inputs: Sequence[Tensor], names: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    quiet = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir", "onnxscript")]
    levels = [logger.level for logger in quiet]
    for logger in quiet:
        logger.setLevel(logging.ERROR)
    try:
        program = torch.onnx.export(
            module.eval(),
            tuple(inputs),
            dynamo=True,
            input_names=list(names),
            output_names=list(outputs),
            dynamic_shapes=_dynamic(inputs),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    finally:
        for logger, level in zip(quiet, levels, strict=True):
            logger.setLevel(level)
    assert program is not None
    return _in_half(program.model_proto)


def _dynamic(inputs: Sequence[Tensor]) -> tuple[object, ...]:
    """Which dimensions may be of any size: height and width of what has them, and how many there are of what is not single."""
    free = torch.export.Dim.DYNAMIC
    return tuple({2: free, 3: free} if each.ndim == 4 else {0: free} if len(each) > 1 else None for each in inputs)


def _in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph, with every weight that half precision holds exactly stored in it; ONNX Runtime widens it on loading."""
    casts = []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        half = values.astype(np.float16) if values.dtype == np.float32 and values.ndim else None
        if half is None or values.size < 64 or not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model
