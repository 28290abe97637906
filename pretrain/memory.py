"""Memory of a training process on a CPU."""

import ctypes

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_TOP_PAD_BYTES = 64 * 2**20


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for the next step instead of giving it back to the kernel.

    A step frees and allocates the same activations as the one before. By default each of them is mapped and unmapped,
    and the kernel fills its pages with zeros at every first touch, which took a tenth of a step's time. With another C
    library this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_TOP_PAD, _TOP_PAD_BYTES)


def give_freed_memory_back() -> None:
    """Hand what is freed now to the kernel, as between two models of which only one is to be in memory."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
