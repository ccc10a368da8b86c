import platform
import subprocess
import sys

import pytest

from ieast.stylizer.allocator import keep_freed_memory

# What a block of 64 MB leaves behind in a process of its own, in MB.
FREED = """
import resource, sys
from pathlib import Path
from ieast.stylizer.allocator import keep_freed_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6

kept = keep_freed_memory(*map(int, sys.argv[2:])) if sys.argv[1] == "keep" else None
before = resident()
block = b"x" * (64 << 20)
assert resident() - before > 60
del block
print(kept, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another")
@pytest.mark.parametrize(("asked", "megabytes"), [(["default"], 0), (["keep"], 67), (["keep", str(1 << 20)], 0)], ids=str)
def test_freed_memory_is_kept_as_far_as_asked(asked, megabytes):
    done = subprocess.run([sys.executable, "-c", FREED, *asked], capture_output=True, text=True, check=True)
    kept, left = done.stdout.split()
    assert kept == ("None" if asked == ["default"] else "True")
    assert float(left) == pytest.approx(megabytes, abs=5)


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_freed_memory() is False
