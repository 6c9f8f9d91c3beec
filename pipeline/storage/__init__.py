"""Files in a local folder or below a prefix of a bucket (S3, Google Cloud Storage): feature stores, and audio.

A file appears whole or not at all and is never opened for writing in place: a file that DVC linked to its cache is
replaced, never written through. One writer at a time holds `lock`. What the files contain is the business of
`pipeline.store`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import StoreError
from pipeline.storage.base import LargeFileError, MissingFileError, Names, Storage
from pipeline.storage.local import LocalStorage

if TYPE_CHECKING:
    from pipeline.storage.objects import ObjectStorage

__all__ = ["LargeFileError", "LocalStorage", "MissingFileError", "Names", "Storage", "is_remote", "open_storage"]


def is_remote(address: str | Path) -> bool:
    """Whether an address is that of an object store."""
    return "://" in str(address)


def open_storage(url: str | Path, *, whole_bucket: bool = False) -> Storage:
    """Gives the storage of a local folder, of `s3://bucket/prefix` or of `gs://bucket/prefix`. Nothing is read or made yet.

    Args:
        url: The address.
        whole_bucket: Whether it may be a bucket without a prefix. Such a storage has no `lock`.

    Raises:
        StoreError: The address has another scheme, or names no prefix in its bucket.
    """
    address = str(url)
    scheme, separator, _ = address.partition("://")
    if not separator:
        return LocalStorage(address)
    storage: ObjectStorage
    # Loaded on use: a local store needs neither a client nor psutil.
    if scheme == "s3":
        from pipeline.storage.s3 import S3Storage

        storage = S3Storage(address)
    elif scheme == "gs":
        from pipeline.storage.gcs import GcsStorage

        storage = GcsStorage(address)
    else:
        raise StoreError(
            f"{address}: no storage for {scheme}:// addresses; give a local folder, s3://bucket/prefix or gs://bucket/prefix"
        )
    if not (storage.prefix or whole_bucket):
        raise StoreError(f"{url}: name a bucket and a prefix in it, as in {scheme}://bucket/features")
    return storage
