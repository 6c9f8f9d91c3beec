"""The description of a store: what its originals are made of."""

import numpy as np
import pytest

from pipeline.store import FeatureStore
from pipeline.store.describe import CLASSES, MEASURES, describe, measured
from tests.support.synthetic_store import manifest_of, small_params, write_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("described")
    write_store(folder, manifest_of({"train": 12, "dev": 6}), small_params(), missing={"LA_T_0000001"})
    return FeatureStore.open(folder)


def test_originals_are_counted_by_split_and_class(store: FeatureStore) -> None:
    described = describe(store.index, store.rejects())
    assert list(described) == ["train", "dev"]
    assert (described["train"]["bona_fide"], described["train"]["spoof"]) == (4, 7)
    assert described["train"]["rejects"] == {"bona_fide": 0, "spoof": 1, "unlabelled": 0}
    assert described["train"]["reject_reasons"]["missing"]["spoof"] == 1


def test_measures_are_summarised_per_class(store: FeatureStore) -> None:
    described, values = describe(store.index, store.rejects()), measured(store.index)
    assert set(values) == {(split, name) for split in ("train", "dev") for name in CLASSES}
    for (split, name), part in values.items():
        for measure in MEASURES:
            summary = described[split]["measures"][measure][name]
            assert summary["median"] == pytest.approx(np.median(part[measure].to_numpy()), abs=1e-6)
            assert summary["p05"] <= summary["p25"] <= summary["median"] <= summary["p75"] <= summary["p95"]
