"""Files of a feature store in a local folder or below a prefix of an S3-compatible bucket, behind one interface.

A file appears whole or not at all and is never opened for writing in place: a file that DVC linked to its cache is
replaced, never written through. One writer at a time holds `lock`. What the files contain is the business of
`pipeline.store`.
"""

from pathlib import Path

from pipeline.errors import StoreError
from pipeline.storage.base import Names, Storage
from pipeline.storage.local import LocalStorage

__all__ = ["LocalStorage", "Names", "Storage", "open_storage"]


def open_storage(url: str | Path) -> Storage:
    """Gives the storage of a local folder or of `s3://bucket/prefix`. Nothing is read or made yet.

    Raises:
        StoreError: The address has another scheme, or names no prefix in its bucket.
    """
    address = str(url)
    scheme, separator, _ = address.partition("://")
    if not separator:
        return LocalStorage(address)
    if scheme == "s3":
        # Loaded on use: a local store needs neither boto3 nor psutil.
        from pipeline.storage.s3 import S3Storage

        return S3Storage(address)
    raise StoreError(f"{address}: no storage for {scheme}:// addresses; give a local folder or s3://bucket/prefix")
