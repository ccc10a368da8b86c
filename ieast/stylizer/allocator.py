"""What the C library does with large blocks of memory that are given back."""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # <malloc.h>


def keep_freed_memory(most: int = -1) -> bool:
    """Let this process use freed memory again instead of returning it to the system; whether it does from now on.

    glibc gets every block above 32 MB from the system and returns it when it is freed. Feature maps are larger than that, and
    each new one then costs a page fault for every 4 kB: a third of the time that stylizing a large picture takes. The peak of
    memory stays about as it is, but the process holds on to it. For processes that exist to train or stylize; on systems
    other than Linux with glibc this does nothing. Source: mallopt(3), M_MMAP_MAX and M_TRIM_THRESHOLD.

    Args:
        most: Free bytes at the end of the heap above which they are returned after all, below 2³¹; -1 keeps all.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return all(library.mallopt(name, value) == 1 for name, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, most)))
