"""The feature store: sharded TFRecords with an index, checksums and lineage. `FeatureStore` reads one."""

from pipeline.store.reader import FeatureStore
from pipeline.store.records import Example
from pipeline.store.statistics import Statistics

__all__ = ["Example", "FeatureStore", "Statistics"]
