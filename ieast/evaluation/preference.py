"""A scorer that learns which pictures people prefer, from their votes or, until there are any, from pictures made worse.

A linear Bradley-Terry model (Bradley & Terry 1952, https://doi.org/10.2307/2334029) with a ridge penalty, on what a frozen
encoder sees: the chance that picture p is preferred to q is 1 / (1 + exp(s(q) - s(p))). Scores s are in logits: only
differences between pictures of the same content and style mean something.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from scipy.special import expit
from torch import Tensor

from ieast.errors import WeightsError
from ieast.evaluation.distances import Encode
from ieast.evaluation.features import Array, pooled_features
from ieast.evaluation.logistic import fit_logistic
from ieast.evaluation.statistics import Interval, ratio_interval
from ieast.io.files import atomic_write

FORMAT = 1
FOLDS = 5
RIDGE = 0.01
"""Of features that are divided by their deviation and the root of their number."""


@dataclass(frozen=True)
class Preference:
    """One picture preferred to another, both of the same content and style.

    Attributes:
        better: Features (3D,), as `scorer_features` gives them.
        worse: Features of the other, alike.
        content: Its name; no content may be on both sides of a split.
        style: Its name; no style may, either.
        votes: How many answers it stands for.
    """

    better: Array
    worse: Array
    content: str
    style: str
    votes: float = 1.0


@dataclass(frozen=True)
class ScorerCard:
    """What a scorer was made from and how good it is.

    Attributes:
        encoder: Digest of the encoder whose features it reads.
        encoder_name: For people.
        source: `votes` or `degraded pictures`.
        comparisons: What it learnt from, as many as were told apart.
        votes: How many answers they stand for.
        agreement: Share of votes that a scorer agrees with which has seen neither their content nor their style; 0.5: chance.
            NaN where there are too few pictures to hold any out.
        low: Of the 95 % interval of `agreement` over pairs of a content and a style.
        high: Of the same interval.
        pairs: Of a content and a style that were held out in turn.
    """

    encoder: str
    encoder_name: str
    source: str
    comparisons: int
    votes: float
    agreement: float
    low: float
    high: float
    pairs: int
    format: int = FORMAT

    @property
    def interval(self) -> Interval:
        """`agreement` with its interval."""
        return Interval(self.agreement, self.low, self.high, self.pairs)


@dataclass(frozen=True)
class PreferenceScorer:
    """s(x) = w (x - c) / r for features x: weights, and centres and ranges of training."""

    weights: Array
    centre: Array
    spread: Array
    card: ScorerCard | None = field(default=None, compare=False)

    def score(self, features: Array) -> float:
        """The score s of a picture with these features (3D,); higher is better."""
        return float(self.weights @ ((features - self.centre) / self.spread))

    def score_picture(
        self, encoder: Encode, picture: Tensor, style: Tensor | None = None, content: Tensor | None = None
    ) -> float:
        """The score s of a picture (1, 3, H, W) in [0, 1] beside its style and content; without these, of its looks alone."""
        return self.score(scorer_features(encoder, picture, style, content))

    def chance(self, encoder: Encode, picture: Tensor, style: Tensor, content: Tensor) -> float:
        """The chance that people prefer it to one whose s is 0, as the centre's; NaN where it is not finite."""
        return float(expit(self.score_picture(encoder, picture, style, content)))

    def misfit(self, encoder_digest: str) -> str | None:
        """Why pictures cannot be scored by the encoder with this digest, if so: its features are not those learnt from."""
        if self.card is None or self.card.encoder == encoder_digest:
            return None
        return (
            f"its scorer was made with the features of encoder {self.card.encoder_name} {self.card.encoder[:12]}, and models "
            f"are scored here by {encoder_digest[:12]}; make one by that with `ieast study scorer`, see its --help"
        )


def scorer_features(encoder: Encode, picture: Tensor, style: Tensor | None = None, content: Tensor | None = None) -> Array:
    """Pooled features of the picture, and how far they are from those of its style and of its content; (3D,).

    Distances are absolute values: signed differences would cancel between two pictures of the same style and content, and teach
    a linear model nothing. What is not given counts as being near, so it cancels.
    """
    own = pooled_features(encoder, picture)
    away = [
        np.zeros_like(own) if other is None else np.abs(own - pooled_features(encoder, other)) for other in (style, content)
    ]
    return np.concatenate([own, *away])


