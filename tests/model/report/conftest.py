"""An evaluated model with errors to show, its corpus, and hostile names that the page must not take for markup."""

import hashlib
from typing import Any

import pytest
import soundfile

import tests.support.tone_store as tones
from model.bundle import load_bundle
from model.evaluation.data_validation import validate
from model.evaluation.evaluate import evaluate
from model.evaluation.validation_files import write_report
from model.report.clips import ClipAudio
from model.report.page import Sources
from tests.support.report_material import Material
from tests.support.trained_model import Trained

HOSTILE_ATTACK = "<img/src=x:/onerror=alert(1)>"
HOSTILE_SPEAKER = '"><script>alert(2)</script>'
FALSE_ACCEPT, FALSE_REJECT = "LA_E_0000003", "LA_E_0000004"


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory, trained: Trained) -> Material:
    folder = tmp_path_factory.mktemp("material")
    paths = {}

    def change(row: dict[str, Any]) -> dict[str, Any]:
        name = row["utterance_id"]
        if row["split"] != "eval":
            return row
        file = folder / "corpus" / f"{name}.flac"
        file.parent.mkdir(exist_ok=True)
        soundfile.write(file, tones.tone(name, tones.sounds_bona_fide(name)), 16000, "PCM_16")
        paths[name] = file.name
        row = {**row, "sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "speaker_id": HOSTILE_SPEAKER}
        if row["attack_id"] == "A02":
            row["attack_id"] = HOSTILE_ATTACK
        # Two clips whose label is not what they sound like: the errors that the page shows.
        if name == FALSE_ACCEPT:
            row |= {"label": 0, "attack_id": HOSTILE_ATTACK}
        if name == FALSE_REJECT:
            row |= {"label": 1, "attack_id": None}
        return row

    store = tones.write_tone_store(folder / "store", tones.tone_manifest(change=change), trained.params)
    bundle = load_bundle(trained.model)
    evaluate(store, bundle, trained.params.evaluate, folder / "evaluation")
    write_report(folder / "data", validate(store.index, store.rejects()), store.index)
    sources = Sources(
        evaluation=folder / "evaluation",
        training=trained.report,
        validation=folder / "data",
        model=trained.model,
        audio=ClipAudio(folder / "corpus", paths),
        project=folder,
    )
    return Material(store, bundle, trained.params, sources)


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory, material: Material) -> str:
    return material.page(tmp_path_factory.mktemp("page"))
