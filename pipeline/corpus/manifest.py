"""The manifest of a corpus: one row per protocol line, with the values of its audio file's header.

No line is dropped: a file that is missing or cannot be read keeps its row, with null header fields and a `problem`, which
the features stage turns into a reject. Rows are sorted by (split, utterance_id), so the order of the protocols does not
matter.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.audio.decode import inspect_open_file
from pipeline.audio.files import audio_sha256
from pipeline.audio.limits import most_bytes
from pipeline.corpus.audio_files import AudioFiles, audio_root, open_audio_files
from pipeline.corpus.equal_audio import EqualAudio
from pipeline.corpus.findings import listed, shown
from pipeline.corpus.layouts import AUTO, layout_of
from pipeline.corpus.layouts.base import Layout
from pipeline.corpus.links import LinkPolicy
from pipeline.corpus.places import CorpusPath
from pipeline.corpus.protocol import read_corpus
from pipeline.corpus.schema import BONA_FIDE, MANIFEST_SCHEMA, SPLITS, SPOOF, label_name
from pipeline.corpus.utterances import Utterance, Utterances
from pipeline.errors import AudioError, CorpusError, ProtocolError
from pipeline.files import atomic_path
from pipeline.section import MAX_DURATION_S
from pipeline.tables import gathered

_BATCH: Final = 4096
_REPEATED: Final = ("split", "speaker_id", "attack_id", "decoder")


def build_manifest(root: CorpusPath, limit: int | None = None) -> pa.Table:
    """The rows of `manifest_batches` as one table, in memory."""
    return pa.Table.from_batches(manifest_batches(root, limit), MANIFEST_SCHEMA)


def manifest_batches(
    root: CorpusPath,
    limit: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    link_targets: Sequence[str] = (),
    layout: str = AUTO,
    bonafide_number: int | None = None,
    shared_audio: str = "warn",
    max_duration_s: float = MAX_DURATION_S,
    on_warning: Callable[[str], None] = lambda text: None,
) -> Iterator[pa.RecordBatch]:
    """Parses the protocols, finds the audio files and reads their headers.

    Args:
        root: Folder in a layout of `pipeline.corpus.layouts`, or a table.
        limit: At most this many utterances per split, stratified by attack; None for all.
        on_progress: Called with the number of files read so far and in all.
        link_targets: Folders outside the corpus that its symbolic links may lead to.
        layout: Name of the layout, or "auto".
        bonafide_number: Which number means bona fide, where labels are numbers.
        shared_audio: "warn" or "error": what equal files in two splits are.
        max_duration_s: The problem of a longer clip is `too_long`, in seconds.
        on_warning: Called with what is suspicious in protocols and audio.

    Yields:
        Batches with the columns of `MANIFEST_SCHEMA`, together sorted by (split, utterance_id).

    Raises:
        CorpusError: The corpus is missing, has no audio at all, or train or dev holds one class only.
        ProtocolError: The protocols are malformed or contradict themselves, or files with equal bytes have contradicting labels.
    """
    kind = layout_of(root, layout)
    utterances = read_corpus(root, link_targets, on_warning, layout=kind.name, bonafide_number=bonafide_number).sorted()
    require_both_classes(utterances)
    if limit is not None:
        utterances = Utterances(stratified_subset(utterances, limit))
    base = audio_root(root)
    files = open_audio_files(base, LinkPolicy(base, link_targets))
    row_of = partial(_row, files, max_duration_s, kind)
    equal = EqualAudio(len(utterances))
    waiting = iter(utterances)
    done = found = 0
    expected = ""
    # Hashing and reading release the interpreter lock; batches bound the number of waiting futures and of rows as objects.
    with ThreadPoolExecutor(files.readers) as pool:
        while taken := list(islice(waiting, _BATCH)):
            batch = pa.RecordBatch.from_pylist(list(pool.map(row_of, taken)), MANIFEST_SCHEMA)
            expected = expected or batch["path"][0].as_py()
            equal.add(done, _digests(batch))
            done += batch.num_rows
            found += batch.num_rows - batch["sha256"].null_count
            on_progress(done, len(utterances))
            yield batch
    if not found:
        hint = kind.audio_hint if "\\" not in expected else f"write / in place of \\; {kind.audio_hint}"
        raise CorpusError(
            f"{root}: not one of the {done} audio files was found, the first expected at {expected}; {hint}"
        )
    _check_equal(equal, utterances, shared_audio, on_warning)


def _digests(batch: pa.RecordBatch) -> list[str | None]:
    """The SHA-256 of the files of a batch; None for those that cannot be used."""
    columns = (batch[name].to_pylist() for name in ("sha256", "problem"))
    return [sha256 if problem is None else None for sha256, problem in zip(*columns, strict=True)]


def _check_equal(
    equal: EqualAudio, utterances: Sequence[Utterance], shared_audio: str, on_warning: Callable[[str], None]
) -> None:
    shared, contradicting = equal.in_two_splits(utterances), equal.contradicting(utterances)
    if contradicting:
        raise ProtocolError(listed([*contradicting, *shared]))
    if shared and shared_audio == "error":
        raise ProtocolError(f"{listed(shared)}\nremove lines, or set data.shared_audio to warn")
    if shared:
        on_warning(
            f"{len(shared)} file{'s have' if len(shared) > 1 else ' has'} the same bytes as a file of another split, so what is "
            "measured there is too good\n"
            f"{shown(shared)}"
        )


def write_manifest(manifest: pa.Table | Iterable[pa.RecordBatch], path: Path) -> None:
    """Writes a manifest as Parquet, in one step; each batch becomes a row group, and only one is in memory."""
    batches = iter(manifest.combine_chunks().to_batches(_BATCH) if isinstance(manifest, pa.Table) else manifest)
    # What is wrong with the protocols shows with the first batch, before any file or folder is made.
    first = list(islice(batches, 1))
    # Arrow opens no path whose name is not UTF-8.
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as file,
        pq.ParquetWriter(file, MANIFEST_SCHEMA, compression="zstd") as writer,
    ):
        for batch in chain(first, batches):
            writer.write_batch(batch)


def read_manifest(path: CorpusPath, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads a manifest.

    Args:
        path: The file.
        columns: These alone, in the order of the schema, texts that repeat as dictionaries; None for all, as
            `MANIFEST_SCHEMA` has them.

    Raises:
        ProtocolError: The file is missing, is not Parquet, or has other columns.
    """
    try:
        with path.open("rb") as file:
            if not pq.read_schema(file).equals(MANIFEST_SCHEMA):
                raise ProtocolError(f"{path}: its columns are not a manifest's; make it again with `bonafide manifest`")
            repeated = None if columns is None else _REPEATED
            with pq.ParquetFile(file, pre_buffer=False, read_dictionary=repeated) as table:
                names = MANIFEST_SCHEMA.names if columns is None else [n for n in MANIFEST_SCHEMA.names if n in columns]
                found = {name: _column(table, name) for name in sorted(names, key=partial(_n_bytes, table))[::-1]}
    except FileNotFoundError:
        raise ProtocolError(f"{path}: no such manifest; make it with `bonafide manifest`") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise ProtocolError(
            f"{path}: cannot be read as Parquet: {error}; make it again with `bonafide manifest`"
        ) from error
    fields = [MANIFEST_SCHEMA.field(name).with_type(found[name].type) for name in names]
    return pa.table([found[name] for name in names], pa.schema(fields))


