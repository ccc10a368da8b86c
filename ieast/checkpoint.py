"""Exported models: a folder of safetensors and a JSON that says what they are and proves that they belong together.

config.json           method, encoder, provenance, where the training styles lie, and a digest for each file
model.safetensors     what was trained: transform and decoder, or what else the method has
encoder.safetensors   the encoder they were trained on; left out where that is the one the package ships

`import_published` makes such a folder of the published `.pth` files.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ieast.config import describe
from ieast.errors import ConfigError, OutputError, WeightsError
from ieast.io.files import atomic_write, disk_full_explained, replace_folder, replaceable, sha256, temporary_folder
from ieast.io.weights import read_weights
from ieast.methods import build
from ieast.methods.sanet import Sanet
from ieast.models import pretrained
from ieast.models.encoder import Encoder, weights_digest
from ieast.models.encoder_weights import read_encoder_file
from ieast.models.vgg19 import WIDTHS
from ieast.stylizer.base import Stylizer
from ieast.stylizer.novelty import StyleRange

FORMAT = 3
CONFIG, MODEL, ENCODER = "config.json", "model.safetensors", "encoder.safetensors"
FILES = frozenset({CONFIG, MODEL, ENCODER})
"""All that a model's folder may hold."""

# Index of each convolution in the published decoder's Sequential, in the order they are applied.
_DECODER_INDICES = {1: "4_1", 5: "3_4", 8: "3_3", 11: "3_2", 14: "3_1", 18: "2_2", 21: "2_1", 25: "1_2", 28: "1_1"}


class EncoderCard(BaseModel):
    """Which encoder a model was trained on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    digest: str
    source: str


class ModelCard(BaseModel):
    """What config.json says of a model."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    format: int = FORMAT
    method: str
    network: str = "sanet"
    """The file in `ieast.methods` that reads it; formats below 2 held nothing else."""
    options: dict[str, Any] = {}
    encoder: EncoderCard
    files: dict[str, str]
    provenance: dict[str, Any]
    styles: StyleRange | None = None
    """Of the training styles; formats below 3 held nothing of them."""


