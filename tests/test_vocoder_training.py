"""The training of the neural vocoder: it writes weights with which the pipeline computes what Keras computes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.augmentation.copy_synthesis.neural_vocoder import Network
from tests.support.speech import RATE, speechlike

REPOSITORY = Path(__file__).parents[1]
VOCODER = REPOSITORY / "tools" / "vocoder"


@pytest.fixture
def vocoder(monkeypatch: pytest.MonkeyPatch):
    """The modules of the training, which are a script's and no package."""
    monkeypatch.syspath_prepend(str(VOCODER))
    import networks

    yield networks
    sys.modules.pop("networks")


def test_the_pipeline_computes_what_keras_computes(vocoder, tmp_path: Path) -> None:
    sizes = vocoder.Sizes(channels=16, hidden=24, blocks=2)
    network = vocoder.generator(sizes)
    for number, variable in enumerate(network.trainable_variables):
        values = np.random.default_rng(number).standard_normal(variable.shape) * 0.3
        variable.assign(values.astype(np.float16))
    statistics = {"mean": np.full(80, -4.0), "deviation": np.full(80, 2.0)}
    file = tmp_path / "weights.npz"
    vocoder.save(file, network, {"filterbank": sizes.filterbank(), **statistics}, {})
    read = Network.of(file)

    clip = speechlike(RATE)[np.newaxis]
    mels = vocoder.log_mel(clip, sizes, read.weights["filterbank"])
    outputs = network((mels - read.weights["mean"]) / read.weights["deviation"])
    logs, turns = np.split(outputs.numpy()[0], 2, axis=-1)
    wanted = np.exp(np.minimum(logs, 5.0)) * np.exp(2j * np.pi * turns)
    found = read.spectra(mels.numpy()[0])
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
    # The waveform of Keras has the same frames without the half window before the first.
    made = vocoder.waveform(outputs, sizes).numpy()[0]
    assert made.shape == (sizes.n_fft + sizes.hop_length * (len(found) - 1),)


@pytest.mark.slow
def test_a_short_training_on_the_sample_corpus_gives_weights_that_can_be_used(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    manifest, output = tmp_path / "manifest.parquet", tmp_path / "vocoder.npz"
    for command in (
        ["-m", "bonafide", "manifest", "--output", str(manifest)],
        [str(VOCODER / "train.py"), "--manifest", str(manifest), "--output", str(output), "--steps", "6"],
    ):
        words = [sys.executable, *command]
        done = subprocess.run(words, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "bona fide train clips" in done.stderr
    with np.load(output) as arrays:
        made = json.loads(str(arrays["description"]))
    assert (made["steps"], made["seed"], made["sample_rate"]) == (6, 1, RATE)
    network = Network.of(output)
    spectra = network.spectra(network.log_mel(np.ones((3, network.n_bins))))
    assert spectra.shape == (3, 257)
    assert np.isfinite(spectra).all()
