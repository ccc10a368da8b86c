"""A folder in which ZenML pipelines run as a user runs them."""

import os
import sys
from pathlib import Path

import yaml
from helpers.databases import give_zenml_its_database
from helpers.warm_processes import SETTINGS, run_warm

BIN = Path(sys.executable).parent
ROOT = Path(__file__).resolve().parents[2]


class Project:
    """A folder in which pipelines run, with a ZenML configuration of its own."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # MLflow leaves the store that other tests in this process used in the variables; a new shell has none.
        inherited = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
        self.environment = (
            inherited
            | SETTINGS
            | {
                "ZENML_CONFIG_PATH": str(folder / "zenml"),
                "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            }
        )
        give_zenml_its_database(folder / "zenml", run_warm, self.environment)
        self.store = self.set_up()

    def set_up(self):
        """Make the stack; where MLflow keeps its runs."""
        return self.run(sys.executable, "-m", "pipelines.stack").stdout.splitlines()[-1]

    def run(self, *command, check=True):
        result = run_warm(command, self.folder, self.environment)
        assert result.returncode == 0 or not check, result.stdout[-12000:] + result.stderr[-4000:]
        return result


QUICK = {
    "prepare": {"size": 128},
    "model": {"discriminator_width": 8, "discriminator_scales": 1},
    "training": {
        "iterations": 3,
        "reconstruction_iterations": 2,
        "anneal": 0,
        "ema_decay": None,
        "crop": 64,
        "log_every": 1,
        "picture_every": 5,
        "checkpoint_every": 2,
    },
    "evaluation": {"size": 64, "pairs": 2, "grid_contents": 1, "grid_styles": 2, "max_frames": 3},
}


class TrainingProject(Project):
    def train(self, name="run", check=True, **changes):
        return self.run(*self.command(name, **changes), check=check)

    def command(self, name, **changes):
        path = self.write(name, **changes)
        return ["zenml", "pipeline", "run", "pipelines.training.training_pipeline", "-c", str(path)]

    def write(self, name, **changes):
        document = yaml.safe_load((ROOT / "configs" / "quickstart.yaml").read_text())
        config = document["parameters"]["config"]
        config["data"] = {"repository": str(ROOT)}
        for part in (QUICK, changes):
            for section, values in part.items():
                if isinstance(values, dict):
                    config.setdefault(section, {}).update(values)
                else:
                    config[section] = values
        document["run_name"] = name + "-{time}"
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(document))
        return path


SMALL_ABLATION = {
    "data": {"repository": str(ROOT)},
    "prepare": {"size": 128, "held_out": 0.2},
    "encoder": {"weights": None},
    "model": {"attention_start": "identity", "discriminator_width": 8, "discriminator_scales": 2},
    "training": {
        "iterations": 3,
        "reconstruction_iterations": 1,
        "batch_size": 6,
        "crop": 64,
        "zoom": 1,
        "precision": "32-true",
        "log_every": 1,
        "picture_every": 2,
        "checkpoint_every": 2,
    },
    "evaluation": {
        "size": 64,
        "pairs": 4,
        "grid_contents": 1,
        "grid_styles": 2,
        "max_frames": 3,
        "perceptual_distance": "encoder-taps",
    },
}
SCORED_ABLATION = SMALL_ABLATION | {"evaluation": SMALL_ABLATION["evaluation"] | {"preference": "scorer.safetensors"}}


class AblationProject(Project):
    def ablate(self, name, check=True):
        return self.run(*self.command(name), check=check)

    def command(self, name, sections=SCORED_ABLATION):
        document = yaml.safe_load((ROOT / "configs" / "ablation.yaml").read_text())
        config = document["parameters"]["config"] | {"variants": ["full", "neither"], "seeds": [0]}
        for section, values in sections.items():
            config["experiment"].setdefault(section, {}).update(values)
        document["parameters"]["config"], document["run_name"] = config, name + "-{time}"
        path = self.folder / "ablation.yaml"
        path.write_text(yaml.safe_dump(document))
        return ["zenml", "pipeline", "run", "pipelines.ablation.ablation_pipeline", "-c", str(path)]
