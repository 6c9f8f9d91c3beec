"""The sample corpus: exact layout, small, documented clip by clip, and without a shortcut from cutting, band or level."""

import csv
import hashlib
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

REPOSITORY = Path(__file__).parents[1]
ROOT = REPOSITORY / "data" / "sample" / "LA"
SPLITS = {"train": ("T", "train.trn"), "dev": ("D", "dev.trl"), "eval": ("E", "eval.trl")}
sys.path.insert(0, str(REPOSITORY / "tools" / "sample_corpus"))

import probes  # noqa: E402


def protocol(split):
    path = ROOT / "ASVspoof2019_LA_cm_protocols" / f"ASVspoof2019.LA.cm.{SPLITS[split][1]}.txt"
    return [line.split(" ") for line in path.read_text(encoding="utf-8").splitlines()]


def audio(split):
    return sorted((ROOT / f"ASVspoof2019_LA_{split}" / "flac").iterdir())


@pytest.fixture(scope="module")
def provenance():
    with (ROOT / "provenance.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("split", SPLITS)
def test_protocol_and_audio_follow_the_official_layout(split):
    rows = protocol(split)
    for speaker, utterance_id, unused, attack, label in rows:
        assert speaker.startswith("LA_")
        assert len(speaker) == 7
        assert utterance_id.startswith(f"LA_{SPLITS[split][0]}_")
        assert len(utterance_id) == 12
        assert unused == "-"
        assert (label == "bonafide") == (attack == "-")
        assert label in {"bonafide", "spoof"}
    assert [path.name for path in audio(split)] == sorted(f"{row[1]}.flac" for row in rows)


def test_corpus_is_small_but_large_enough_to_learn_from():
    assert {split: len(audio(split)) for split in SPLITS} == {"train": 300, "dev": 120, "eval": 180}
    assert sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file()) <= 20e6


@pytest.mark.parametrize("split", SPLITS)
def test_clips_are_16_khz_mono_of_one_to_five_seconds(split):
    for path in audio(split):
        info = soundfile.info(path)
        assert (info.format, info.samplerate, info.channels, info.subtype) == ("FLAC", 16000, 1, "PCM_16"), path.name
        assert 1.0 <= info.duration <= 5.0, path.name


def test_splits_share_no_speaker_no_id_and_no_source_recording(provenance):
    speakers = {split: {row[0] for row in protocol(split)} for split in SPLITS}
    sources = {split: set() for split in SPLITS}
    for row in provenance:
        speakers[row["split"]] |= {row["source_speaker"], row["target_speaker"]} - {""}
        sources[row["split"]] |= {f"{row['source_package']}/{file}" for file in row["source_file"].split(";") if file}
    for table in (speakers, sources):
        assert not table["train"] & table["dev"]
        assert not table["train"] & table["eval"]
        assert not table["dev"] & table["eval"]
    assert len({row[1] for split in SPLITS for row in protocol(split)}) == len(provenance)


def test_spoofed_clips_start_from_recordings_that_no_bona_fide_clip_shows(provenance):
    files = {"bonafide": set(), "spoof": set()}
    for row in provenance:
        files[row["label"]] |= set(row["source_file"].split(";")) - {""}
    assert files["bonafide"]
    assert files["spoof"]
    assert not files["bonafide"] & files["spoof"]


def test_each_split_has_both_classes_and_eight_speakers_are_bona_fide():
    bonafide = set()
    for split in SPLITS:
        labels = Counter(row[4] for row in protocol(split))
        assert 0.35 <= labels["bonafide"] / labels.total() <= 0.55, split
        bonafide |= {row[0] for row in protocol(split) if row[4] == "bonafide"}
    assert len(bonafide) >= 8


def test_a_voice_of_a_game_is_of_one_language(provenance):
    for row in provenance:
        if row["source_package"].startswith("fillets-ng-data-"):
            language = row["source_package"].rsplit("-", 1)[1]
            assert all(Path(file).parent.name == language for file in row["source_file"].split(";")), row["id"]


def test_eval_has_attacks_of_its_own_and_two_of_train_under_other_ids(provenance):
    attacks = {split: {row[3] for row in protocol(split)} - {"-"} for split in SPLITS}
    assert attacks["train"] == attacks["dev"] == {f"A{number:02d}" for number in range(1, 7)}
    assert attacks["eval"] == {f"A{number:02d}" for number in range(7, 20)}
    systems = {
        attack: {row["system"] for row in provenance if row["attack"] == attack}
        for attack in attacks["train"] | attacks["eval"]
    }
    for seen, attack in (("A04", "A16"), ("A06", "A19")):
        assert {name.split()[0] for name in systems[seen]} == {name.split()[0] for name in systems[attack]}
    known = {name for attack in attacks["train"] for name in systems[attack]}
    unknown = {name for attack in attacks["eval"] - {"A19"} for name in systems[attack]}
    assert not known & unknown


def test_every_clip_has_its_provenance_licence_and_checksum(provenance):
    rows = {row["id"]: row for row in provenance}
    for split in SPLITS:
        for speaker, utterance_id, _, attack, label in protocol(split):
            row = rows[utterance_id]
            assert (row["split"], row["speaker"], row["attack"], row["label"]) == (split, speaker, attack, label)
            assert row["source_package"]
            assert row["source_version"]
            assert row["licence"]
            assert row["source_file"] or row["text"]
            path = ROOT / f"ASVspoof2019_LA_{split}" / "flac" / f"{utterance_id}.flac"
            assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
            assert float(row["seconds"]) == pytest.approx(soundfile.info(path).duration, abs=1e-3)


def test_licence_texts_and_sources_are_beside_the_audio(provenance):
    described = (ROOT / "SOURCES.md").read_text(encoding="utf-8")
    for licence in {row["licence"] for row in provenance} - {"none"}:
        assert (ROOT / "LICENSES" / f"{licence.removesuffix('+')}.txt").stat().st_size > 500, licence
    for package in {row["source_package"] for row in provenance}:
        for name in package.split(" + "):
            assert name in described


def test_duration_silence_level_and_band_do_not_tell_the_classes_apart():
    rates = probes.measure(ROOT)
    for name in probes.GUARDED:
        for kind, by_split in rates[name].items():
            for split, rate in by_split.items():
                assert rate > 0.30, f"{name}, {kind}, {split}: {rate:.3f}"


def test_probe_finds_a_shortcut_where_there_is_one():
    rng = np.random.default_rng(0)
    bonafide = np.repeat([True, False], 200)
    assert probes.equal_error_rate(rng.standard_normal(400), bonafide) == pytest.approx(0.5, abs=0.1)
    assert probes.equal_error_rate(rng.standard_normal(400) + 8 * bonafide, bonafide) < 0.02


def test_the_store_of_the_sample_has_the_hash_that_the_readme_states(tmp_path, run_bonafide):
    manifest, store = tmp_path / "manifest.parquet", tmp_path / "features"
    run_bonafide("manifest", "--root", ROOT, "--params", REPOSITORY / "params.yaml", "--output", manifest)
    arguments = ("--root", ROOT, "--params", REPOSITORY / "params.yaml", "--manifest", manifest, "--output", store)
    code, output = run_bonafide("features", *arguments)
    assert code == 0, output
    stated = re.search(r"sha256 of the store: ([0-9a-f]{64})", (REPOSITORY / "README.md").read_text(encoding="utf-8"))
    assert stated is not None
    assert f"sha256 of the store: {stated[1]}" in " ".join(output.split())
