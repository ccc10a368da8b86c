"""How good models are on pictures they never saw, at several sizes.

python -m benchmarks.quality DATA --config configs/compact.yaml -o FOLDER

DATA holds content/ and style/, of which the configuration keeps the share `prepare.held_out` from training. Makes pictures of
the same pairs by every model, and tables of medians of the README's scores and of their intervals, with two rows that keep them
honest: the content and the style as they are. Where there are styles enough, also the deception score: the share that a
classifier takes for real.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
import typer
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ieast.checkpoint import load_model
from ieast.config import EncoderConfig, PrepareConfig, StylizeOptions
from ieast.data.prepare import PreparedDataset, folder_digest, prepare_dataset
from ieast.evaluation.deception import FEWEST, MOST_REAL, Stylizations, deception
from ieast.evaluation.distances import content_distance, style_distance, style_mismatch
from ieast.evaluation.features import Array, Remembering, pooled_features
from ieast.evaluation.noise import fine_structure
from ieast.evaluation.pairs import CROP, artwork_features
from ieast.evaluation.perceptual import PerceptualDistance, perceptual_distance, require_weights
from ieast.evaluation.references import CONTENT, STYLE, style_as_it_is
from ieast.evaluation.weave import weave
from ieast.experiment import ExperimentConfig
from ieast.io.content_noise import with_noise
from ieast.io.images import read_image, resize_smallest_side, to_image, to_tensor, write_image
from ieast.metrics import with_arrow
from ieast.models.encoder import Encoder
from ieast.models.encoder_weights import build_encoder
from ieast.models.references import released_or_folder
from ieast.stylizer.base import Stylizer

RESAMPLES = 2000
"""Of the bootstrap."""
Maker = Callable[[Tensor, Tensor, Path], Tensor]
"""Gives what is scored of a content and a style, (1, 3, H, W) in [0, 1], and the style's file."""


def held_out_pairs(
    prepared: PreparedDataset, count: int, match: str = "", min_side: int = 1, content_side: int = 1, skip: int = 0
) -> list[tuple[Path, Path]]:
    """The same `count` pairs of held-out contents and styles every time, drawn from all of them.

    Args:
        prepared: The pictures.
        count: How many pairs.
        match: Styles are those whose name contains it.
        min_side: And whose sources have at least so many pixels on their smallest side: larger pictures of smaller ones have
            no detail to copy.
        content_side: The same of contents.
        skip: How many pairs to pass over, such as those that decisions were made on. As long as there are styles left, those
            of the pairs after them are others.

    Raises:
        typer.BadParameter: There is no such style, or no such content.
    """
    random = np.random.default_rng(0)
    contents = prepared.scoring_paths("content")
    if content_side > 1:
        content_sides = prepared.source_sides("content")
        contents = [path for path in contents if content_sides[path] >= content_side]
    if not contents:
        raise typer.BadParameter(f"no held-out content has {content_side} pixels and more")
    sides = prepared.source_sides("style")
    styles = [path for path in prepared.scoring_paths("style") if match in path.name and sides[path] >= min_side]
    if not styles:
        raise typer.BadParameter(f"no held-out style of {min_side} pixels and more has {match!r} in its name")
    # Shuffled, for names begin with the collection; and dealt, so that every style comes up as often, give or take one.
    order = random.permutation(len(styles))
    drawn = [(contents[random.integers(len(contents))], styles[order[number % len(styles)]]) for number in range(skip + count)]
    return drawn[skip:]


def scores_of(
    encoder: Encoder,
    distance: PerceptualDistance | None,
    picture: Tensor,
    content: Tensor,
    style: Tensor,
    made: Tensor | None = None,
) -> dict[str, float]:
    """The README's scores of one stylization, by name.

    Args:
        encoder: Of the distances.
        distance: The perceptual one to the content; without it there is no such score.
        picture: What was made, (1, 3, H, W) in [0, 1].
        content: From this, of the same size.
        style: In this style, (1, 3, H', W').
        made: The same as `picture` before that was enlarged, of which detail, noise and weave are measured.
    """
    seen = Remembering(encoder)
    made = picture if made is None else made
    fine = fine_structure(made)
    scores = {
        "style_distance": float(style_distance(seen, picture, style)),
        "style_mismatch": float(style_mismatch(seen, picture, style)),
        "content_distance": float(content_distance(seen, picture, content)),
    }
    if distance is not None:
        scores[f"content_{distance.name}"] = float(distance(picture, content))
    return scores | {"detail": fine.detail, "colour_noise": fine.colour_noise, "weave": weave(made)}


