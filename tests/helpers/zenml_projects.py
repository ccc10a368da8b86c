"""A folder in which ZenML pipelines run as a user runs them."""

import os
import sys
from pathlib import Path

from helpers.warm_processes import SETTINGS, run_warm

BIN = Path(sys.executable).parent


class Project:
    """A folder in which pipelines run, with a ZenML configuration of its own."""

    def __init__(self, folder):
        self.folder = folder
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
        self.store = self.run(sys.executable, "-m", "pipelines.stack").stdout.splitlines()[-1]

    def run(self, *command, check=True):
        result = run_warm(command, self.folder, self.environment)
        assert result.returncode == 0 or not check, result.stdout[-12000:] + result.stderr[-4000:]
        return result
