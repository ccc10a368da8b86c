"""How much memory the system can still give to this process."""

from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def free_bytes() -> int:
    """What can be had without swapping, or less where the process's control group (a container's limit) allows less."""
    return min([psutil.virtual_memory().available, *_cgroup_rooms()])


def gigabytes(count: int) -> str:
    """A number of bytes, for people."""
    return f"{count / 1e9:.1f} GB"


def _cgroup_rooms() -> list[int]:
    """What each limit of the control groups that hold this process leaves; pages of files it read do not count, they yield."""
    if not _OWN_CGROUP.is_file():
        return []
    rooms = []
    for line in _OWN_CGROUP.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            names = ("memory.max", "memory.current", "inactive_file")
            root = _CGROUPS
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            root = _CGROUPS / "memory"
        else:
            continue
        # In a container, the path can be the host's, of which only the root is to be seen.
        own = root / path.lstrip("/")
        rooms += [_room(folder, *names) for folder in {own, *own.parents} if folder == root or root in folder.parents]
    return [room for room in rooms if room is not None]


def _room(folder: Path, limit_name: str, usage_name: str, reclaimable: str) -> int | None:
    try:
        limit, usage = (folder / limit_name).read_text().strip(), int((folder / usage_name).read_text())
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # the root has no limit, and not every group can be read
        return None
    return None if limit == "max" else max(0, int(limit) - usage + int(statistics.get(reclaimable, 0)))