@torch.inference_mode()
def score(
    name: str,
    make: Maker,
    pairs: list[tuple[Path, Path]],
    size: int,
    encoder: Encoder,
    distance: PerceptualDistance | None,
    folder: Path,
    as_found: bool,
) -> list[dict[str, object]]:
    """A row a pair; pictures go to `folder`. `as_found` is what `main` has of that name."""
    rows: list[dict[str, object]] = []
    for number, (content_path, style_path) in enumerate(tqdm(pairs, desc=f"{name} at {size}")):
        found, sides = (read_image(content_path), read_image(style_path)), (size, min(size, StylizeOptions.style_size))
        at_size = [resize_smallest_side(image, side) for image, side in zip(found, sides, strict=True)]
        smaller = [as_found and min(image.size) < side for image, side in zip(found, sides, strict=True)]
        content, style = (to_tensor(a if small else b) for a, b, small in zip(found, at_size, smaller, strict=True))
        stylized = make(content, style, style_path)
        for kind, picture in (("content", content), ("style", style), (_file_name(name), stylized)):
            write_image(to_image(picture), folder / f"{number:02d}_{kind}.png")
        where = {"model": name, "size": size, "content": content_path.stem, "style": style_path.stem}
        enlarged = stylized
        if smaller[0]:
            enlarged = to_tensor(to_image(stylized).resize(at_size[0].size, Image.Resampling.LANCZOS))
        seen_content, seen_style = map(to_tensor, at_size)
        rows.append({**where, **scores_of(encoder, distance, enlarged, seen_content, seen_style, stylized)})
    return rows


@torch.inference_mode()
def deceptions(table: pd.DataFrame, folder: Path, artworks: list[Path], encoder: Encoder) -> pd.DataFrame:
    """The deception score of each model at each size, of the pictures that `score` left in `folder`.

    Args:
        table: The rows of all of `score`.
        folder: With a folder of pictures for each size.
        artworks: Real ones, as they were found.
        encoder: Of the features.
    """
    seen: dict[int, tuple[Array, list[str]]] = {}
    rows = []
    for (model, pixels), of in table.groupby(["model", "size"], sort=False):
        name, size = str(model), int(str(pixels))
        side = min(CROP, size)
        if size not in seen:
            seen[size] = artwork_features(encoder, artworks, side, max(MOST_REAL, len(of)))
        real, names = seen[size]
        paths = (folder / str(size) / f"{number:02d}_{_file_name(name)}.png" for number in range(len(of)))
        features = np.array([pooled_features(encoder, to_tensor(read_image(path)), crop=side) for path in paths])
        stems = [Path(each).stem for each in names]
        judged = deception(real, stems, Stylizations(features, list(of["style"]), list(of["content"])))
        if judged.skipped:
            typer.echo(f"deception of {name} at {size} was not scored: {judged.skipped}", err=True)
        low, high = judged.low, judged.high
        rows.append(
            {"model": name, "size": size, "deception ↑": judged.score, "low": low, "high": high, "accuracy": judged.accuracy}
        )
    return pd.DataFrame(rows).set_index(["model", "size"]).round(3)


def _file_name(model: str) -> str:
    return model.replace(" ", "_")


def _by(stylizer: Stylizer, noise: float) -> Maker:
    def make(content: Tensor, style: Tensor, path: Path) -> Tensor:
        del path
        return stylizer.stylize(to_tensor(with_noise(to_image(content), noise)), style)

    return make


def medians(table: pd.DataFrame) -> pd.DataFrame:
    """A row a model and size, in the order they come; columns say where better values lie."""
    grouped = table.drop(columns=["content", "style"]).groupby(["model", "size"], sort=False)
    return grouped.median().round(3).rename(columns=with_arrow)


def intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Where 95 in 100 of the `medians` would lie had other styles been drawn, with the pairs that each is in.

    The percentile bootstrap (Efron & Tibshirani 1993, chapter 13). Contents come up several times as well, so that intervals
    are rather too narrow than too wide.
    """
    names = [name for name in table.columns if name not in ("model", "size", "content", "style")]
    rows = {}
    for key, scores in table.groupby(["model", "size"], sort=False):
        of_styles = [values.to_numpy() for _, values in scores.groupby("style", sort=True)[names]]
        random = np.random.default_rng(0)
        draws = random.integers(len(of_styles), size=(RESAMPLES, len(of_styles)))
        medians = np.array([np.median(np.concatenate([of_styles[style] for style in draw]), axis=0) for draw in draws])
        low, high = np.quantile(medians, [0.025, 0.975], axis=0)
        rows[key] = {with_arrow(name): f"{a:.3g} to {b:.3g}" for name, a, b in zip(names, low, high, strict=True)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["model", "size"])


def main(
    data: Annotated[Path, typer.Argument(help="Folder with content/ and style/.")],
    config: Annotated[Path, typer.Option(help="The configuration the models were trained with.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where pictures and tables go.")],
    model: Annotated[list[str] | None, typer.Option(help="Models; by default those shipped.")] = None,
    size: Annotated[list[int] | None, typer.Option(help="Smallest sides in pixels.")] = None,
    pairs: Annotated[int, typer.Option(min=1)] = 24,
    skip: Annotated[int, typer.Option(min=0, help="Pairs to pass over, such as those that decisions were made on.")] = 0,
    match: Annotated[str, typer.Option(help="Only styles with this in their names.")] = "",
    min_side: Annotated[int, typer.Option(min=1, help="Only styles of at least so many pixels, before any resizing.")] = 1,
    content_side: Annotated[int, typer.Option(min=1, help="The same of contents.")] = 1,
    metric_weights: Annotated[str | None, typer.Option(help="Encoder file to score with; by default the shipped one.")] = None,
    content_noise: Annotated[float, typer.Option(help="As of `ieast stylize`; scores compare with contents without.")] = 0,
    as_found: Annotated[
        bool,
        typer.Option("--as-found", help="Stylize what is smaller at its own size; only for distances it is enlarged."),
    ] = False,
    perceptual: Annotated[
        str | None, typer.Option(help="Also lpips-alex, lpips-vgg, lpips-squeeze or encoder-taps to the content.")
    ] = None,
) -> None:
    """Make the pictures and print the medians."""
    settings: PrepareConfig = ExperimentConfig.load(config).prepare
    if perceptual is not None:
        require_weights(perceptual)
    prepared = prepare_dataset(data, output, settings, folder_digest(data))
    chosen = held_out_pairs(prepared, pairs, match, min_side, content_side, skip)
    encoder = build_encoder(EncoderConfig(name="vgg19-compact", weights=metric_weights))
    distance = None if perceptual is None else perceptual_distance(perceptual, encoder)
    makers: dict[str, Maker] = {}
    for name in model or ["ieast", "sanet"]:
        stylizer, _ = load_model(released_or_folder(name))
        makers[name.replace("/", "-")] = _by(stylizer, content_noise)
    makers[CONTENT] = lambda content, _style, _path: content
    makers[STYLE] = lambda content, _style, path: style_as_it_is(path, *content.shape[-2:])
    rows = []
    for name, make in makers.items():
        for side in size or [256, 512, 1024]:
            rows += score(name, make, chosen, side, encoder, distance, output / "pictures" / str(side), as_found)
    table = pd.DataFrame(rows)
    table.to_csv(output / "quality.csv", index=False)
    typer.echo(f"{medians(table).to_string()}\nmedians of {len(chosen)} pairs; pictures and quality.csv in {output}")
    if len({style for _, style in chosen}) > 1:
        typer.echo(f"{intervals(table).to_string()}\ntheir 95 % bootstrap intervals over styles")
    if len({style for _, style in chosen}) >= FEWEST:
        sides = prepared.source_sides("style")
        artworks = [path for path in prepared.scoring_paths("style") if sides[path] >= min_side]
        judged = deceptions(table, output / "pictures", artworks, encoder)
        judged.to_csv(output / "deception.csv")
        typer.echo(judged.to_string())


if __name__ == "__main__":
    typer.run(main)
