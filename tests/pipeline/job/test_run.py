"""The features job on real audio: the same bytes everywhere, no utterance lost, and a resumable store however a run ends."""

import errno
import io
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
import soundfile
import yaml

from pipeline.corpus.manifest import build_manifest, write_manifest
from pipeline.corpus.schema import SPLITS
from pipeline.errors import StoreError
from pipeline.job.run import run_features
from pipeline.parameter_file import parse_params
from pipeline.params import Params
from pipeline.runners.local_runner import WORKER_MODULE
from pipeline.store import FeatureStore
from pipeline.store.verify import verify
from tests.support.front_ends import LOG_MEL
from tests.support.small_disk import small_disk
from tests.support.synthetic_corpus import SAMPLE_RATE, protocol_lines, waveform, write_corpus, write_protocols
from tests.support.synthetic_store import files_of

REPOSITORY = Path(__file__).resolve().parents[3]
IN_THIS_PROCESS = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]
N_UTTERANCES = 14
SHARDS = 4
KILLS = 20


def job_params(root: Path | str, **changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    content["augment"]["copies"] = 1
    content["augment"]["copy_synthesis"]["copies"] = 0
    content["data"]["root"] = str(root)
    content["store"]["shards"] = SHARDS
    content["features"] |= LOG_MEL.spectral() | {"n_mels": 24, "max_reject_fraction": 0.0}
    for key, value in changes.items():
        section, _, name = key.partition("__")
        content[section][name] = value
    return content


def parsed(root: Path, **changes: Any) -> Params:
    return parse_params(job_params(root, **changes), "test", Params)


def run(manifest: pa.Table, root: Path, output: Path, **changes: Any) -> Any:
    return run_features(manifest, root, str(output), parsed(root, **changes), IN_THIS_PROCESS)


class Corpus:
    """A small corpus with its manifest, its parameters and the store that an undisturbed run makes of it."""

    def __init__(self, folder: Path) -> None:
        self.root = write_corpus(folder / "LA", N_UTTERANCES)
        self.manifest = build_manifest(self.root)
        self.manifest_file = folder / "manifest.parquet"
        write_manifest(self.manifest, self.manifest_file)
        self.params_file = folder / "params.yaml"
        self.params_file.write_text(yaml.safe_dump(job_params(self.root)), encoding="utf-8")
        self.store = folder / "store"
        self.result = run(self.manifest, self.root, self.store)

    def command(self, output: Path, *more: str) -> list[str]:
        return [
            *(sys.executable, "-m", "bonafide", "features", "--params", str(self.params_file)),
            *("--manifest", str(self.manifest_file), "--output", str(output), *more),
        ]

    def start(self, output: Path, *more: str, **options: Any) -> "subprocess.Popen[str]":
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "100"}
        return subprocess.Popen(
            self.command(output, *more),
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            cwd=output.parent,
            **options,
        )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("job"))


# Same input, same bytes


def test_every_utterance_arrives_and_the_store_is_intact(corpus: Corpus) -> None:
    assert verify(corpus.store, corpus.manifest) == []
    assert corpus.result.kept == 0
    assert corpus.result.redone == SHARDS * len(SPLITS)
    counts = {split: (c["utterances"], c["examples"]) for split, c in corpus.result.info["splits"].items()}
    assert counts == {"train": (14, 28), "dev": (14, 14), "eval": (14, 14)}


@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_do_not_change_a_byte(corpus: Corpus, tmp_path: Path, workers: int) -> None:
    process = corpus.start(tmp_path / "store", "--workers", str(workers))
    _, text = process.communicate(timeout=240)
    assert process.returncode == 0, text
    assert files_of(tmp_path / "store") == files_of(corpus.store)


def test_order_of_protocol_lines_does_not_change_a_byte(corpus: Corpus, tmp_path: Path) -> None:
    root = shutil.copytree(corpus.root, tmp_path / "LA")
    draw = random.Random(3)
    lines = {split: protocol_lines(split, N_UTTERANCES) for split in SPLITS}
    write_protocols(root, {split: draw.sample(listed, len(listed)) for split, listed in lines.items()})
    run(build_manifest(root), root, tmp_path / "store")
    assert files_of(tmp_path / "store") == files_of(corpus.store)