def save_model(
    stylizer: Stylizer,
    folder: Path,
    *,
    method: str,
    encoder_source: str,
    provenance: dict[str, Any],
    styles: StyleRange | None = None,
    compact: bool = False,
) -> ModelCard:
    """Write `stylizer` to `folder`, which appears complete or not at all; a model that was there is replaced.

    Args:
        stylizer: The trained model.
        folder: Where to put it.
        method: The method's name, as in the training configuration.
        encoder_source: Where the encoder's weights came from, for people.
        provenance: Whatever tells how the model came to be: data version, seed, configuration, library versions.
        styles: Where its training styles lie, if that is known.
        compact: Save in half precision, and without the encoder if it is the one the package ships.

    Raises:
        DiskFullError: No space was left; a model that was there is intact.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with disk_full_explained(folder), temporary_folder(beside=folder) as temporary:
        trained = {k: v for k, v in stylizer.state_dict().items() if not k.startswith("encoder.")}
        digest = stylizer.encoder.digest()
        _save(trained, temporary / MODEL, half=compact)
        files = [MODEL]
        if not (compact and digest == _shipped_encoder_digest()):
            _save(stylizer.encoder.state_dict(), temporary / ENCODER)
            files.append(ENCODER)
        card = ModelCard(
            method=method,
            network=stylizer.name,
            options=stylizer.options.model_dump(mode="json"),
            encoder=EncoderCard(name=stylizer.encoder.name, digest=digest, source=encoder_source),
            files={name: sha256(temporary / name) for name in files},
            provenance=provenance,
            styles=styles,
        )
        (temporary / CONFIG).write_text(_json(card))
        replace_folder(temporary, folder)
    return card


def load_model(
    folder: Path | str, encoder: nn.Module | None = None, options: Mapping[str, Any] | None = None
) -> tuple[Stylizer, ModelCard]:
    """The model in `folder`, ready to stylize, and its card.

    Args:
        folder: What `save_model` wrote.
        encoder: Use this encoder instead of reading the one in the folder; it must be the same one.
        options: Of the method, in the place of those that the model was saved with, for going on with its training.

    Raises:
        WeightsError: The folder holds no model, is of a newer format, a file was changed or is damaged, or the encoder is not
            the one the model was trained on.
    """
    folder = Path(folder)
    card = read_card(folder)
    for name, digest in card.files.items():
        if not (folder / name).is_file():
            raise WeightsError(f"model {folder} lacks its file {name}; copy the whole folder again")
        if sha256(folder / name) != digest:
            raise WeightsError(
                f"{folder / name} is not the file that was saved (its SHA-256 differs from {CONFIG}); copy it again"
            )
    try:
        stylizer = build(card.network, Encoder(card.encoder.name), {**card.options, **(options or {})})
    except ConfigError as error:
        raise WeightsError(f"{folder / CONFIG}: {error}. Update ieast, or add the method's file") from None
    if encoder is not None:
        encoder_state = encoder.state_dict()
    else:
        encoder_state = _load(folder / ENCODER if ENCODER in card.files else pretrained.ENCODER)
    if (digest := weights_digest(encoder_state)) != card.encoder.digest:
        raise WeightsError(
            f"model {folder} was trained on the encoder {card.encoder.name} {card.encoder.digest[:12]}, not on "
            f"{digest[:12]}: its transform and decoder would turn other features into mush. Use the encoder it was saved with"
        )
    state = _load(folder / MODEL) | {f"encoder.{k}": v for k, v in encoder_state.items()}
    try:
        stylizer.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{folder} does not hold a {card.method} model on {card.encoder.name}: {error}") from error
    return stylizer.eval().to(memory_format=torch.channels_last), card


def model_place(folder: Path) -> Path:
    """Where a model is to be put: at `folder`, or where it leads if it is a link.

    Raises:
        OutputError: There is something else than an earlier model, which would be lost.
    """
    place = replaceable(folder, FILES)
    if any((place / name).exists() for name in FILES):
        try:
            read_card(place)
        except WeightsError as error:
            raise OutputError(
                f"{folder}: holds files of a model's names that are none of this project's, which would be lost ({error}). "
                "Give a folder that is empty or not there yet"
            ) from error
    return place


def read_card(folder: Path | str) -> ModelCard:
    """What the model in `folder` says of itself.

    Raises:
        WeightsError: There is no model, or its config.json cannot be used.
    """
    path = Path(folder, CONFIG)
    try:
        values = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise WeightsError(f"{folder} holds no model: there is no {CONFIG} in it") from None
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read ({error.strerror}); check its permissions, or copy the model again"
        ) from None
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and nesting without end
        raise WeightsError(f"{path} is damaged ({error}); copy the model again") from error
    if isinstance(values, dict) and isinstance(values.get("format"), int) and values["format"] > FORMAT:
        raise WeightsError(f"{path} is of format {values['format']}; this version reads up to {FORMAT}: update ieast")
    try:
        card = ModelCard.model_validate(values)
    except ValidationError as error:
        raise WeightsError(describe(error, str(path))) from None
    if not {MODEL} <= set(card.files) <= {MODEL, ENCODER}:
        raise WeightsError(f"{path} must vouch for {MODEL} and {ENCODER}, not for {sorted(card.files)}; copy the model again")
    if card.encoder.name not in WIDTHS:
        raise WeightsError(f"{path} names the encoder {card.encoder.name!r}; known are {', '.join(WIDTHS)}")
    return card


def export_compact(source: Path, folder: Path) -> ModelCard:
    """Copy the model in `source` to `folder` in half precision, without the encoder if it is the one the package ships.

    Raises:
        WeightsError: As `load_model`.
    """
    stylizer, card = load_model(source)
    return save_model(
        stylizer,
        folder,
        method=card.method,
        encoder_source=card.encoder.source,
        provenance=card.provenance,
        styles=card.styles,
        compact=True,
    )


def import_published(vgg: Path, transform: Path, decoder: Path, folder: Path) -> ModelCard:
    """Turn the three published `.pth` files of this method's family into a model folder.

    Args:
        vgg: `vgg_normalised.pth`.
        transform: `transformer_iter_N.pth`, with `sanet4_1`, `sanet5_1` and `merge_conv`.
        decoder: `decoder_iter_N.pth`, a Sequential.
        folder: Where the model goes.

    Raises:
        WeightsError: A file is missing, is not plain tensors, or does not fit.
    """
    stylizer = Sanet(Encoder("vgg19-normalised"))
    parts: list[tuple[nn.Module, dict[str, Tensor], Path]] = [
        (stylizer.encoder, read_encoder_file(vgg, "vgg19-normalised"), vgg),
        (stylizer.transform, read_weights(transform), transform),
        (stylizer.decoder, _decoder_names(read_weights(decoder), decoder), decoder),
    ]
    for module, state, path in parts:
        try:
            module.load_state_dict(state)
        except RuntimeError as error:
            raise WeightsError(f"{path} does not fit the published layout of the {type(module).__name__}: {error}") from error
    provenance = {"imported_from": {path.name: sha256(path) for _, _, path in parts}}
    return save_model(stylizer, folder, method="ieast", encoder_source=vgg.name, provenance=provenance)


def _decoder_names(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    try:
        return {
            f"conv{layer}.{kind}": state[f"{index}.{kind}"]
            for index, layer in _DECODER_INDICES.items()
            for kind in ("weight", "bias")
        }
    except KeyError as error:
        raise WeightsError(f"{path} is not a published decoder: it has no {error}") from None


def note_styles(folder: Path, styles: StyleRange) -> ModelCard:
    """Write into the card of the model in `folder` where its training styles lie, in the place of what it said of them.

    Raises:
        WeightsError: There is no model, or it is on another encoder than `styles` were seen by.
    """
    card = read_card(folder)
    if 2 * sum(WIDTHS[card.encoder.name]) != len(styles.middle):
        raise WeightsError(
            f"{folder} is on the encoder {card.encoder.name}, which did not see these styles; measure them by it"
        )
    card = card.model_copy(update={"format": FORMAT, "styles": styles})
    with atomic_write(folder / CONFIG) as temporary:
        temporary.write_text(_json(card))
    return card


def _json(card: ModelCard) -> str:
    """The card's text; the long lists of numbers stand in a line each."""
    text = json.dumps(card.model_dump(mode="json", exclude={"styles"}), indent=2)
    if card.styles is None:
        return text + "\n"
    numbers = ",\n".join(f'    "{name}": {json.dumps(value)}' for name, value in card.styles.model_dump(mode="json").items())
    return text.removesuffix("\n}") + ',\n  "styles": {\n' + numbers + "\n  }\n}\n"


def _shipped_encoder_digest() -> str | None:
    return weights_digest(_load(pretrained.ENCODER)) if pretrained.ENCODER.is_file() else None


def _save(state: dict[str, Tensor], path: Path, half: bool = False) -> None:
    precision = torch.float16 if half else torch.float32
    data = save({name: value.detach().to("cpu", precision).contiguous() for name, value in state.items()})
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _load(path: Path) -> dict[str, Tensor]:
    try:
        return {name: value.float() for name, value in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); copy the model again") from error
