# SPDX-License-Identifier: Apache-2.0
"""Compressed files as streams of what is in them, in bounded memory whatever they claim.

How much of it there may be, and where it goes, is not their business.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

from backports import zstd

from glancekit.plugin import CHUNK_SIZE, Invalid

XZ_MEMORY = 256 << 20
"""Bytes that an xz file may ask its reader to keep; ``xz -9`` asks for 65 MiB."""

ZSTD_WINDOW = 27
"""Binary logarithm of what a zstd file may ask for: 128 MiB, as the program zstd has it."""

ZIP_DIRECTORY = 1 << 20
"""Bytes of a zip file's directory; that of one member has some hundred."""

_IN_ZIP = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


class Decoder(Protocol):
    """One compressed stream, as the decoders of the standard library are."""

    @property
    def eof(self) -> bool:
        """Its end was seen."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What came behind its end."""
        ...

    @property
    def needs_input(self) -> bool:
        """Nothing more comes out before more has gone in."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return at most so many bytes of what is in it."""
        ...


@dataclass(frozen=True, slots=True)
class Codec:
    """A way to compress, told by how its files begin."""

    name: str
    magic: bytes
    open: Callable[[IO[bytes]], Iterator[bytes]]


def codec_of(file: IO[bytes]) -> Codec | None:
    """Return how a file is compressed, None when it is not."""
    return codec_of_head(file.read(_LONGEST_MAGIC))


def codec_of_head(head: bytes) -> Codec | None:
    """Return the codec whose files begin like this."""
    return next((codec for codec in CODECS if head.startswith(codec.magic)), None)


class _Gzip:
    """zlib's decoder with the face that the others have."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail and not self._inner.eof

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


def _bzip2() -> Decoder:
    return bz2.BZ2Decompressor()


def _xz() -> Decoder:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)


def _zstd() -> Decoder:
    bound = {int(zstd.DecompressionParameter.window_log_max): ZSTD_WINDOW}
    return zstd.ZstdDecompressor(options=bound)


def _streams(name: str, magic: bytes, make: Callable[[], Decoder]) -> Codec:
    """Make a codec whose files are one or more compressed streams, one behind the other."""

    def opened(file: IO[bytes]) -> Iterator[bytes]:
        try:
            yield from _decode(file, make, magic)
        except (
            zlib.error,
            lzma.LZMAError,
            zstd.ZstdError,
            OSError,
            EOFError,
            ValueError,
        ) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the medium, not of the decoder
            raise Invalid(f"the {name} data cannot be read: {error}") from error

    return Codec(name, magic, opened)


def _decode(file: IO[bytes], make: Callable[[], Decoder], magic: bytes) -> Iterator[bytes]:
    decoder, data, has_ended = make(), b"", False
    while True:
        if decoder.eof:
            rest = _behind(file, decoder.unused_data, magic)
            if not rest:
                return
            decoder, data = make(), rest
        elif decoder.needs_input:
            data = file.read(CHUNK_SIZE)
            has_ended = not data
        chunk = decoder.decompress(data, CHUNK_SIZE)
        if chunk:
            yield chunk
        elif has_ended and decoder.needs_input and not decoder.eof:
            raise EOFError("it ends in the middle")
        data = b""


def _behind(file: IO[bytes], rest: bytes, magic: bytes) -> bytes:
    """Return the beginning of a further stream; none when there is nothing but padding."""
    while not (rest := rest.lstrip(b"\0")):
        rest = file.read(CHUNK_SIZE)
        if not rest:
            return b""
    rest += file.read(CHUNK_SIZE)
    if not rest.startswith(magic):
        raise ValueError("there is something else behind it")
    return rest


class _Frugal(io.BufferedIOBase):
    """A file of which nobody reads very much at once, for parsers that trust what files say."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int | None = -1, /) -> bytes:
        is_all = size is None or size < 0
        data = self._file.read(ZIP_DIRECTORY + 1 if is_all else min(size or 0, ZIP_DIRECTORY + 1))
        if len(data) > ZIP_DIRECTORY:
            raise zipfile.BadZipFile("its directory is too large for one member")
        return data


def _zip(file: IO[bytes]) -> Iterator[bytes]:
    try:
        archive = zipfile.ZipFile(_Frugal(file))
        with archive, archive.open(_only_member(archive)) as member:
            while chunk := member.read(CHUNK_SIZE // 2):
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
        raise Invalid(f"the zip data cannot be read: {error}") from error


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    members = archive.infolist()
    if len(members) != 1 or members[0].is_dir():
        raise Invalid(
            f"the zip file has {len(members)} members; put the image alone into one"
            if len(members) != 1
            else "the zip file has a folder in it and no image"
        )
    if members[0].flag_bits & 1:
        raise Invalid("the zip file is encrypted, and there is nobody to ask for its password")
    if members[0].compress_type not in _IN_ZIP:
        raise Invalid("the zip file is compressed in an unusual way; 'deflate' is what is read")
    return members[0]


CODECS = (
    _streams("gzip", b"\x1f\x8b", _Gzip),
    _streams("bzip2", b"BZh", _bzip2),
    _streams("xz", b"\xfd7zXZ\0", _xz),
    _streams("zstd", b"\x28\xb5\x2f\xfd", _zstd),
    Codec("zip", b"PK\x03\x04", _zip),
)
"""What files may be compressed with."""

_LONGEST_MAGIC = max(len(codec.magic) for codec in CODECS)
