"""A trained model, fine-tuned on one artwork or a few, so that it follows them more closely.

It is a training like any other (`ieast.training.fit`), from that model on, whose styles are those artworks; a guard watches
over contents. Nothing is written until it has ended well.
"""

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from ieast.checkpoint import MODEL, ModelCard, load_model, save_model
from ieast.config import AdaptationConfig, merge
from ieast.data.prepare import MIN_PICTURES, prepare_dataset
from ieast.data.sample import draw_photograph
from ieast.errors import ConfigError, DataError, ImageError, InterruptedTrainingError, TrainingError
from ieast.experiment import ExperimentConfig
from ieast.io.files import evenly, sha256
from ieast.io.images import read_size, to_tensor
from ieast.io.listing import find_pictures
from ieast.io.progress import progress_bar
from ieast.methods import find
from ieast.stylization.inputs import is_of_one_colour, read_style
from ieast.training.fit import fit
from ieast.training.guard import ContentGuard, Look

log = logging.getLogger(__name__)

DRAWN = 12
"""Photographs that are drawn where no contents are given, besides the probes."""
MOST_CONTENTS = 96
"""Contents that are taken of a folder, evenly spread: as many as a few hundred iterations can show more than once or twice."""
WINDOW = 0.7
"""Share of a side that windows of an artwork have, where there are too few artworks for a batch."""

# Over the preset `compact`, whose batches and objective the shipped models were trained with.
SETTINGS: dict[str, Any] = {
    "preset": "compact",
    "objective": {
        "external_learning": True,
        "contrastive_learning": True,
        "weights": {"style": 10, "content": 6, "adversarial": 0.1},  # the discriminator starts anew, as in the quickstart
    },
    "model": {"discriminator_width": 16, "discriminator_scales": 2},
    "training": {
        "reconstruction_iterations": 0,
        "crop": 160,
        "anneal": 0.5,
        "ema_decay": 0.95,
        "precision": "32-true",
    },
}


@dataclass(frozen=True)
class Adaptation:
    """What `adapt` did.

    Attributes:
        card: Of the adapted model.
        looks: The guard's, the first before anything was changed.
        best: The one whose weights were kept.
        lost: Whether training was ended because contents went too far.
    """

    card: ModelCard
    looks: tuple[Look, ...]
    best: Look
    lost: bool


def adapt(
    model: Path, artworks: Sequence[Path], output: Path, settings: AdaptationConfig, contents: Path | None = None
) -> Adaptation:
    """Fine-tune decoder and transform of the model in `model` on `artworks`, and write it to `output`.

    Args:
        model: A model folder, of a method that learns to stylize in any style.
        artworks: Pictures, at least twice as large as training's crops.
        output: Gets the model, complete or not at all.
        settings: How long, how fast, and what contents may lose.
        contents: A folder of photographs; without it, some are drawn.

    Raises:
        ConfigError: The model's method learns nothing, or knows only its own styles.
        ImageError: An artwork cannot be read, is too small, or is of one colour.
        DataError: There are too few contents.
        TrainingError: Losses were not finite, it was asked to stop, or nothing was better than the model as it is; nothing
            was written.
    """
    stylizer, card = load_model(model)
    if stylizer.learns != "stylization" or not stylizer.any_style:
        raise ConfigError(f"{model} is a model of {card.method}, which does not learn to stylize in any style; give another")
    with tempfile.TemporaryDirectory(prefix="ieast-adapt-") as place:
        work = Path(place)
        config = experiment(card, model, settings)
        styles = _lay_out_styles(artworks, work / "source" / "style", settings.size, config.training.crop)
        probes = _lay_out_contents(contents, work / "source" / "content", config.training.crop, settings)
        prepared = prepare_dataset(work / "source", work, config.prepare, "adaptation")
        guard = ContentGuard(probes, styles, settings.content_tolerance, settings.check_every)
        try:
            result = fit(config, prepared, work / "training", callbacks=[guard])
        except InterruptedTrainingError:
            raise TrainingError("the adaptation was asked to stop; nothing was written") from None
        best = guard.best
        assert best is not None
        if best.iteration == 0:
            raise TrainingError(
                f"nothing was written, because nothing was better than {model} as it is: contents were lost before the style "
                "came nearer. Lower --learning-rate, or allow more with --content-tolerance"
            )
        adapted, _ = load_model(result.model_folder)
        before = guard.looks[0]
        facts = {
            "model": card.files[MODEL],  # the digest of its weights' file
            "artworks": {name: sha256(path) for name, path in zip(_names(artworks), artworks, strict=True)},
            "settings": settings.model_dump(mode="json"),
            "iterations": best.iteration,
            "style_ratio": round(best.style_ratio(before), 4),
            "content_ratio": round(best.content / before.content, 4),
        }
        new_card = save_model(
            adapted,
            output,
            method=config.method_name,
            encoder_source=card.encoder.source,
            provenance=card.provenance | {"adaptation": facts},
            styles=card.styles,  # for whoever asks how far another style is
        )
    return Adaptation(new_card, tuple(guard.looks), best, guard.lost)


