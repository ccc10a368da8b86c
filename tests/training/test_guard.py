"""The guard on a story of probes that is told beforehand, and on real ones."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from helpers.trainings import draw

from ieast.checkpoint import load_model
from ieast.evaluation.distances import content_distance, style_distance
from ieast.training.fit import fit
from ieast.training.guard import PATIENCE, ContentGuard, Look


class Told:
    """A training whose weights are the iteration's number, and whose probes are as `story` says, by iteration."""

    def __init__(self, story, every=10, tolerance=1.1):
        self.story, self.finished, self.kept = story, 0, None
        self.objective = SimpleNamespace(weights={"content": 6.0, "style": 10.0})
        self.guard = ContentGuard([torch.zeros(1, 3, 8, 8)], [torch.zeros(1, 3, 8, 8)], tolerance, every)
        self.guard._measure = lambda module: story[module.finished]
        self.trainer = SimpleNamespace(should_stop=False)

    @contextmanager
    def averaged(self):
        yield

    def generator_state(self):
        return {"weights": torch.tensor(self.finished)}

    def load_generator(self, state):
        self.kept = int(state["weights"])

    def run(self):
        self.guard.on_train_start(self.trainer, self)
        for iteration in range(1, max(self.story) + 1):
            self.finished = iteration
            self.guard.on_train_batch_end(self.trainer, self)
            if self.trainer.should_stop:
                break
        self.guard.on_train_end(self.trainer, self)
        return self


def test_the_nearest_style_within_the_bound_is_kept():
    told = Told({0: ((4.0,), 1.0), 10: ((3.0,), 1.05), 20: ((1.0,), 1.11), 30: ((2.0,), 1.1), 40: ((2.5,), 0.9)}).run()
    assert told.kept == 30  # 20 came nearer, but lost too much
    assert told.guard.best == Look(30, (2.0,), 1.1)
    assert not told.guard.lost
    assert told.finished == 40


def test_what_is_no_better_than_the_start_leaves_the_start():
    told = Told({0: ((4.0,), 1.0), 10: ((4.5,), 0.9), 20: ((2.0,), 2.0)}).run()
    assert (told.kept, told.guard.best.iteration) == (0, 0)


def test_contents_that_stay_lost_end_training_and_such_that_recover_do_not():
    rest = {10 * k: ((1.0,), 1.5) for k in range(2, 2 + PATIENCE)} | {200: ((0.5,), 1.5)}
    told = Told({0: ((4.0,), 1.0), 10: ((3.0,), 1.0)} | rest).run()
    assert told.guard.lost
    assert (told.finished, told.kept) == (10 * (1 + PATIENCE), 10)
    recovering = {10 * k: ((1.0,), 1.5 if k % PATIENCE else 1.0) for k in range(1, 9)}
    assert not Told({0: ((4.0,), 1.0)} | recovering).run().guard.lost


def test_contents_weigh_more_the_further_they_go_and_less_while_there_is_room():
    def weight(ratio):
        return Told({0: ((4.0,), 1.05), 10: ((3.0,), 1.05 * ratio)}).run().objective.weights

    first = (1 / 1.05) ** 4  # the start itself has all the room there is
    assert weight(1.05) == pytest.approx({"content": 6 * first, "style": 10.0})
    assert weight(1.08)["content"] == pytest.approx(6 * first * (1.08 / 1.05) ** 4)
    assert weight(3.0)["content"] == pytest.approx(6 * first * 1.5)
    assert weight(0.5)["content"] == pytest.approx(6 * first / 1.5)
    assert weight(float("nan"))["content"] == pytest.approx(6 * first)


def test_the_end_is_looked_at_wherever_it_is():
    told = Told({0: ((4.0,), 1.0), 10: ((3.0,), 1.0), 13: ((2.0,), 1.0)}).run()
    assert (told.kept, [look.iteration for look in told.guard.looks]) == (13, [0, 10, 13])


@pytest.mark.parametrize("bad", [((float("nan"),), 1.0), ((1.0,), float("nan")), ((float("inf"),), 1.0)])
def test_what_is_not_finite_is_never_kept(bad):
    assert Told({0: ((4.0,), 1.0), 10: ((3.0,), 1.0), 20: bad}).run().kept == 10


def test_several_artworks_count_alike_whatever_their_scale():
    before = Look(0, (100.0, 0.01), 1.0)
    assert Look(1, (50.0, 0.01), 1.0).style_ratio(before) == pytest.approx(0.5**0.5)
    assert Look(1, (50.0, 0.02), 1.0).style_ratio(before) == pytest.approx(1)


def test_every_artwork_and_every_content_is_looked_at(stylizer):
    contents, styles = [draw(1, 40, 48, k) for k in range(2)], [draw(1, 48, 36, 10 + k) for k in range(3)]
    guard = ContentGuard(contents, styles, 1.1, 1)
    style, content = guard._measure(SimpleNamespace(stylizer=stylizer))
    pairs = [(0, 0), (1, 1), (0, 2)]
    pictures = [stylizer.stylize(contents[c], styles[s]) for c, s in pairs]
    expected = [float(style_distance(stylizer.encoder, m, styles[s])) for m, (_, s) in zip(pictures, pairs, strict=True)]
    assert style == pytest.approx(expected, rel=1e-4)
    distances = [float(content_distance(stylizer.encoder, m, contents[c])) for m, (c, _) in zip(pictures, pairs, strict=True)]
    assert content == pytest.approx(sum(distances) / 3, rel=1e-4)


@pytest.mark.parametrize("decay", [None, 0.5])
def test_training_ends_when_it_says_so_and_exports_what_it_kept(make_config, prepared, tmp_path, monkeypatch, decay):
    """In a real training; what is looked at is what would be exported."""
    seen = {}

    def measure(self, module):
        seen[module.finished] = module.generator_state()
        return ((4.0,), 1.0) if module.finished < 2 else ((3.0,), 1.0) if module.finished == 2 else ((1.0,), 9.0)

    monkeypatch.setattr(ContentGuard, "_measure", measure)
    monkeypatch.setattr("ieast.training.guard.PATIENCE", 2)
    guard = ContentGuard([draw(1, 32, 32)], [draw(1, 32, 32)], 1.1, 1)
    config = make_config(training={"reconstruction_iterations": 0, "iterations": 9, "ema_decay": decay})
    result = fit(config, prepared, tmp_path, callbacks=[guard])
    assert result.iterations == 4
    exported = load_model(result.model_folder)[0].state_dict()
    for name, value in seen[2].items():
        assert torch.equal(exported[name], value), name
    assert any(not torch.equal(seen[2][name], seen[4][name]) for name in seen[2])
