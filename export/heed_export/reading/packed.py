"""Files as a download leaves them: what is called .gz or .zst is unpacked into memory, within a bound; all else is read as
it lies. Nothing is written."""

from __future__ import annotations

import gzip
import pathlib
import shutil
import subprocess
import zlib
from typing import BinaryIO

from .files import MAX_FILE_BYTES, CheckpointError, read_bytes

MAX_UNPACKED_BYTES = 1 << 30  # of a packed file; one that lies unpacked may be larger
SUFFIXES = (".gz", ".zst")
_CHUNK = 1 << 20


def plain_name(path: pathlib.Path) -> str:
    """The file's name once it is unpacked: model.bin of model.bin.zst."""
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def plain_suffix(path: pathlib.Path) -> str:
    """The suffix of that name, in small letters."""
    return pathlib.Path(plain_name(path)).suffix.lower()


def read(path: pathlib.Path, most: int = MAX_FILE_BYTES) -> bytes:
    """A file whole, unpacked. Raises CheckpointError for one that is missing, damaged or of more than `most` bytes, a packed
    one of more than MAX_UNPACKED_BYTES; and where there is no zstd to unpack with."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        return read_bytes(path, most)
    if not path.is_file():
        raise CheckpointError(f"{path}: " + ("is no file" if path.exists() else "does not exist"))
    most = min(most, MAX_UNPACKED_BYTES)
    try:
        return _gunzip(path, most) if suffix == ".gz" else _unzstd(path, most)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    except MemoryError:
        raise CheckpointError(f"{path}: unpacks to more bytes than there is memory") from None


def _bounded(stream: BinaryIO, path: pathlib.Path, most: int) -> bytes:
    """Reads no more than a chunk beyond the bound, whatever the file claims."""
    data = bytearray()
    while chunk := stream.read(_CHUNK):
        data += chunk
        if len(data) > most:
            raise CheckpointError(f"{path}: unpacks to more than {most} bytes")
    return bytes(data)


def _gunzip(path: pathlib.Path, most: int) -> bytes:
    try:
        with gzip.open(path) as stream:
            return _bounded(stream, path, most)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise CheckpointError(f"{path}: is no gzip file, or is damaged") from None


def _unzstd(path: pathlib.Path, most: int) -> bytes:
    """By the program, since Python's own library has no zstd before 3.14."""
    program = shutil.which("zstd")
    if program is None:
        raise CheckpointError(f"{path}: needs the program zstd (apt-get install zstd), or the file unpacked")
    with open(path, "rb") as packed:
        process = subprocess.Popen(
            [program, "--decompress", "--stdout", "--quiet"],
            stdin=packed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    with process:
        try:
            data = _bounded(process.stdout, path, most)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise CheckpointError(f"{path}: is no zstd file, or is damaged")
    return data
