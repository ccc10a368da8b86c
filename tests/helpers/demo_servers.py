"""`make demo-servers`: the demo on PostgreSQL, S3 and an MLflow server, all on this machine and gone at the end."""

import os
import subprocess
import sys
from pathlib import Path

from helpers.servers import ZENML_BUCKET, bucket_names, servers, why_not

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Start the servers, run the training pipeline on them, and show what lies where."""
    if reason := why_not():
        sys.stderr.write(f"{reason}\n")
        return 2
    with servers() as running:
        environment = os.environ | running.environment | {"ZENML_CONFIG_PATH": str(ROOT / ".work" / "demo-servers" / "zenml")}
        environment |= {"MLFLOW_TRACKING_URI": running.mlflow, "IEAST_WORK": str(ROOT / ".work" / "demo-servers")}
        stack = ["-m", "pipelines.stack", "--mlflow", running.mlflow, "--artifacts", f"s3://{ZENML_BUCKET}/ieast"]
        pipeline = ["zenml", "pipeline", "run", "pipelines.training.training_pipeline", "-c", "configs/quickstart.yaml"]
        code = subprocess.run([sys.executable, *stack, *pipeline], cwd=ROOT, env=environment).returncode
        if code == 0:
            subprocess.run(["ieast", "models", "ieast"], cwd=ROOT, env=environment, check=True)
            sys.stdout.write(f"{len(bucket_names(running.s3, ZENML_BUCKET))} artifacts of ZenML in s3://{ZENML_BUCKET}\n")
            if sys.stdin.isatty():
                input("Look at the addresses above, then press Enter: the servers end.")
            else:
                sys.stdout.write(
                    "The servers end here, and the addresses above with them; docs/scale.md says how to have your own.\n"
                )
        return code


if __name__ == "__main__":
    sys.exit(main())
