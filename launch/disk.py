"""What a disk refused, however deep a library hides it in an error of its own."""

import errno

_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_SAID = ("No space left on device", "Disk quota exceeded", "File too large", "Input/output error")
_OF_TORCH = ("PytorchStreamWriter failed", "unexpected pos")
"""torch's writer says that it failed, or where in the file it is, and not why."""


def disk_problem(error: BaseException) -> str | None:
    """As in "No space left on device"; None where `error` and what it came from are of another kind."""
    found: BaseException | None = error
    unclear = None
    while found is not None:
        if isinstance(found, OSError) and found.errno in _REFUSALS and found.strerror:
            return found.strerror
        text = str(found)
        for said in _SAID:
            if said in text:
                return said
        if any(sign in text for sign in _OF_TORCH):
            unclear = "a file could not be written in full, most often for a full disk"
        found = found.__cause__ or found.__context__
    return unclear
