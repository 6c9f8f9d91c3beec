import base64
import hashlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile

from model.metrics import score_table
from model.report.clips import (
    EXCERPT_S,
    LARGEST_FILE,
    ClipAudio,
    ManifestPaths,
    clip_audio,
    hardest,
)
from pipeline.frontends import FeatureParams
from pipeline.params import Params


@pytest.fixture
def features(tone_params: Params) -> FeatureParams:
    return tone_params.features


def write_clip(
    folder: Path, name: str, seconds: float, rate: int = 16000, subtype: str = "PCM_16"
) -> tuple[ClipAudio, str]:
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, round(seconds * rate))
    soundfile.write(folder / name, noise, rate, subtype)
    return ClipAudio(folder, {"clip": name}), hashlib.sha256((folder / name).read_bytes()).hexdigest()


def decoded(uri: str) -> tuple[np.ndarray, int]:
    kind, _, data = uri.partition(";base64,")
    assert kind == "data:audio/flac"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    return samples, rate


def test_the_hardest_clips_are_the_most_confident_errors_of_each_kind() -> None:
    scores = [3.0, -2.0, -1.0, 2.0, 1.0, 2.0, -3.0, 0.0]
    labels = [1, 1, 1, 0, 0, 0, 0, 1]
    table = score_table(list("abcdefgh"), scores, labels)

    accepted, rejected = hardest(table, 0.5, 2)

    assert [str(table.utterance_ids[i]) for i in accepted] == ["d", "f"]
    assert [str(table.utterance_ids[i]) for i in rejected] == ["b", "c"]


def test_without_errors_there_are_no_hard_clips() -> None:
    assert hardest(score_table(list("abc"), [1.0, 2.0, -1.0], [1, 1, 0]), 0.0, 5) == ([], [])


def test_a_small_flac_file_is_taken_byte_by_byte(tmp_path: Path, features: FeatureParams) -> None:
    audio, sha256 = write_clip(tmp_path, "clip.flac", 1.0)

    uri, note = clip_audio("clip", sha256, audio, features)

    assert uri is not None
    assert base64.b64decode(uri.partition(",")[2]) == (tmp_path / "clip.flac").read_bytes()
    assert note == ""


def test_another_format_becomes_flac(tmp_path: Path, features: FeatureParams) -> None:
    audio, sha256 = write_clip(tmp_path, "clip.wav", 1.5, rate=8000, subtype="FLOAT")

    uri, _ = clip_audio("clip", sha256, audio, features)

    assert uri is not None
    samples, rate = decoded(uri)
    assert rate == features.sample_rate
    assert len(samples) / rate == pytest.approx(1.5, abs=0.01)


def test_a_long_clip_is_cut_to_its_start(tmp_path: Path, features: FeatureParams) -> None:
    audio, sha256 = write_clip(tmp_path, "clip.flac", 30.0)
    assert (tmp_path / "clip.flac").stat().st_size > LARGEST_FILE

    uri, _ = clip_audio("clip", sha256, audio, features)

    assert uri is not None
    samples, rate = decoded(uri)
    assert len(samples) == round(EXCERPT_S * rate)
    assert len(uri) < 600_000


def test_audio_that_is_gone_or_has_changed_leaves_a_reason(tmp_path: Path, features: FeatureParams) -> None:
    audio, sha256 = write_clip(tmp_path, "clip.flac", 0.5)

    def reason(name: str, checksum: str, place: ClipAudio | None) -> str:
        uri, note = clip_audio(name, checksum, place, features)
        assert uri is None
        return note

    assert "corpus was not available" in reason("clip", sha256, None)
    assert "corpus was not available" in reason("another", sha256, audio)
    assert "has changed since it was scored" in reason("clip", "0" * 64, audio)
    (tmp_path / "clip.flac").unlink()
    assert "file was not available" in reason("clip", sha256, audio)


def test_paths_of_a_manifest_are_found_by_utterance() -> None:
    manifest = pa.table({"utterance_id": ["a", "b"], "path": ["x/a.flac", "x/b.flac"], "label": [1, 0]})
    paths = ManifestPaths(manifest)
    assert (paths["b"], "c" in paths, dict(paths)) == ("x/b.flac", False, {"a": "x/a.flac", "b": "x/b.flac"})
