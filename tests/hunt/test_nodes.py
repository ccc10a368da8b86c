"""Two nodes of two processes each, over loopback, against one process that computes the same batches."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from helpers.configurations import merge
from torch import Tensor
from torch.utils.data import DataLoader

import ieast.training.fit
from ieast.data.batches import PairBatches
from ieast.losses import functional
from ieast.training.folders import CHECKPOINT
from ieast.training.launch import TrainingJob
from ieast.training.loop import checkpoint_iterations
from ieast.training.module import StyleTransferModule

pytestmark = pytest.mark.skipif("HUNT_TRIALS" not in os.environ, reason="takes minutes: make hunt")

NODES, DEVICES = 2, 2
WORLD = NODES * DEVICES
NODE = "import pathlib, sys; from ieast.training.launch import read_job, train; train(read_job(pathlib.Path(sys.argv[1])))"


def job_of(make_config, prepared, folder: Path, **training) -> TrainingJob:
    settings = {
        "reconstruction_iterations": 0,
        "picture_every": 100_000,
        "checkpoint_every": 2,
        "loader_workers": 0,
        "learning_rate": 1e-5,
    }
    config = make_config(training=merge(settings, training))
    return TrainingJob(config=config, prepared=prepared, folder=folder)


def totals(folder: Path) -> dict[int, float]:
    """The loss by iteration; of one that was trained twice, the later."""
    values = {}
    for path in sorted(folder.glob("curves/*/metrics.csv"), key=lambda path: int(path.parent.name.removeprefix("version_"))):
        with path.open() as file:
            values |= {int(row["step"]): float(row["train/total"]) for row in csv.DictReader(file) if row.get("train/total")}
    return values


class OneProcess(StyleTransferModule):
    """Computes the batches of all ranks, one after the other, and learns from the mean: plainly what DDP is to do."""

    def training_step(self, batches: list[dict[str, Tensor]], _index: int) -> None:
        generator, adversary = self._optimizers()
        self._set_learning_rates()
        made = []
        for batch in batches:
            content, style = (self._as_images(batch[side]) for side in ("content", "style"))
            made.append(self._generate(content, style, batch["style_index"], has_identity=True))
        self.discriminator.requires_grad_(True)
        of_discriminator = [
            functional.discriminator_loss(
                self.discriminator(each.style), self.discriminator(each.stylized.detach()), self.config.objective.adversarial
            )
            for each in made
        ]
        self._step(adversary, torch.stack(of_discriminator).mean())
        self.discriminator.requires_grad_(False)
        of_generator = []
        for each in made:
            terms = self.objective.internal_terms(each)
            scores = self.discriminator(each.stylized)
            terms["adversarial"] = functional.generator_adversarial_loss(scores, self.config.objective.adversarial)
            embeddings = self.style_head(each.stylized_taps["relu3_1"]), self.content_head(each.stylized_taps["relu4_1"])
            terms |= self.objective.contrastive_terms(*embeddings, each.pairs)
            of_generator.append(self.objective.total(terms, 1))
        total = torch.stack(of_generator).mean()
        self._step(generator, total)
        self.count({"total": total})


def one_process(job: TrainingJob) -> dict[int, float]:
    training, prepared = job.config.training, job.prepared
    ranks = [
        PairBatches(
            prepared.training_paths("content"), prepared.training_paths("style"), distinct=training.batch_size // 2,
            crop=training.crop, seed=training.seed, zoom=training.zoom, rank=rank, world_size=WORLD,
        )
        for rank in range(WORLD)
    ]  # fmt: skip

    def loader(_config, _prepared, _styles, module, total):
        iterations = [[batches[iteration] for batches in ranks] for iteration in range(module.finished, total)]
        return DataLoader(iterations, batch_size=None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ieast.training.fit, "StyleTransferModule", OneProcess)
        patch.setattr(ieast.training.fit, "_loader", loader)
        ieast.training.fit.fit(job.config, prepared, job.folder)
    return totals(job.folder)


def start_nodes(job: TrainingJob, file: Path) -> list[subprocess.Popen]:
    """The same command on each node, with torchrun's variables, as docs/scale.md gives them."""
    file.write_text(job.model_dump_json())
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {
        "PET_RDZV_BACKEND": "c10d",
        "PET_RDZV_ENDPOINT": f"127.0.0.1:{port}",
        "PET_RDZV_ID": "test",
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
    }
    return [
        subprocess.Popen(
            [sys.executable, "-c", NODE, str(file)], env=os.environ | shared | {"PET_NODE_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(NODES)
    ]  # fmt: skip


def workers_of(node: subprocess.Popen) -> list[psutil.Process]:
    return [child for child in psutil.Process(node.pid).children(recursive=True) if "ieast.training.worker" in child.cmdline()
            and "torch.distributed.run" not in child.cmdline()]  # fmt: skip


@pytest.mark.timeout(1200)
def test_losses_are_those_of_one_process_also_after_a_rank_was_killed(make_config, prepared, tmp_path):
    def job(iterations: int, folder: str = "distributed", **training) -> TrainingJob:
        return job_of(make_config, prepared, tmp_path / folder, iterations=iterations, **training)

    many = {"nodes": NODES, "devices": DEVICES}
    folder = tmp_path / "distributed"
    nodes = start_nodes(job(100_000, **many), tmp_path / "job.json")
    try:
        deadline = time.monotonic() + 300
        while not (folder / CHECKPOINT).exists() and time.monotonic() < deadline:
            assert all(node.poll() is None for node in nodes), nodes[0].communicate()[0][-3000:]
            time.sleep(0.02)
        workers_of(nodes[1])[0].send_signal(signal.SIGKILL)
        said = [node.communicate(timeout=200)[0] for node in nodes]
    finally:
        for node in nodes:
            node.kill()
    for node, output in zip(nodes, said, strict=True):
        assert node.returncode == 1
        assert "training on 4 devices failed with exit code 1; the reason stands above" in output
        assert f"{folder / CHECKPOINT} is whole: the same command continues from it" in output
    assert "Signal 9 (SIGKILL)" in said[1]

    done = checkpoint_iterations(folder)
    nodes = start_nodes(job(done + 2, **many), tmp_path / "job.json")
    said = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said[0][-3000:] + said[1][-3000:]
    actual, reference = totals(folder), one_process(job(done + 2, "one"))
    assert set(actual) == set(reference) == set(range(1, done + 3))
    for iteration, value in reference.items():
        assert actual[iteration] == pytest.approx(value, rel=1e-4), iteration
