"""Where an encoder's weights come from: seeded random ones, what the package ships, torchvision's, and published files."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ieast.config import EncoderConfig
from ieast.errors import WeightsError
from ieast.io.weights import hub_file, read_weights
from ieast.models import pretrained
from ieast.models.encoder import Encoder
from ieast.models.untrained import draw_weights
from ieast.models.vgg19 import CONVOLUTIONS

# Index of each convolution in the published Sequentials, in the order of CONVOLUTIONS.
_NORMALIZED_INDICES = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42)
_TORCHVISION_INDICES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def build_encoder(config: EncoderConfig, seed: int = 0) -> Encoder:
    """The encoder that `config` names, with its weights; taps are not yet scaled (`Encoder.normalize_taps`).

    Raises:
        WeightsError: The file is missing or holds another network, or ImageNet weights cannot be downloaded.
    """
    encoder = Encoder(config.name)
    if config.weights == "untrained":
        encoder.conv0.weight.copy_(2 * torch.eye(3)[:, :, None, None])
        encoder.conv0.bias.fill_(-1)  # RGB [0, 1] to [-1, 1]
        draw_weights([encoder.convolution(layer) for layer in CONVOLUTIONS], seed)
        return encoder.eval()
    if config.weights is not None:
        state = read_encoder_file(Path(config.weights), config.name)
    else:
        state = _imagenet_weights() if config.name == "vgg19" else read_encoder_file(pretrained.ENCODER, config.name)
    expected = {name: tuple(value.shape) for name, value in encoder.state_dict().items()}
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    if shapes != expected:
        wrong = next(name for name in sorted(expected | shapes) if expected.get(name) != shapes.get(name))
        raise WeightsError(
            f"{config.source} does not hold the weights of encoder {config.name}: {wrong} has shape {shapes.get(wrong)}, "
            f"expected {expected.get(wrong)}. Set encoder.name to the network the file was made for, or name another file."
        )
    encoder.load_state_dict(state)
    return encoder.eval()


def read_encoder_file(path: Path, name: str | None = None) -> dict[str, Tensor]:
    """Weights under this project's names, from any of the layouts in use.

    `name` is the encoder they are meant for. The two full-width ones have the same shapes, so only the layout tells that a
    file is of the other; a model would quietly turn to mush on it.

    Understands this project's own safetensors, the quarter-width safetensors of Collaborative Distillation (CVPR 2020), the
    published `vgg_normalised.pth`, and torchvision's VGG-19 `.pth`.

    Raises:
        WeightsError: There is no such file, it holds none of these, or another encoder than `name`.
    """
    state = read_weights(path)
    if "conv1_1.weight" in state:
        return {name: value.float() for name, value in state.items()}
    if "conv11.weight" in state:  # Collaborative Distillation; the 1x1 `_aux` lifts served its training only
        _refuse_other_family("vgg19-compact", name, path)
        rename = {f"conv{layer.replace('_', '')}": f"conv{layer}" for layer in CONVOLUTIONS} | {"conv0": "conv0"}
        return _rename(state, rename, path)
    if "features.0.weight" in state:
        _refuse_other_family("vgg19", name, path)
        rename = {f"features.{i}": f"conv{layer}" for i, layer in zip(_TORCHVISION_INDICES, CONVOLUTIONS, strict=True)}
        return _rename(state, rename, path) | imagenet_normalization()
    if "0.weight" in state and state["0.weight"].shape[-2:] == (1, 1):
        _refuse_other_family("vgg19-normalised", name, path)
        rename = {str(i): f"conv{layer}" for i, layer in zip(_NORMALIZED_INDICES, CONVOLUTIONS, strict=True)} | {"0": "conv0"}
        return _rename(state, rename, path)
    raise WeightsError(
        f"{path} is not a VGG-19 this project knows (its first key is {next(iter(state), None)!r}); expected an ieast or "
        "Collaborative Distillation .safetensors, vgg_normalised.pth, or torchvision's vgg19 .pth"
    )


def _refuse_other_family(family: str, expected: str | None, path: Path) -> None:
    if expected is not None and family != expected:
        raise WeightsError(
            f"{path} holds weights of encoder {family}, not of {expected}; set encoder.name or name another file"
        )


def _rename(state: Mapping[str, Tensor], names: Mapping[str, str], path: Path) -> dict[str, Tensor]:
    renamed = {}
    for old, new in names.items():
        for kind in ("weight", "bias"):
            if f"{old}.{kind}" not in state:
                raise WeightsError(f"{path} ends before relu5_1: it has no {old}.{kind}; the encoder needs all five taps")
            renamed[f"{new}.{kind}"] = state[f"{old}.{kind}"].float()
    return renamed


def imagenet_normalization() -> dict[str, Tensor]:
    """conv0 for weights that expect RGB with ImageNet's mean and deviation taken out."""
    std, mean = torch.tensor(_IMAGENET_STD), torch.tensor(_IMAGENET_MEAN)
    return {"conv0.weight": torch.diag(1 / std)[:, :, None, None], "conv0.bias": -mean / std}


def _imagenet_weights() -> dict[str, Tensor]:
    from torchvision.models import VGG19_Weights

    url = VGG19_Weights.IMAGENET1K_V1.url
    return read_encoder_file(hub_file(url, "ImageNet VGG-19", instead="name a file in encoder.weights"))