def _column(table: pq.ParquetFile, name: str) -> pa.ChunkedArray:
    # By itself and by batches: Arrow's `read` holds three times the memory of the table.
    batches = table.iter_batches(_BATCH, columns=[name], use_threads=False)
    return gathered(batches, pa.schema([table.schema_arrow.field(name)]))[0]


def _n_bytes(table: pq.ParquetFile, name: str) -> int:
    """Of a column, uncompressed. The largest is read first, while the others take no memory."""
    place, groups = table.schema_arrow.get_field_index(name), range(table.metadata.num_row_groups)
    return sum(table.metadata.row_group(group).column(place).total_uncompressed_size for group in groups)


def count_utterances(utterances: Iterable[Utterance]) -> dict[str, Counter[str]]:
    """Counts utterances per split and class, the latter as `label_name` has it."""
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for utterance in utterances:
        counts[utterance.split][label_name(utterance.label)] += 1
    return counts


def require_both_classes(utterances: Iterable[Utterance]) -> None:
    """Refuses a corpus whose train or dev split holds one class only. A split may be absent: a test set has eval alone.

    Raises:
        CorpusError: Names the split and the class that is absent.
    """
    counts = count_utterances(utterances)
    for split in ("train", "dev"):
        for name in map(label_name, (BONA_FIDE, SPOOF)):
            if counts[split] and not counts[split][name]:
                raise CorpusError(
                    f"the {split} split has no {name} utterance; training and choosing a threshold need both classes"
                )


