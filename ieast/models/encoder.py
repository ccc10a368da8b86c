"""The frozen VGG-19 encoder φ, full or quarter width, and where its weights come from."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from urllib.error import URLError

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from ieast.config import EncoderConfig
from ieast.errors import WeightsError
from ieast.layers.convolution import ReflectedConvolution
from ieast.models import pretrained
from ieast.models.untrained import draw_weights

Taps = dict[str, Tensor]
"""Features (B, C, h, w) by the name of the layer they come from."""

STYLE_TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
WIDTHS = {
    "vgg19": (64, 128, 256, 512, 512),
    "vgg19-normalised": (64, 128, 256, 512, 512),
    "vgg19-compact": (16, 32, 64, 128, 128),
}
# Convolutions up to conv5_1, the deepest tap; what lies beyond in VGG-19 is never computed.
CONVOLUTIONS = ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "3_4", "4_1", "4_2", "4_3", "4_4", "5_1")
REDUCTION = 16
# Reflection padding by one needs two positions at the deepest level.
SMALLEST_SIDE = REDUCTION + 1

# Index of each convolution in the published Sequentials, in the order of CONVOLUTIONS.
_NORMALISED_INDICES = (2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42)
_TORCHVISION_INDICES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28)
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class Encoder(nn.Module):
    """VGG-19 up to relu5_1 with reflection padding and ceil-mode max pooling; its weights never change in training.

    A leading 1x1 convolution `conv0` maps RGB in [0, 1] to whatever the weights expect (mean/std, BGR 0-255, ...), so every
    encoder takes the same pictures.
    """

    def __init__(self, name: str):
        super().__init__()
        self.name = name
        self.widths = WIDTHS[name]
        self.conv0 = ReflectedConvolution(3, 3, 1)
        previous = 3
        for layer in CONVOLUTIONS:
            width = self.widths[int(layer[0]) - 1]
            self.add_module(f"conv{layer}", ReflectedConvolution(previous, width))
            previous = width
        self.requires_grad_(False)

    def forward(self, images: Tensor, conv4_2: bool = False, deepest: str = "relu5_1") -> Taps:
        """Features of `images` (B, 3, H, W) in [0, 1]: the five relu taps, and conv4_2 (before its ReLU) on request.

        relu1_1 has the picture's size; each next tap halves it, rounding up. What lies beyond the tap `deepest` is not
        computed, unless it is conv4_2.
        """
        last = "4_2" if conv4_2 and deepest < "relu4_2" else deepest.removeprefix("relu")
        taps = {}
        x = self.conv0(images)
        for layer in CONVOLUTIONS:
            if layer.endswith("_1") and layer != "1_1":
                x = F.max_pool2d(x, 2, ceil_mode=True)
            x = self._conv(layer)(x)
            if conv4_2 and layer == "4_2":
                taps["conv4_2"] = x
                x = F.relu(x)
            else:
                x = F.relu_(x)
            if layer.endswith("_1"):
                taps[f"relu{layer}"] = x
            if layer == last:
                break
        return taps

    def _conv(self, layer: str) -> ReflectedConvolution:
        module = self.get_submodule(f"conv{layer}")
        assert isinstance(module, ReflectedConvolution)
        return module

    @torch.no_grad()
    def normalise_taps(self, batches: Iterable[Tensor]) -> dict[str, float]:
        """Scale every layer so that its mean activation over `batches` of pictures (B, 3, H, W) is 1.

        ReLU and max pooling commute with positive factors, so dividing a layer's weights by its mean activation and multiplying
        the next layer's by the same number changes nothing but the scale of the taps. The published loss weights go with
        features of about this scale: those of Gatys et al. (2015, section 2), who scale each filter. One scale a layer keeps
        the proportions between channels, which carry style.

        Returns:
            The mean activation that each layer had before.

        Raises:
            WeightsError: A layer is dead (its mean activation is 0) or not finite.
        """
        means = self._mean_activations(batches)
        for layer, mean in means.items():
            if not 0 < mean < float("inf"):
                raise WeightsError(
                    f"encoder {self.name}: the mean activation of conv{layer} is {mean}; its weights are unusable"
                )
        previous = 1.0
        for layer, mean in means.items():
            convolution = self._conv(layer)
            convolution.weight.mul_(previous / mean)
            convolution.bias.div_(mean)
            previous = mean
        return means

    def _mean_activations(self, batches: Iterable[Tensor]) -> dict[str, float]:
        sums = dict.fromkeys(CONVOLUTIONS, 0.0)

        def add_to(layer: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
            def hook(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
                sums[layer] += F.relu(output).double().mean(dim=(1, 2, 3)).sum().item()

            return hook

        hooks = [self._conv(layer).register_forward_hook(add_to(layer)) for layer in CONVOLUTIONS]
        pictures = 0
        try:
            for images in batches:
                self(images)
                pictures += len(images)
        finally:
            for hook in hooks:
                hook.remove()
        return {layer: total / pictures for layer, total in sums.items()}

    def digest(self) -> str:
        """Hex SHA-256 over names, shapes and values of the weights: the encoder's identity."""
        return weights_digest(self.state_dict())


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 over the names, shapes and fp32 values of `state`, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(state):
        values = state[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name}{tuple(values.shape)}".encode())
        digest.update(values.numpy().tobytes())
    return digest.hexdigest()


