"""The plan of a run: which shards the manifest and the parameters ask for, and which of them are due.

Imports neither Beam nor anything that reads audio: a run without work needs none of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import CorpusError
from pipeline.params import Params
from pipeline.storage import LocalStorage, Storage, open_storage
from pipeline.store.lineage import Config
from pipeline.store.resume import ResumePlan, plan_resume
from pipeline.store.sharding import Shard, assign_shards, copies, expected_bytes


@dataclass(frozen=True)
class RunPlan:
    """What a run is going to do.

    Attributes:
        params: All parameters.
        storage: Of the store.
        config: What decides the bytes of the store beside its utterances.
        shards: All shards of the store.
        resume: Which of them are due, and why.
        pending_bytes: Expected size of the records to write, in bytes.
    """

    params: Params
    storage: Storage
    config: Config
    shards: list[Shard]
    resume: ResumePlan
    pending_bytes: int

    @property
    def address(self) -> str:
        """The store's address, absolute: the workers of a cluster have another working folder."""
        return str(self.storage.root.resolve()) if isinstance(self.storage, LocalStorage) else self.storage.url

    @property
    def pending_clips(self) -> int:
        """Utterances of the shards that are due."""
        return sum(len(shard.sources) for shard in self.resume.pending)


def plan_run(manifest: pa.Table, output: str, params: Params) -> RunPlan:
    """Compares the store at `output` with what the manifest and the parameters ask for. Changes nothing.

    Raises:
        CorpusError: The manifest has no usable audio.
        StoreError: The output holds other files than a store's.
    """
    if manifest["sha256"].null_count == manifest.num_rows:
        raise CorpusError("the manifest has no utterance with audio; check data.root and run `bonafide manifest` again")
    storage = open_storage(output)
    config = Config.current(params.features, params.augment)
    shards = assign_shards(manifest, params.store, params.features, params.augment.copies)
    resume = plan_resume(storage, shards, config)
    total = sum(expected_bytes(manifest, params.features, params.augment.copies).values())
    share_due = _count_examples(resume.pending, params) / max(1, _count_examples(shards, params))
    return RunPlan(params, storage, config, shards, resume, round(total * share_due))


def _count_examples(shards: Sequence[Shard], params: Params) -> int:
    return sum(len(shard.sources) * (1 + copies(shard.split, params.augment.copies)) for shard in shards)