def stratified_subset(utterances: Sequence[Utterance], limit: int) -> list[Utterance]:
    """Keeps at most `limit` utterances of each split: every attack and bona fide in proportion, at least one of each.

    A hash of the utterance id decides which ones, so the choice depends neither on the order nor on other utterances.

    Raises:
        CorpusError: `limit` is below the number of strata of a split.
    """
    strata: dict[str, dict[tuple[int | None, str | None], list[Utterance]]] = defaultdict(lambda: defaultdict(list))
    for utterance in utterances:
        strata[utterance.split][utterance.label, utterance.attack_id].append(utterance)
    kept: set[str] = set()
    for split, groups in strata.items():
        if limit < len(groups):
            raise CorpusError(f"data.limit {limit} is below the {len(groups)} attacks and classes of the {split} split")
        total = sum(len(group) for group in groups.values())
        room = min(limit, total)
        # Largest remainder above one each: the quotas add up to `room`.
        shares = {
            key: 1 + (room - len(groups)) * (len(group) - 1) / max(1, total - len(groups))
            for key, group in groups.items()
        }
        quotas = {key: int(share) for key, share in shares.items()}
        by_remainder = sorted(shares, key=lambda key: (quotas[key] - shares[key], str(key)))
        for key in by_remainder[: room - sum(quotas.values())]:
            quotas[key] += 1
        for key, group in groups.items():
            group.sort(key=lambda utterance: hashlib.sha256(utterance.utterance_id.encode()).digest())
            kept.update(utterance.utterance_id for utterance in group[: quotas[key]])
    return [utterance for utterance in utterances if utterance.utterance_id in kept]


def _row(files: AudioFiles, max_duration_s: float, layout: Layout, utterance: Utterance) -> dict[str, Any]:
    row: dict[str, Any] = {
        "split": utterance.split,
        "utterance_id": utterance.utterance_id,
        "speaker_id": utterance.speaker_id,
        "attack_id": utterance.attack_id,
        "label": utterance.label,
        "fields": utterance.fields,
    }
    missing: dict[str, Any] | None = None
    # The first of the places that has a file; the usual one where none has.
    for path in layout.candidates(utterance):
        try:
            return row | {"path": path} | _columns_of_file(files, path, max_duration_s)
        except AudioError as error:
            found = {"path": path, "problem": str(error)}
            if error.reason != "missing" or files.has_entry(path):
                return row | found
            missing = missing or found
    assert missing is not None
    return row | missing


def _columns_of_file(files: AudioFiles, path: str, max_duration_s: float) -> dict[str, Any]:
    """The columns that the file of an utterance gives; raises `AudioError` if it cannot be read at all."""
    with files.open(path, most_bytes(max_duration_s)) as (file, size):
        sha256 = audio_sha256(file, size)
        file.seek(0)
        try:
            header = inspect_open_file(file, size, max_duration_s)
        except AudioError as problem:
            return {"sha256": sha256, "problem": str(problem)}
    return {
        "sha256": sha256,
        "sample_rate": header.sample_rate,
        "channels": header.channels,
        "n_samples": header.n_samples,
        "duration_s": header.duration_s,
        "decoder": header.decoder,
    }
