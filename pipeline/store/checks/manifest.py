"""Checks of a shard against the manifest: every utterance stored or rejected, with the manifest's labels and audio."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from pipeline.corpus.schema import BONA_FIDE, SPLITS
from pipeline.store.checks.findings import Findings
from pipeline.store.checks.tables import Rows
from pipeline.store.digests import digest
from pipeline.store.schema import index_path, shard_position, shard_split
from pipeline.store.sharding import Shard, group_by_shard


def shards_of_manifest(manifest: pa.Table, shards: Iterable[str]) -> dict[str, Shard]:
    """The shards of a manifest by name, where every split has as many as a store with these shard names."""
    counts = dict.fromkeys(SPLITS, 1)
    for shard in shards:
        _, counts[shard_split(shard)] = shard_position(shard)
    return {shard.name: shard for shard in group_by_shard(manifest, counts)}


def check_against_manifest(
    expected: Shard, metadata: Mapping[str, Any], rows: Rows, rejected: Rows, findings: Findings
) -> None:
    """Compares the tables of a shard with its utterances in the manifest.

    Args:
        expected: The shard as the manifest gives it.
        metadata: Metadata of the shard's index part.
        rows: Its rows of the index.
        rejected: Its rows of the rejects.
        findings: Takes what is wrong.
    """
    name = index_path(expected.name)
    wanted = {source.utterance_id: source for source in expected.sources}
    found = {row["utterance_id"] for row in [*rejected, *rows]}
    for utterance_id in sorted(wanted.keys() - found):
        findings.add(name, f"{utterance_id} of the manifest is neither stored nor rejected")
    for utterance_id in sorted(found - wanted.keys()):
        findings.add(name, f"{utterance_id} is not in the manifest")
    for row in rows:
        source = wanted.get(row["utterance_id"])
        if source is None:
            continue
        # Label and attack of a twin are its own; the checks of the tables know what they must be.
        is_twin = row["twin_of"] is not None
        if is_twin and source.label != BONA_FIDE:
            findings.add(name, f"{row['utterance_id']} copy {row['copy']} is a twin of speech that is not bona fide")
        of_source = ("speaker_id", "fields", "sha256")
        for column in of_source if is_twin else ("label", "attack_id", *of_source):
            value = getattr(source, column)
            if row[column] != value:
                findings.add(name, f"{row['utterance_id']}: {column} is {row[column]!r}, the manifest says {value!r}")
    if metadata["shard_fingerprint"] != expected.fingerprint(digest(metadata["config"])):
        findings.add(name, "it was made from other utterances, audio or labels than the manifest's")
