"""Files in a local or shared folder: written under a temporary name, then renamed. The lock is a `flock` beside the folder."""

import contextlib
import io
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from typing_extensions import Buffer, override

from pipeline.storage.base import LargeFileError, Names, Storage, checked, too_short
from pipeline.storage.explained import explained
from pipeline.storage.locks import file_lock, shared_lock

_PARTIAL_SUFFIX = ".partial"
_OPEN_FILES = 128
"""Files that are kept open between two reads."""


class LocalStorage(Storage):
    """A folder on a local or shared file system.

    Attributes:
        root: The folder.
    """

    remote = False

    def __init__(self, url: str) -> None:
        super().__init__(url.rstrip("/") or "/")
        self.root = Path(self.url)
        self._open_files: OrderedDict[str, _Descriptor] = OrderedDict()
        self._guard = threading.Lock()

    def path(self, name: str) -> Path:
        """The path of a file."""
        return self.root / checked(name)

    @override
    def read(self, name: str, most_bytes: int | None = None) -> bytes:
        path = self.path(name)
        with explained("read", path):
            if most_bytes is not None and (size := path.stat().st_size) > most_bytes:
                raise LargeFileError(str(path), size, most_bytes)
            return path.read_bytes()

    @override
    def read_range(self, name: str, offset: int, length: int) -> bytes:
        descriptor = self._descriptor(name)
        with explained("read", self.path(name)):
            data = os.pread(descriptor.number, length, offset)
            while len(data) < length:  # one call gives at most 2 GiB
                more = os.pread(descriptor.number, length - len(data), offset + len(data))
                if not more:
                    raise too_short(self.url_of(name), offset, length, offset + len(data))
                data += more
        return data

    @override
    def read_into(self, name: str, offset: int, buffer: memoryview) -> None:
        descriptor = self._descriptor(name)
        done = 0
        while done < len(buffer):  # one call gives at most 2 GiB
            try:
                count = os.preadv(descriptor.number, [buffer[done:]], offset + done)
            except OSError:
                with explained("read", self.path(name)):
                    raise
            if not count:
                raise too_short(self.url_of(name), offset, len(buffer), offset + done)
            done += count

    @override
    @contextlib.contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        target = self.path(name)
        partial = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}{_PARTIAL_SUFFIX}")
        with explained("write", target):
            target.parent.mkdir(parents=True, exist_ok=True)
            raw = _PartialFile(partial, target)
        try:
            file = io.BufferedWriter(raw, buffer_size=1 << 20)
            yield file
            with explained("write", target):
                file.flush()
                os.fsync(raw.fileno())
                raw.close()
                partial.replace(target)
                _sync_folder(target.parent)
        finally:
            raw.close()  # not the buffer above it, which would write its bytes after an error
            with contextlib.suppress(OSError):
                partial.unlink()
            self._forget(name)

    @override
    def exists(self, name: str) -> bool:
        return self.path(name).is_file()

    @override
    def size(self, name: str) -> int:
        path = self.path(name)
        with explained("read", path):
            return path.stat().st_size

    @override
    def list(self, prefix: str = "") -> Names:
        return [name for name in self._walk(prefix) if not _is_partial(name)]

    @override
    def delete(self, name: str) -> None:
        path = self.path(name)
        with explained("remove", path):
            path.unlink(missing_ok=True)
        self._forget(name)

    @override
    def leftovers(self) -> Names:
        return [name for name in self._walk() if _is_partial(name)]

    @override
    def remove_leftovers(self) -> Names:
        names = self.leftovers()
        for name in names:
            self.delete(name)
        return names

    @override
    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        path = self._lock_path()
        with explained("lock", path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(path, self.url):
            yield

    @override
    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        with shared_lock(self._lock_path(), self.url):
            yield

    def _lock_path(self) -> Path:
        # Beside the folder, which DVC tracks. Resolved, so that two paths to one folder share a lock.
        root = self.root.resolve()
        return root.with_name(f".{root.name}.lock")

    def _walk(self, prefix: str = "") -> Names:
        names: Names = []
        # A prefix such as "index/train" only needs a walk through "index".
        folder = self.root / prefix.rpartition("/")[0]
        with explained("list", folder):
            for parent, _, files in os.walk(folder, onerror=_raise_unless_missing):
                relative = PurePosixPath(Path(parent).relative_to(self.root))
                names += [str(relative / file) for file in files]
        return sorted(name for name in names if name.startswith(prefix))

    def _descriptor(self, name: str) -> "_Descriptor":
        with self._guard:
            descriptor = self._open_files.get(name)
            if descriptor is None:
                path = self.path(name)
                with explained("read", path):
                    descriptor = self._open_files[name] = _Descriptor(path)
                while len(self._open_files) > _OPEN_FILES:
                    self._open_files.popitem(last=False)
            self._open_files.move_to_end(name)
        return descriptor

    def _forget(self, name: str) -> None:
        with self._guard:
            self._open_files.pop(name, None)


class _Descriptor:
    """An open file; closed when no thread refers to it any more."""

    __slots__ = ("number",)

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


class _PartialFile(io.FileIO):
    """A new file under a temporary name; its write errors name the final file."""

    def __init__(self, partial: Path, target: Path) -> None:
        super().__init__(partial, "xb")
        self._target = target

    def write(self, data: Buffer, /) -> int:
        with explained("write", self._target):
            return super().write(data)


def _is_partial(name: str) -> bool:
    file = name.rpartition("/")[2]
    return file.startswith(".") and file.endswith(_PARTIAL_SUFFIX)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _sync_folder(folder: Path) -> None:
    """Flushes a rename in `folder` to disk, so that it survives a power failure."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