def _names(artworks: Sequence[Path]) -> list[str]:
    """Without folders, which are nobody's business, and told apart by numbers where two are the same."""
    names = [path.name for path in artworks]
    return [name if names.count(name) == 1 else f"{name} ({number})" for number, name in enumerate(names, 1)]


def experiment(card: ModelCard, model: Path, settings: AdaptationConfig) -> ExperimentConfig:
    """The training that an adaptation of the model in `model` is."""
    over = {
        "method": card.network,
        "encoder": {"name": card.encoder.name},
        "model": {
            "start": str(model.absolute()),
            "attention_start": "random",
            # The model's own, which the preset's would replace.
            "options": find(card.network).parse_options(card.options).model_dump(mode="json"),
        },
        "prepare": {"size": settings.size, "min_side": SETTINGS["training"]["crop"], "held_out": 0, "max_bad_share": 0.5},
        "training": {
            "iterations": settings.iterations,
            "learning_rate": settings.learning_rate,
            "seed": settings.seed,
            "picture_every": settings.iterations,
            "checkpoint_every": settings.iterations,
        },
    }
    return ExperimentConfig.parse(merge(SETTINGS, over), "the adaptation")


def _lay_out_styles(artworks: Sequence[Path], folder: Path, size: int, crop: int) -> list[Tensor]:
    """Write the artworks into `folder`, or windows of them where they are too few; and give them as pictures."""
    folder.mkdir(parents=True)
    pictures = [read_style(path, size) for path in artworks]
    for path, picture in zip(artworks, pictures, strict=True):
        if min(picture.size) < 2 * crop:
            raise ImageError(
                f"{path}: is {picture.width}x{picture.height} pixels, too small to adapt to: its smallest side must have "
                f"{2 * crop}. Give a larger copy"
            )
        if is_of_one_colour(picture):
            raise ImageError(f"{path}: is of one colour, and there is nothing to learn from it. Give another artwork")
    for number, picture in enumerate(pictures):
        parts = [picture] if len(pictures) >= MIN_PICTURES else _windows(picture)
        for place, part in enumerate(parts):
            part.save(folder / f"{number:03d}-{place}.png")
    return [to_tensor(picture) for picture in pictures]


def _windows(picture: Image.Image) -> list[Image.Image]:
    """The four corners of a picture, which overlap."""
    width, height = (round(WINDOW * side) for side in picture.size)
    return [
        picture.crop((left, top, left + width, top + height))
        for top in (0, picture.height - height)
        for left in (0, picture.width - width)
    ]


def _lay_out_contents(contents: Path | None, folder: Path, crop: int, settings: AdaptationConfig) -> list[Tensor]:
    """Put contents to train on into `folder`, and give others as probes."""
    folder.mkdir(parents=True)
    if contents is None:
        numbers = range(DRAWN + settings.probes)
        drawn = [
            Image.fromarray(draw_photograph(number, settings.seed))
            for number in progress_bar(numbers, desc="drawing contents", unit="picture")
        ]
        for number, picture in enumerate(drawn[settings.probes :]):
            picture.save(folder / f"{number:03d}.png")
        return [to_tensor(picture) for picture in drawn[: settings.probes]]
    large = [path for path in find_pictures(contents).pictures if min(read_size(path)) >= 2 * crop]
    if len(large) < settings.probes + MIN_PICTURES:
        raise DataError(
            f"{contents} holds {len(large)} pictures of {2 * crop} pixels a side or more, and an adaptation needs "
            f"{settings.probes + MIN_PICTURES}. Add some, or leave out --content to have them drawn"
        )
    chosen = evenly(large, MOST_CONTENTS + settings.probes)
    probes = evenly(chosen, settings.probes)
    for number, path in enumerate(path for path in chosen if path not in probes):
        (folder / f"{number:03d}{path.suffix}").symlink_to(path.absolute())
    return [to_tensor(read_style(path, settings.size)) for path in probes]