def build_encoder(config: EncoderConfig, seed: int = 0) -> Encoder:
    """The encoder that `config` names, with its weights; taps are not yet scaled (`Encoder.normalise_taps`).

    Raises:
        WeightsError: The file is missing or holds another network, or ImageNet weights cannot be downloaded.
    """
    encoder = Encoder(config.name)
    if config.weights == "untrained":
        encoder.conv0.weight.copy_(2 * torch.eye(3)[:, :, None, None])
        encoder.conv0.bias.fill_(-1)  # RGB [0, 1] to [-1, 1]
        draw_weights([encoder._conv(layer) for layer in CONVOLUTIONS], seed)
        return encoder.eval()
    if config.weights is not None:
        state = read_encoder_file(Path(config.weights), config.name)
    else:
        state = _imagenet_weights() if config.name == "vgg19" else read_encoder_file(pretrained.ENCODER, config.name)
    expected = {name: tuple(value.shape) for name, value in encoder.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in state.items()}
    if found != expected:
        wrong = next(name for name in sorted(expected | found) if expected.get(name) != found.get(name))
        raise WeightsError(
            f"{config.source} does not hold the weights of encoder {config.name}: {wrong} has shape {found.get(wrong)}, "
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
        return _rename(state, rename, path) | imagenet_normalisation()
    if "0.weight" in state and state["0.weight"].shape[-2:] == (1, 1):
        _refuse_other_family("vgg19-normalised", name, path)
        rename = {str(i): f"conv{layer}" for i, layer in zip(_NORMALISED_INDICES, CONVOLUTIONS, strict=True)} | {"0": "conv0"}
        return _rename(state, rename, path)
    raise WeightsError(
        f"{path} is not a VGG-19 this project knows (its first key is {next(iter(state), None)!r}); expected an ieast or "
        "Collaborative Distillation .safetensors, vgg_normalised.pth, or torchvision's vgg19 .pth"
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors file or of a .pth state dict; nothing in the file is executed.

    Raises:
        WeightsError: The file is missing, damaged, or not a state dict of plain tensors.
    """
    if not path.is_file():
        raise WeightsError(f"there is no weights file {path}; check the path, or put the file there")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise WeightsError(
            f"{path} is not a plain state dict of tensors; refused, because loading it could run code"
        ) from error
    except Exception as error:  # damage shows as anything: struct.error, IndexError, AssertionError, ...
        raise WeightsError(f"{path} cannot be read as weights ({error}); download or copy it again") from error
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path} is not a state dict of tensors")
    return dict(state)


def _refuse_other_family(found: str, wanted: str | None, path: Path) -> None:
    if wanted is not None and found != wanted:
        raise WeightsError(f"{path} holds weights of encoder {found}, not of {wanted}; set encoder.name or name another file")


def _rename(state: Mapping[str, Tensor], names: Mapping[str, str], path: Path) -> dict[str, Tensor]:
    renamed = {}
    for old, new in names.items():
        for kind in ("weight", "bias"):
            if f"{old}.{kind}" not in state:
                raise WeightsError(f"{path} ends before relu5_1: it has no {old}.{kind}; the encoder needs all five taps")
            renamed[f"{new}.{kind}"] = state[f"{old}.{kind}"].float()
    return renamed


def imagenet_normalisation() -> dict[str, Tensor]:
    """conv0 for weights that expect RGB with ImageNet's mean and deviation taken out."""
    std, mean = torch.tensor(_IMAGENET_STD), torch.tensor(_IMAGENET_MEAN)
    return {"conv0.weight": torch.diag(1 / std)[:, :, None, None], "conv0.bias": -mean / std}


def _imagenet_weights() -> dict[str, Tensor]:
    from torchvision.models import VGG19_Weights

    url = VGG19_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir(), "checkpoints", url.rsplit("/", 1)[-1])
    try:
        if not path.exists():
            torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True, weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"ImageNet VGG-19 could not be had from {url} ({error}). On a machine without network, put the file "
            f"{path.name} into {path.parent} (or set TORCH_HOME), or name a file in encoder.weights"
        ) from error
    return read_encoder_file(path)
