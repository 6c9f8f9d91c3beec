"""Where the files of a feature store live: a local folder or a prefix of an S3-compatible bucket, behind one interface.

A file is there whole or not at all, and is never opened for writing in place: local writes go to a temporary name and
are renamed, so a file that DVC linked to its cache is replaced, never written through. One writer at a time holds
`lock`. Whatever goes wrong is a `StoreError` that says where and what to do.
"""

from pipeline.storage.base import Names, Storage
from pipeline.storage.local import LocalStorage
from pipeline.storage.s3 import S3Storage

__all__ = ["LocalStorage", "Names", "S3Storage", "Storage"]
