"""How many processor cores this process may use."""

import os


def usable_cores() -> int:
    """Cores this process may use, which in containers and batch jobs are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):  # which macOS lacks
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
