"""All that runs on a worker: turns the utterances of a shard into examples and rejects, and commits them as one shard."""

import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np

from pipeline.audio import Waveform
from pipeline.audio.decode import Decoded, decode_bytes
from pipeline.audio.limits import most_bytes
from pipeline.audio.measures import measure
from pipeline.augmentation.augmenter import Augmenter, Recipe
from pipeline.augmentation.copy_synthesis.synthesizer import Synthesizer
from pipeline.augmentation.params import AugmentParams
from pipeline.corpus.audio_files import open_audio_files
from pipeline.corpus.schema import TWIN_ATTACK_PREFIX
from pipeline.errors import AudioError
from pipeline.frontends import FeatureParams, make_front_end
from pipeline.job.clip_marks import ClipMark
from pipeline.job.counters import count_shard, count_work
from pipeline.job.versions import require_versions
from pipeline.job.worklist import ShardTask, Worklist
from pipeline.storage import open_storage
from pipeline.store.lineage import Config, installed_versions
from pipeline.store.resume import rejects_if_committed
from pipeline.store.sharding import Shard, Source, copies, twin_copy, twins
from pipeline.store.writer import Reject, StoredExample, Twin, write_shard


class Extractor:
    """Turns the utterances of a shard into examples and rejects. Made once per worker.

    Args:
        root: Folder of the audio, or its address in an object store.
        features: Parameters of the front end.
        augment: Parameters of the augmentation.
        mark: Told of every clip before it is worked on.
    """

    def __init__(
        self, root: str | Path, features: FeatureParams, augment: AugmentParams, mark: ClipMark | None = None
    ) -> None:
        self._mark = mark or ClipMark(None)
        self._files = open_audio_files(root)
        self._features = features
        self._augment = augment
        self._front_end = make_front_end(features)
        self._augmenter = Augmenter(augment, features.sample_rate)
        self._synthesizer = Synthesizer(augment.copy_synthesis, augment.seed, features.sample_rate)

    def __call__(self, shard: Shard) -> Iterator[StoredExample | Reject]:
        """Decodes, augments, resynthesises and extracts every utterance of a shard, each file read once."""
        n_copies = copies(shard.split, self._augment.copies)
        n_twins = self._augment.copy_synthesis.copies
        decoded: dict[str, Decoded] = {}
        usable = []
        present = (source.path for source in shard.sources if source.problem is None)
        contents = self._files.read_each(present, most_bytes(self._features.max_duration_s))
        for source in shard.sources:
            if source.problem is not None:
                reason, _, detail = source.problem.partition(": ")
                yield Reject(source, reason, detail)
                continue
            self._mark.set(shard.name, source.utterance_id)
            try:
                data = next(contents)
                if isinstance(data, AudioError):
                    raise data
                clip = decode_bytes(data, self._features, source.sha256)
            except AudioError as error:
                yield Reject(source, error.reason, error.detail)
                continue
            yield self._example(source, 0, clip, clip.waveform, {})
            if n_copies or twins(shard.split, source.label, n_copies, n_twins):
                # Babble is made of other clips of the shard, so all waveforms of a train shard stay in memory until its end.
                decoded[source.utterance_id] = clip
                usable.append(source)
        waveforms = {utterance_id: clip.waveform for utterance_id, clip in decoded.items()}
        for source in usable:
            self._mark.set(shard.name, source.utterance_id)
            clip = decoded[source.utterance_id]
            has_twins = twins(shard.split, source.label, n_copies, n_twins) > 0
            for copy in range(n_copies + 1):
                recipe = self._augmenter.draw(source.utterance_id, copy, waveforms) if copy else Recipe()
                if copy:
                    waveform = self._augmenter.apply(clip.waveform, recipe, waveforms)
                    yield self._example(source, copy, clip, waveform, recipe.to_dict())
                if has_twins:
                    yield from self._twins(source, copy, clip, recipe, waveforms)
        self._mark.clear()

    def _twins(
        self, source: Source, copy: int, clip: Decoded, recipe: Recipe, waveforms: Mapping[str, Waveform]
    ) -> Iterator[StoredExample]:
        """The twins of a copy: the original is resynthesised, then gets what the copy got."""
        n_twins = self._augment.copy_synthesis.copies
        for number in range(n_twins):
            drawn = self._synthesizer.draw(source.utterance_id, copy, number)
            waveform = self._synthesizer.apply(clip.waveform, drawn)
            if copy:
                waveform = self._augmenter.apply(waveform, recipe, waveforms)
            yield self._example(
                source,
                twin_copy(copy, number, self._augment.copies, n_twins),
                clip,
                waveform,
                {**recipe.to_dict(), **drawn.to_dict(), "twin_of": copy},
                Twin(copy, TWIN_ATTACK_PREFIX + drawn.kind),
            )

    def _example(
        self,
        source: Source,
        copy: int,
        clip: Decoded,
        waveform: Waveform,
        augmentation: dict[str, Any],
        twin: Twin | None = None,
    ) -> StoredExample:
        rate = self._features.sample_rate
        return StoredExample(
            source=source,
            copy=copy,
            features=self._front_end(waveform).astype(np.float16),
            augmentation=augmentation,
            duration_s=len(waveform) / rate,
            source_duration_s=clip.source_duration_s,
            measures=measure(waveform, rate),
            decoder=clip.decoder,
            twin=twin,
        )


class WriteShard(beam.DoFn):  # type: ignore[misc]
    """Processes a `ShardTask`: extracts and commits the shard. Emits the shard's name."""

    def __init__(
        self,
        root: str,
        output: str,
        config: Config,
        features: FeatureParams,
        augment: AugmentParams,
        *,
        marks_clips: bool = False,
    ) -> None:
        self._marks_clips = marks_clips
        self._root = root
        self._output = output
        self._config = config
        self._features = features
        self._augment = augment

    def setup(self) -> None:
        # The preflight sees the workers that are there when it runs; others come later.
        installed = installed_versions(self._features.kind, self._augment.libraries)
        require_versions(installed, self._config.versions, socket.gethostname())
        self._storage = open_storage(self._output)
        self._worklist = Worklist(self._output)
        mark = ClipMark(self._output if self._marks_clips else None)
        self._extract = Extractor(self._root, self._features, self._augment, mark)

    def process(self, task: ShardTask) -> Iterator[str]:
        shard = self._worklist.read(task)
        # After a worker is lost, its task runs again; committed shards are skipped.
        rejects = rejects_if_committed(self._storage, shard, self._config)
        if rejects is None:
            began = time.perf_counter()
            rejects = write_shard(self._storage, shard, self._config, self._extract(shard))
            count_work(len(shard.sources), time.perf_counter() - began)
        count_shard(len(shard.sources), rejects)
        yield shard.name
