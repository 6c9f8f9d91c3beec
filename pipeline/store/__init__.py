"""The feature store: sharded TFRecords with an index, checksums and lineage. `FeatureStore` reads one.

Inside are its format, writing and resuming, reading, verifying, comparing and describing. Where its files are is the business
of `pipeline.storage`, what computes its spectrograms that of `pipeline.frontends` and `pipeline.job`.
"""

from pipeline.store.reader import FeatureStore
from pipeline.store.records import Example
from pipeline.store.statistics import Statistics

__all__ = ["Example", "FeatureStore", "Statistics"]
