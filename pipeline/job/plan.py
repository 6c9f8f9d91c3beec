"""The plan of a run: which shards the manifest and the parameters ask for, and which of them are due.

Imports neither Beam nor anything that reads audio: a run without work needs none of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.corpus.schema import SPLITS
from pipeline.errors import CorpusError, ParamsError
from pipeline.params import Params
from pipeline.storage import LocalStorage, Storage, open_storage
from pipeline.store.lineage import Config
from pipeline.store.resume import ResumePlan, plan_resume
from pipeline.store.sharding import Shard, assign_shards, expected_bytes


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
        ParamsError: The augmentation needs a package that is not installed, or weights that are damaged.
        StoreError: The output holds other files than a store's.
    """
    if manifest["sha256"].null_count == manifest.num_rows:
        raise CorpusError("the manifest has no utterance with audio; check data.root and run `bonafide manifest` again")
    storage = open_storage(output)
    config = Config.current(params.features, params.augment, params.augment.libraries)
    if lacking := [name for name in params.augment.libraries if config.versions[name] is None]:
        raise ParamsError(
            f"augment.codec.kinds: aac needs the package {', '.join(lacking)}, which is not installed; "
            "pip install 'bonafide[media]', or leave it out"
        )
    n_copies, n_twins = params.augment.copies, params.augment.copy_synthesis.copies
    if n_twins and "neural_vocoder" in params.augment.copy_synthesis.kinds:
        from pipeline.augmentation.copy_synthesis.neural_vocoder import Network

        Network.load()  # damaged weights are found before any work
    shards = assign_shards(manifest, params.store, params.features, n_copies, n_twins)
    resume = plan_resume(storage, shards, config)
    expected = expected_bytes(manifest, params.features, n_copies, n_twins)
    pending_bytes = sum(
        expected[split] * _count_clips(resume.pending, split) / max(1, _count_clips(shards, split)) for split in SPLITS
    )
    return RunPlan(params, storage, config, shards, resume, round(pending_bytes))


def _count_clips(shards: Sequence[Shard], split: str) -> int:
    return sum(len(shard.sources) for shard in shards if shard.split == split)
