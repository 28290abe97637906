"""Lines of a file that may be compressed, in flat memory, without losing a byte.

A compressed file that ends early raises NotemillError: what was cut off would be notes lost in silence. A line that is
not UTF-8 is read as CP-1252, which is what hospital exports hold when they are not UTF-8; the reader is told.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import zstandard

from launch.errors import NotemillError

CHUNK_BYTES = 1 << 20
_UTF8_BOM = b"\xef\xbb\xbf"


class DecodedLines:
    """Iterates over a file's lines as text, each with its line feed, NULs removed.

    `repaired` counts the lines so far whose bytes were not UTF-8.
    """

    def __init__(self, path: Path) -> None:
        self.repaired = 0
        self._lines = iter_lines(path)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        try:
            text = line.decode()
        except UnicodeDecodeError:
            self.repaired += 1
            text = line.decode("cp1252", errors="replace")
        return text.replace("\0", "") if "\0" in text else text


def iter_lines(path: Path) -> Iterator[bytes]:
    """Lines with their line feed; the last may lack one."""
    carry: list[bytes] = []
    first = True
    for chunk in iter_chunks(path):
        if first:
            chunk, first = chunk.removeprefix(_UTF8_BOM), False
        lines = chunk.split(b"\n")
        if len(lines) == 1:
            carry.append(lines[0])
            continue
        yield b"".join((*carry, lines[0], b"\n"))
        for line in lines[1:-1]:
            yield line + b"\n"
        carry = [lines[-1]]
    last = b"".join(carry)
    if last:
        yield last


def iter_chunks(path: Path) -> Iterator[bytes]:
    """Decompressed bytes of a plain, .gz or .zst file; the ending decides which it is."""
    try:
        if path.name.lower().endswith(".gz"):
            with gzip.open(path, "rb") as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    yield chunk
        elif path.name.lower().endswith(".zst"):
            yield from _zstd_chunks(path)
        else:
            with path.open("rb") as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    yield chunk
    except EOFError:
        raise NotemillError(f"{path} ends in the middle of its compressed data; copy the file again.") from None
    except (gzip.BadGzipFile, zlib.error):
        raise NotemillError(f"{path} is not valid gzip data; copy the file again or correct its ending.") from None
    except zstandard.ZstdError:
        raise NotemillError(f"{path} is not valid zstd data; copy the file again or correct its ending.") from None
    except OSError as error:
        raise NotemillError(f"cannot read the input {path}: {error.strerror}.") from None


def _zstd_chunks(path: Path) -> Iterator[bytes]:
    # The library's own stream readers end quietly on a cut file; a decompression object knows that its frame is open.
    decompressor = zstandard.ZstdDecompressor()
    frame = None
    with path.open("rb") as stream:
        while data := stream.read(CHUNK_BYTES // 8):
            while data:
                frame = frame or decompressor.decompressobj()
                chunk = frame.decompress(data)
                data = b""
                if frame.eof:
                    data, frame = frame.unused_data, None
                if chunk:
                    yield chunk
    if frame is not None:
        raise EOFError