def train_scorer(comparisons: Sequence[Preference], ridge: float = RIDGE) -> PreferenceScorer:
    """Fit a scorer to `comparisons`, each weighing as much as it has votes."""
    both = np.stack([side for each in comparisons for side in (each.better, each.worse)])
    centre, spread = both.mean(axis=0), both.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0) * np.sqrt(both.shape[1])
    differences = np.stack([each.better - each.worse for each in comparisons]) / spread
    votes = np.array([each.votes for each in comparisons])
    weights, _ = fit_logistic(differences, np.ones(len(votes)), ridge, votes, intercept=False)
    return PreferenceScorer(weights, centre, spread)


def held_out_agreement(comparisons: Sequence[Preference], seed: int = 0) -> Interval:
    """Share of votes that scorers agree with which have seen neither their content nor their style, and its interval.

    Contents and styles are dealt to folds, each on its own. Held out in turn are those pairs whose content and style lie in one
    fold of each, and learnt from is what shares neither fold with them. Ties count half.

    Args:
        comparisons: What people, or degradations, say.
        seed: Of folds and bootstrap.

    Returns:
        Resampled are pairs of a content and a style, which it counts; NaN where nothing is left to learn from.
    """
    random = np.random.default_rng(seed)
    contents, styles = (_folds({getattr(each, side) for each in comparisons}, random) for side in ("content", "style"))
    right: dict[tuple[str, str], float] = defaultdict(float)
    asked: dict[tuple[str, str], float] = defaultdict(float)
    for cell in product(range(FOLDS), repeat=2):
        held = [each for each in comparisons if (contents[each.content], styles[each.style]) == cell]
        others = [each for each in comparisons if contents[each.content] != cell[0] and styles[each.style] != cell[1]]
        if not held or not others:
            continue
        scorer = train_scorer(others)
        for each in held:
            lead = scorer.score(each.better) - scorer.score(each.worse)
            pair = each.content, each.style
            right[pair] += each.votes * (0.5 if abs(lead) < 1e-9 else float(lead > 0))
            asked[pair] += each.votes
    pairs = sorted(asked)
    return ratio_interval([right[pair] for pair in pairs], [asked[pair] for pair in pairs], seed)


def _folds(names: set[str], random: np.random.Generator) -> dict[str, int]:
    """A fold for each of `names`."""
    return {str(name): number % FOLDS for number, name in enumerate(random.permutation(sorted(names)))}


def save_scorer(scorer: PreferenceScorer, path: Path) -> None:
    """Write `scorer`, which has a card, as safetensors whose metadata is the card.

    Raises:
        DiskFullError: No space was left.
    """
    assert scorer.card is not None
    tensors = {name: torch.from_numpy(getattr(scorer, name)) for name in ("weights", "centre", "spread")}
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata={"preference_scorer": json.dumps(asdict(scorer.card))})


def read_scorer(path: Path) -> PreferenceScorer:
    """The scorer at `path`; nothing in the file is executed.

    Raises:
        WeightsError: There is no such file, or it holds something else.
    """
    if not path.is_file():
        raise WeightsError(
            f"evaluation.preference names {path}, and there is no such file. Make one with "
            f"`ieast study scorer STUDY -o {path}`, or leave the setting out to do without the preference score"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = (file.metadata() or {}).get("preference_scorer")
            tensors = {name: file.get_tensor(name).double().numpy() for name in file.keys()}  # noqa: SIM118  no mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as a preference scorer ({error}); make it again") from error
    if metadata is None or set(tensors) != {"weights", "centre", "spread"}:
        raise WeightsError(f"{path} holds no preference scorer; `ieast study scorer` writes one")
    try:
        values = json.loads(metadata)
        if values.get("format") != FORMAT:
            raise WeightsError(f"{path} has format {values.get('format')}, and this program knows {FORMAT}. Make it again")
        card = ScorerCard(**values)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} cannot be read as a preference scorer ({error}); make it again") from error
    return PreferenceScorer(**tensors, card=card)
