"""One of the processes torchrun starts: `python -m ieast.training.worker JOB RESULT`."""

import os
import sys
from pathlib import Path

from ieast.errors import IeastError
from ieast.io.files import atomic_write
from ieast.training.launch import read_job, run


def main() -> int:
    """Train as the job says; the first process writes the result."""
    job, result_file = read_job(Path(sys.argv[1])), Path(sys.argv[2])
    try:
        result = run(job)
    except IeastError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if int(os.environ.get("RANK", "0")) == 0:
        with atomic_write(result_file) as temporary:
            temporary.write_text(result.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