def test_second_run_reads_no_audio_and_changes_nothing(corpus: Corpus, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(corpus.store, store)
    before = committed_files(store)
    result = run(corpus.manifest, tmp_path / "no such folder", store)
    assert (result.kept, result.redone) == (SHARDS * len(SPLITS), 0)
    assert committed_files(store) == before


# Incremental


def test_changed_clip_redoes_its_shard_alone(corpus: Corpus, tmp_path: Path) -> None:
    root, store = tmp_path / "LA", tmp_path / "store"
    shutil.copytree(corpus.root, root)
    shutil.copytree(corpus.store, store)
    soundfile.write(
        root / "ASVspoof2019_LA_dev" / "flac" / "LA_D_0000003.flac", waveform("other"), SAMPLE_RATE, "PCM_16"
    )
    result = run(build_manifest(root), root, store)
    assert (result.kept, result.redone) == (SHARDS * len(SPLITS) - 1, 1)
    run(build_manifest(root), root, tmp_path / "fresh")
    assert files_of(store) == files_of(tmp_path / "fresh")


def test_changed_parameter_discards_the_store_and_says_what_changed(corpus: Corpus, tmp_path: Path) -> None:
    store = Path(shutil.copytree(corpus.store, tmp_path / "store"))
    plans: list[Any] = []
    run_features(
        corpus.manifest,
        corpus.root,
        str(store),
        parsed(corpus.root, features__n_mels=32),
        IN_THIS_PROCESS,
        plans.append,
    )
    assert plans[0].resume.changes == ["features.n_mels 24 → 32"]
    assert verify(store, corpus.manifest) == []
    assert FeatureStore.open(store).features.n_mels == 32


# Quarantine


def hostile_folder(root: Path) -> dict[str, str | None]:
    """Writes a table corpus of good and hostile files; gives the expected reason by utterance id, None for good ones."""
    audio = root / "audio"
    audio.mkdir(parents=True)
    good = waveform("good", 1.0)
    rng = np.random.default_rng(5)

    def flac(name: str, samples: np.ndarray, rate: int = SAMPLE_RATE, kind: str = "PCM_16") -> None:
        soundfile.write(audio / name, samples, rate, kind, format="FLAC" if name.endswith(".flac") else "WAV")

    buffer = io.BytesIO()
    soundfile.write(buffer, rng.uniform(-0.5, 0.5, 48000), SAMPLE_RATE, "PCM_16", format="FLAC")
    whole = buffer.getvalue()
    (audio / "text.flac").write_text("this is not audio\n" * 100)
    (audio / "truncated.flac").write_bytes(whole[: len(whole) // 2])
    (audio / "zero.flac").write_bytes(b"")
    flac("one_sample.flac", good[:1])
    flac("nan.wav", np.where(np.arange(good.size) == 99, np.nan, good), kind="FLOAT")
    flac("eight_channels.flac", np.stack([waveform(f"channel {number}", 1.0) for number in range(8)], axis=1))
    flac("high_rate.flac", np.repeat(good, 12), 192_000)
    flac("deep.flac", good, kind="PCM_24")
    flac("silence.flac", np.zeros(SAMPLE_RATE))
    (audio / "folder.flac").mkdir()
    (audio / "dangling.flac").symlink_to(audio / "nowhere.flac")
    flac("späce and ünïcode 語.flac", good)
    expected: dict[str, str | None] = {
        "text": "unsupported_format",
        "truncated": "truncated",
        "zero": "empty",
        "one_sample": "too_short",
        "nan": "not_finite",
        "eight_channels": None,
        "high_rate": None,
        "deep": None,
        "silence": "silent",
        "folder": "unreadable",
        "dangling": "missing",
        "späce_and_ünïcode_語": None,
        "absent": "missing",
    }
    rows = []
    for number, utterance_id in enumerate(expected):
        suffix = ".wav" if utterance_id == "nan" else ".flac"
        name = utterance_id.replace("_", " ") if "ü" in utterance_id else utterance_id
        rows.append(("train", utterance_id, f"audio/{name}{suffix}", ("bonafide", "spoof")[number % 2]))
    for split in SPLITS:
        for label in ("bonafide", "spoof"):
            utterance_id = f"good_{split}_{label}"
            flac(f"{utterance_id}.flac", waveform(utterance_id, 0.5))
            rows.append((split, utterance_id, f"audio/{utterance_id}.flac", label))
            expected[utterance_id] = None
    lines = [f"{split},{utterance_id},{path},{label}" for split, utterance_id, path, label in rows]
    (root / "corpus.csv").write_text("\n".join(["split,utterance_id,path,label", *lines]) + "\n", encoding="utf-8")
    return expected


def test_hostile_files_are_rejected_with_their_reason_and_good_clips_all_arrive(tmp_path: Path) -> None:
    expected = hostile_folder(tmp_path)
    manifest = build_manifest(tmp_path / "corpus.csv")
    assert manifest.num_rows == len(expected)
    # What the manifest took for good is damaged afterwards: the features stage looks for itself.
    changed = tmp_path / "audio" / "good_dev_spoof.flac"
    soundfile.write(changed, waveform("changed", 0.5), SAMPLE_RATE)
    expected["good_dev_spoof"] = "changed"
    result = run(manifest, tmp_path, tmp_path / "store", features__max_reject_fraction=1.0)
    store = FeatureStore.open(tmp_path / "store")
    found = dict.fromkeys(store.index["utterance_id"].to_pylist())
    rejects = store.rejects().to_pylist()
    found |= {row["utterance_id"]: row["reason"] for row in rejects}
    assert found == expected
    assert all(row["detail"] and str(tmp_path) not in row["detail"] for row in rejects)
    assert verify(tmp_path / "store", manifest) == []
    assert result.info["splits"]["train"]["rejects"] == 9
    # The channels' mean, the resampled and the deep clip are all a second of audio at the front end's rate.
    for utterance_id in ("eight_channels", "high_rate", "deep", "späce_and_ünïcode_語"):
        assert store.row(utterance_id)["duration_s"] == pytest.approx(1.0)


def test_restored_file_is_taken_up_by_the_next_run(corpus: Corpus, tmp_path: Path) -> None:
    root = Path(shutil.copytree(corpus.root, tmp_path / "LA"))
    clip = root / "ASVspoof2019_LA_eval" / "flac" / "LA_E_0000002.flac"
    clip.rename(tmp_path / "away.flac")
    run(corpus.manifest, root, tmp_path / "store", features__max_reject_fraction=1.0)
    assert FeatureStore.open(tmp_path / "store").rejects()["reason"].to_pylist() == ["missing"]
    (tmp_path / "away.flac").rename(clip)
    result = run(corpus.manifest, root, tmp_path / "store", features__max_reject_fraction=1.0)
    assert result.redone == 1
    assert files_of(tmp_path / "store") == files_of(corpus.store)


def test_too_many_rejects_fail_with_a_table_of_reasons_and_keep_finished_shards(corpus: Corpus, tmp_path: Path) -> None:
    root = Path(shutil.copytree(corpus.root, tmp_path / "LA"))
    (root / "ASVspoof2019_LA_eval" / "flac" / "LA_E_0000002.flac").write_bytes(b"")
    with pytest.raises(StoreError, match=r"1 of 42 utterances[\s\S]*empty \(spoof\)[\s\S]*LA_E_0000002"):
        run(build_manifest(root), root, tmp_path / "store")
    assert not (tmp_path / "store" / "store.json").exists()
    assert len(list((tmp_path / "store" / "index").iterdir())) == SHARDS * len(SPLITS)


# Every way to stop it


def committed_files(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of every file of the shards that are committed, and of store.json."""
    committed = {path.stem for path in (folder / "index").glob("*-of-*.parquet")} | {"store"}
    return {
        str(path.relative_to(folder)): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.stem in committed and not path.name.startswith(".")
    }


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[str]", seconds: float = 120.0) -> bool:
    """Waits until the condition holds; False where the process ended before."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            return False
        assert time.monotonic() < end, "the run did not come that far"
        time.sleep(0.002)
    return True


def workers_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    return [child for child in psutil.Process(process.pid).children(recursive=True) if WORKER_MODULE in child.cmdline()]


def files_below(folder: Path) -> int:
    return sum(len(names) for _, _, names in os.walk(folder))


def kill_and_resume(corpus: Corpus, output: Path, n_files: int, delay_s: float) -> bool:
    """Kills a run once it has made so many files, resumes it and compares; False where it had ended by then."""
    process = corpus.start(output, "--workers", "2", start_new_session=True)
    alive = wait_for(lambda: files_below(output) >= n_files, process)
    children = psutil.Process(process.pid).children(recursive=True) if alive else []
    time.sleep(delay_s)
    killed = process.poll() is None
    process.kill()
    process.communicate()
    _, left = psutil.wait_procs(children, timeout=10)
    assert not left, "workers outlived their command"
    finished = committed_files(output)
    run(corpus.manifest, corpus.root, output)
    assert files_of(output) == files_of(corpus.store)
    now = committed_files(output)
    assert {name: now[name] for name in finished} == finished, "a finished shard was redone"
    return killed


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_run_killed_at_any_moment_resumes_to_the_same_bytes_without_redoing_finished_shards(
    corpus: Corpus, tmp_path: Path
) -> None:
    draw = random.Random(2019)
    n_files = len(files_of(corpus.store))
    killed = 0
    for number in range(KILLS):
        # Spread over the whole run: the first and the last moments in every case.
        wanted = round(number / (KILLS - 1) * n_files) if number % 5 == 4 else draw.randint(1, n_files)
        killed += kill_and_resume(corpus, tmp_path / f"store-{number}", max(1, wanted), draw.uniform(0, 0.02))
    assert killed >= KILLS - 5


@pytest.mark.slow
def test_killed_worker_ends_the_run_soon_with_a_clear_message(corpus: Corpus, tmp_path: Path) -> None:
    process = corpus.start(tmp_path / "store", "--workers", "2")
    assert wait_for(lambda: any((tmp_path / "store").rglob("*.parquet")), process)
    workers_of(process)[0].kill()
    began = time.monotonic()
    _, text = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 1
    assert "worker process" in text
    assert "run the command again" in text
    assert "Traceback" not in text
    run(corpus.manifest, corpus.root, tmp_path / "store")
    assert files_of(tmp_path / "store") == files_of(corpus.store)


def test_second_writer_stops_at_once_and_a_dead_one_does_not_block(corpus: Corpus, tmp_path: Path) -> None:
    store = tmp_path / "store"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK, str(store)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    began = time.monotonic()
    with pytest.raises(StoreError, match=f"process {holder.pid} .*is writing to this store"):
        run(corpus.manifest, corpus.root, store)
    assert time.monotonic() - began < 5
    holder.kill()
    holder.communicate()
    run(corpus.manifest, corpus.root, store)
    assert files_of(store) == files_of(corpus.store)


HOLD_LOCK = """
import sys, time
from pipeline.storage import open_storage
with open_storage(sys.argv[1]).lock():
    print("locked", flush=True)
    time.sleep(600)
"""


def test_full_disk_is_told_and_the_run_goes_on_when_there_is_room(corpus: Corpus, tmp_path: Path) -> None:
    # Enough for what the run expects to write and the disk's own rounding allows at first, but not for all of it.
    with small_disk(tmp_path / "disk", "size=200k") as disk:
        with pytest.raises(StoreError, match="disk"):
            run(corpus.manifest, corpus.root, disk / "store")
        assert not list(disk.rglob("*.partial"))
        finished = committed_files(disk / "store")
        assert finished
        subprocess.run(["mount", "-o", "remount,size=10m", disk], check=True)
        run(corpus.manifest, corpus.root, disk / "store")
        assert files_of(disk / "store") == files_of(corpus.store)
        now = committed_files(disk / "store")
        assert {name: now[name] for name in finished} == finished


def test_disk_that_cannot_hold_the_store_is_refused_before_any_work(corpus: Corpus, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=60k") as disk:
        with pytest.raises(StoreError, match="make room"):
            run(corpus.manifest, corpus.root, disk / "store")
        assert files_of(disk) == {}


def test_read_only_folder_is_told(corpus: Corpus, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        (disk / "store").mkdir()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with pytest.raises(StoreError, match="read-only"):
            run(corpus.manifest, corpus.root, disk / "store")


def test_foreign_folder_is_refused_and_left_alone(corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(StoreError, match=r"thesis\.docx"):
        run(corpus.manifest, corpus.root, tmp_path)
    assert files_of(tmp_path) == {"thesis.docx": b"years of work"}


# Files that DVC linked to its cache


def reflink(source: Path, target: Path) -> None:
    done = subprocess.run(["cp", "--reflink=always", source, target], check=False, capture_output=True)
    if done.returncode:
        raise OSError(errno.EOPNOTSUPP, "no reflinks here")


@pytest.mark.parametrize("link", [os.link, os.symlink, reflink], ids=["hardlink", "symlink", "reflink"])
def test_linked_store_is_kept_where_it_fits_and_never_written_through(
    corpus: Corpus, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    cache, store = tmp_path / "cache", tmp_path / "store"
    for name, content in files_of(corpus.store).items():
        for folder in (cache, store):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(content)
        (cache / name).chmod(0o444)  # as DVC does
        try:
            link(cache / name, store / name)
        except OSError:
            pytest.skip("this file system has no such links")
    assert run(corpus.manifest, corpus.root, store).redone == 0
    rows = [row for row in corpus.manifest.to_pylist() if row["utterance_id"] != "LA_T_0000003"]
    fewer = pa.Table.from_pylist(rows, schema=corpus.manifest.schema)
    assert run(fewer, corpus.root, store).redone == 1
    assert verify(store, fewer) == []
    run(corpus.manifest, corpus.root, store, features__n_mels=32)
    assert files_of(cache) == files_of(corpus.store)


# Under `dvc repro`


def dvc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    binaries = Path(sys.executable).parent
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1",
        "COLUMNS": "100",
    }
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("cache_type", ["reflink,copy", "hardlink", "symlink"])
def test_dvc_repro_goes_on_and_redoes_what_changed(corpus: Corpus, tmp_path: Path, cache_type: str) -> None:
    pytest.importorskip("dvc")
    write_manifest(corpus.manifest, tmp_path / "manifest.parquet")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(job_params(corpus.root)), encoding="utf-8")
    command = f"{sys.executable} -m bonafide features --manifest manifest.parquet --output features"
    stage = {
        "cmd": f"{command} --workers 1",
        "deps": ["manifest.parquet"],
        "outs": [{"features": {"persist": True}}],
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"features": stage}}), encoding="utf-8")
    assert dvc(tmp_path, "init", "--no-scm", "--quiet").returncode == 0
    dvc(tmp_path, "config", "cache.type", cache_type)
    shutil.copytree(corpus.store, tmp_path / "features")
    (tmp_path / "features" / "store.json").unlink()
    for path in (tmp_path / "features" / "index").glob("eval-*"):
        path.unlink()  # a run that was killed before the last split

    first = dvc(tmp_path, "repro")
    assert first.returncode == 0, first.stderr
    assert f"{2 * SHARDS} shards kept, {SHARDS} redone" in first.stdout + first.stderr
    assert files_of(tmp_path / "features") == files_of(corpus.store)

    rows = [row for row in corpus.manifest.to_pylist() if row["utterance_id"] != "LA_T_0000003"]
    write_manifest(pa.Table.from_pylist(rows, schema=corpus.manifest.schema), tmp_path / "manifest.parquet")
    second = dvc(tmp_path, "repro")
    assert second.returncode == 0, second.stderr
    assert f"{3 * SHARDS - 1} shards kept, 1 redone" in second.stdout + second.stderr
    assert verify(tmp_path / "features") == []

    write_manifest(corpus.manifest, tmp_path / "manifest.parquet")
    assert dvc(tmp_path, "repro").returncode == 0  # from the cache, if nothing wrote through it
    assert files_of(tmp_path / "features") == files_of(corpus.store)
