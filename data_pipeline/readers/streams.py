"""Lines of a file that may be compressed and in any encoding, in flat memory, without losing a byte.

A compressed file that ends early raises NotemillError: what was cut off would be notes lost in silence.
"""

import bz2
import codecs
import gzip
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import zstandard

from data_pipeline.cleaning.encodings import decode, detect
from data_pipeline.readers.locations import Location, local, translated
from launch.errors import NotemillError

CHUNK_BYTES = 1 << 20


class ByteLines:
    """Iterates over a file's lines as UTF-8 bytes, each with its line feed; the last may lack one.

    Bytes that are not UTF-8 stay as they are, unless the file is in another encoding as a whole: named in `encoding`,
    or UTF-16 or UTF-32. `is_transcoded` then is True.
    """

    def __init__(self, location: Location, encoding: str | None = None) -> None:
        chunks = iter_chunks(location)
        head = next(chunks, b"")
        found, mark_bytes = detect(head)
        if mark_bytes == 0 and found == "utf-8" and encoding is not None:
            found = codecs.lookup(encoding).name
        self.is_transcoded = found != "utf-8"
        chunks = chain((head[mark_bytes:],), chunks)
        self._lines = _split_lines(_to_utf8(chunks, found) if self.is_transcoded else chunks)

    def __iter__(self) -> Iterator[bytes]:
        return self._lines


class DecodedLines:
    """Iterates over a file's lines as text, each with its line feed, NULs removed.

    `repaired` counts the lines so far whose bytes were not UTF-8.
    """

    def __init__(self, location: Location, encoding: str | None = None) -> None:
        self.repaired = 0
        self.ended = False
        """True once a line was asked for after the last."""
        lines = ByteLines(location, encoding)
        self._is_transcoded = lines.is_transcoded
        self._lines = iter(lines)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines, None)
        if line is None:
            self.ended = True
            raise StopIteration
        text, is_repaired = decode(line)
        self.repaired += is_repaired or (self._is_transcoded and not text.isascii())
        return text.replace("\0", "") if "\0" in text else text


def iter_lines(path: Path) -> Iterator[bytes]:
    """Lines of a local file as UTF-8 bytes, each with its line feed; the last may lack one."""
    return iter(ByteLines(local(path)))


def iter_chunks(location: Location) -> Iterator[bytes]:
    """Decompressed bytes of a plain, .gz, .zst or .bz2 file; the ending decides which it is."""
    with location.open() as stream, translated(location):
        try:
            if location.name.endswith(".zst"):
                yield from _zstd_chunks(stream)
                return
            packed: gzip.GzipFile | bz2.BZ2File | BinaryIO = stream
            if location.name.endswith(".gz"):
                packed = gzip.GzipFile(fileobj=stream)
            elif location.name.endswith(".bz2"):
                packed = bz2.BZ2File(stream)
            while chunk := packed.read(CHUNK_BYTES):
                yield chunk
        except EOFError:
            raise NotemillError(f"{location} ends in the middle of its compressed data; copy the file again.") from None
        except (gzip.BadGzipFile, zlib.error):
            raise _invalid(location, "gzip") from None
        except zstandard.ZstdError:
            raise _invalid(location, "zstd") from None
        except OSError as error:
            # bz2 has no error of its own; a real one of the system has a number.
            if location.name.endswith(".bz2") and error.errno is None:
                raise _invalid(location, "bzip2") from None
            raise


def _invalid(location: Location, name: str) -> NotemillError:
    return NotemillError(f"{location} is not valid {name} data; copy the file again or correct its ending.")


def _zstd_chunks(stream: BinaryIO) -> Iterator[bytes]:
    # The library's own stream readers end quietly on a cut file; a decompression object knows that its frame is open.
    decompressor = zstandard.ZstdDecompressor()
    frame = None
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


def _to_utf8(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", errors="replace")
    yield decoder.decode(b"", final=True).encode("utf-8", errors="replace")


def _split_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    carry: list[bytes] = []
    for chunk in chunks:
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
