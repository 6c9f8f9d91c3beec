"""Counts of a split, from the rows of its index."""

import pyarrow as pa

from pipeline.store.counts import SplitCounts


def test_clips_beyond_full_scale_count_once_however_many_copies_they_have() -> None:
    index = pa.table(
        {
            "copy": [0, 1, 0, 0],
            "label": [1, 1, 0, None],
            "duration_s": [1.0, 1.0, 2.0, 3.0],
            "decoder": ["flac_beyond_range", "flac_beyond_range", "flac", "libsndfile"],
        }
    )
    counts = SplitCounts()
    counts.add(index, rejects=2, record_bytes=10)
    assert (counts.beyond_range, counts.bona_fide, counts.spoof, counts.unlabelled) == (1, 1, 1, 1)
    assert (counts.utterances, counts.examples, counts.duration_s) == (5, 4, 6.0)
