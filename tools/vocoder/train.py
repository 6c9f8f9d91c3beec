#!/usr/bin/env python3
"""Train the small neural vocoder of the copy-synthesis kind `neural_vocoder` on the bona fide train clips of a corpus.

    bonafide manifest --output data/manifest.parquet
    python tools/vocoder/train.py --output vocoder.npz

The artefacts of a phase that a network predicts are the aim, not sound quality. An hour on one core is enough to teach them.
Dev and eval are never read. The file holds the weights in float16 and what made them.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from networks import RESOLUTIONS, Discriminators, Sizes, generator, log_mel, magnitudes, save, waveform
from rich.console import Console
from rich.progress import track

from model.params import load_params
from pipeline.audio.decode import decode
from pipeline.corpus.audio_files import audio_root
from pipeline.corpus.manifest import read_manifest
from pipeline.errors import AudioError
from pipeline.frontends import parse_features

BATCH_SIZE = 8
N_FRAMES = 61
RMS = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--params", type=Path, default=Path("params.yaml"), help="names the corpus (default: %(default)s)"
    )
    parser.add_argument("--manifest", type=Path, default=Path("data/manifest.parquet"), help="default: %(default)s")
    parser.add_argument("--output", type=Path, required=True, help="the file of weights, .npz")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument(
        "--adversarial-from", type=float, default=0.4, help="share of the steps before the discriminators join"
    )
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    console = Console(stderr=True)
    keras.utils.set_random_seed(arguments.seed)
    sizes = Sizes()
    clips = load_clips(arguments.params, arguments.manifest, sizes)
    console.print(f"{len(clips):,} bona fide train clips, {sum(map(len, clips)) / sizes.sample_rate / 60:.0f} minutes")
    trainer = Trainer(sizes, clips, arguments.steps)
    first_adversarial = round(arguments.steps * arguments.adversarial_from)
    began, losses = time.process_time(), []
    for number, batch in enumerate(batches(clips, sizes, arguments.steps, arguments.seed)):
        step = trainer.plain_step if number < first_adversarial else trainer.adversarial_step
        losses.append([float(value) for value in step(tf.constant(batch))])
        if (number + 1) % 100 == 0:
            means = "  ".join(f"{value:.3f}" for value in np.mean(losses[-100:], axis=0))
            console.print(f"step {number + 1}: {means}  ({time.process_time() - began:.0f} CPU s)")
        if (number + 1) % 1000 == 0 or number + 1 == arguments.steps:
            made = {**asdict(sizes), "steps": number + 1, "seed": arguments.seed, "clips": len(clips)}
            save(arguments.output, trainer.generator, trainer.of_bands, made)
            digest = hashlib.sha256(arguments.output.read_bytes()).hexdigest()
            console.print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.2f} MB, sha256 {digest}")


def load_clips(params: Path, manifest: Path, sizes: Sizes) -> list[np.ndarray]:
    """The bona fide train clips that are long enough, float32 [samples] at one level."""
    table = read_manifest(manifest, ["split", "label", "path"])
    least = (N_FRAMES - 1) * sizes.hop_length + sizes.n_fft
    stated = load_params(params)
    features = parse_features(stated.features, str(params))
    if features.sample_rate != sizes.sample_rate:
        raise SystemExit(
            f"the vocoder is for {sizes.sample_rate} Hz, and features.sample_rate is {features.sample_rate}"
        )
    root = audio_root(Path(stated.data.root))
    rows = [row for row in table.to_pylist() if row["split"] == "train" and row["label"] == 1]
    console, clips = Console(stderr=True), []
    for row in track(rows, "decode", console=console):
        try:
            clips.append(decode(root / row["path"], features).waveform)
        except AudioError as error:
            console.print(f"{row['path']}: left out: {error}", soft_wrap=True)
    return [clip * (RMS / clip.std()) for clip in clips if len(clip) >= least]


def batches(clips: list[np.ndarray], sizes: Sizes, steps: int, seed: int) -> Iterator[np.ndarray]:
    """Random parts, float32 [BATCH_SIZE, samples]; a clip is drawn as often as its length asks."""
    chosen = np.random.default_rng(seed)
    length = (N_FRAMES - 1) * sizes.hop_length + sizes.n_fft
    weights = np.array([len(clip) - length + 1 for clip in clips], float)
    for _ in range(steps):
        drawn = chosen.choice(len(clips), BATCH_SIZE, p=weights / weights.sum())
        starts = [chosen.integers(0, len(clips[i]) - length + 1) for i in drawn]
        yield np.stack([clips[i][start : start + length] for i, start in zip(drawn, starts, strict=True)])


class Trainer:
    """The steps of the training."""

    def __init__(self, sizes: Sizes, clips: list[np.ndarray], steps: int) -> None:
        self._sizes = sizes
        self._margin = sizes.n_fft
        self._filterbank = sizes.filterbank()
        self._mean, self._deviation = self._statistics(clips)
        self.generator = generator(sizes)
        n_samples = (N_FRAMES - 1) * sizes.hop_length + sizes.n_fft - 2 * self._margin
        self._discriminators = Discriminators(n_samples)
        rate = keras.optimizers.schedules.CosineDecay(2e-3, steps, alpha=0.05)
        self._generator_optimizer = keras.optimizers.AdamW(rate, 0.01, beta_1=0.8, beta_2=0.99, global_clipnorm=5.0)
        self._discriminator_optimizer = keras.optimizers.AdamW(5e-4, 0.01, beta_1=0.8, beta_2=0.99, global_clipnorm=5.0)
        self._generator_optimizer.build(self.generator.trainable_variables)
        self._discriminator_optimizer.build(self._discriminators.variables)

    @property
    def of_bands(self) -> dict[str, np.ndarray]:
        """What a log-Mel is made and normalised with."""
        return {"filterbank": self._filterbank, "mean": self._mean, "deviation": self._deviation}

    def _statistics(self, clips: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        some = [
            log_mel(clip[np.newaxis], self._sizes, self._filterbank)[0] for clip in clips[:: max(1, len(clips) // 200)]
        ]
        frames = np.concatenate(some)
        return frames.mean(0), frames.std(0) + 1e-3

    def _resynthesis(self, clips: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Resynthesised and original waveforms, without the ends that too few frames overlap."""
        mels = (log_mel(clips, self._sizes, self._filterbank) - self._mean) / self._deviation
        made = waveform(self.generator(mels, training=True), self._sizes)
        inner = slice(self._margin, -self._margin)
        return made[:, inner], clips[:, inner]

    def _reconstruction(self, made: tf.Tensor, clips: tf.Tensor) -> tf.Tensor:
        """Distance of log-Mel and of magnitudes at several resolutions (R. Yamamoto et al., "Parallel WaveGAN", ICASSP 2020)."""
        bands = [log_mel(waveforms, self._sizes, self._filterbank) for waveforms in (made, clips)]
        loss = tf.reduce_mean(tf.abs(bands[0] - bands[1]))
        for n_fft in RESOLUTIONS:
            found, wanted = magnitudes(made, n_fft), magnitudes(clips, n_fft)
            loss += tf.reduce_mean(tf.abs(tf.math.log(found) - tf.math.log(wanted)))
            loss += tf.norm(found - wanted) / tf.norm(wanted)
        return loss

    @tf.function
    def plain_step(self, clips: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """A step without discriminators; gives the loss."""
        with tf.GradientTape() as tape:
            loss = self._reconstruction(*self._resynthesis(clips))
        self._train(self._generator_optimizer, tape, loss, self.generator.trainable_variables)
        return loss, tf.zeros(()), tf.zeros(())

    @tf.function
    def adversarial_step(self, clips: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """A step of both sides with least squares (HiFi-GAN); gives the losses of reconstruction, deceit and discrimination."""
        with tf.GradientTape() as of_generator:
            made, clips = self._resynthesis(clips)
            reconstruction = self._reconstruction(made, clips)
            with tf.GradientTape() as of_discriminators:
                of_made, of_clips = self._discriminators(tf.stop_gradient(made)), self._discriminators(clips)
                discrimination = tf.add_n(
                    [
                        tf.reduce_mean((real[-1] - 1.0) ** 2) + tf.reduce_mean(fake[-1] ** 2)
                        for real, fake in zip(of_clips, of_made, strict=True)
                    ]
                )
            self._train(
                self._discriminator_optimizer, of_discriminators, discrimination, self._discriminators.variables
            )
            seen = self._discriminators(made)
            deceit, features = tf.zeros(()), tf.zeros(())
            for fake, real in zip(seen, of_clips, strict=True):
                deceit += tf.reduce_mean((fake[-1] - 1.0) ** 2)
                for of_fake, of_real in zip(fake[:-1], real[:-1], strict=True):
                    features += tf.reduce_mean(tf.abs(of_fake - tf.stop_gradient(of_real)))
            loss = 4.0 * reconstruction + deceit + 2.0 * features
        self._train(self._generator_optimizer, of_generator, loss, self.generator.trainable_variables)
        return reconstruction, deceit, discrimination

    @staticmethod
    def _train(
        optimizer: keras.Optimizer, tape: tf.GradientTape, loss: tf.Tensor, variables: list[keras.Variable]
    ) -> None:
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))


if __name__ == "__main__":
    main()
