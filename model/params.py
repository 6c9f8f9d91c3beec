"""The sections `train` and `evaluate` of params.yaml, typed and frozen."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.corpus.params import DataParams
from pipeline.parameter_file import ParameterFile, read_params
from pipeline.section import Probability, Section


class TrainParams(Section):
    """The network and its training.

    Attributes:
        network: An entry of `model.networks.NETWORKS`.
        loss: An entry of `model.training.losses.LOSSES`.
        crop_s: Seconds of each clip seen per step; shorter clips are repeated to that length.
        class_balance: "sample" draws both classes equally often, "weight" weights the loss, "none" does neither.
        channels: Filters of each Conv → BatchNorm → ReLU → MaxPool block.
        freq_mask: Widest SpecAugment frequency mask in bins, 0 for none.
        time_mask: Widest SpecAugment time mask in frames, 0 for none.
        mixed_precision: float16 computation: "auto" where a GPU has it, or forced on or off.
        devices: GPUs to use; "auto" for all.
        jit_compile: Compile the step by XLA, which has no deterministic kernels.
        steps_per_execution: Steps that Keras runs without a return to Python; an epoch is rounded up to a multiple.
        deterministic: Two runs on one machine give bit-identical files; costs speed on GPUs.
    """

    network: str
    loss: str
    seed: int = Field(ge=0)
    epochs: int = Field(ge=1)
    patience: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0.0, le=1.0)
    crop_s: float = Field(gt=0.0)
    class_balance: Literal["sample", "weight", "none"]
    channels: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=8)]
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    freq_mask: int = Field(ge=0)
    time_mask: int = Field(ge=0)
    mixed_precision: Literal["auto"] | bool
    devices: Literal["auto"] | Annotated[int, Field(ge=1)]
    jit_compile: bool
    steps_per_execution: int = Field(ge=1)
    deterministic: bool

    @model_validator(mode="after")
    def _consistent(self) -> "TrainParams":
        if self.jit_compile and self.deterministic:
            # Keras would leave the step uncompiled.
            raise ValueError("jit_compile true needs deterministic false: XLA has no deterministic kernels")
        return self


class AsvScoresParams(Section):
    """Score files of a speaker verification system on the same corpus, for the t-DCF; None where there is none."""

    dev: str | None
    eval: str | None


class EvaluateParams(Section):
    """The evaluation.

    Attributes:
        batch_size: Clips scored at once.
        intervals: Bootstrap resamples for 95 % confidence intervals; 0 for none.
        interval_clusters: What the bootstrap resamples: single clips, speakers or attacks.
        prior: Probability of bona fide that turns log-likelihood ratios into probabilities, in (0, 1).
        asv_scores: Score files of a speaker verification system, per split.
        abstain_error_rate: The error rate on dev that verdicts outside the uncertain band keep, in [0, 1].
        robustness_clips: Clips of eval that are scored again under every condition of the robustness table; 0 for no table.
    """

    batch_size: int = Field(ge=1)
    intervals: int = Field(ge=0)
    interval_clusters: Literal["none", "speaker", "attack"]
    prior: Annotated[float, Field(gt=0.0, lt=1.0)]
    abstain_error_rate: Probability
    robustness_clips: Literal[0] | Annotated[int, Field(ge=10)]
    asv_scores: AsvScoresParams


class Params(ParameterFile):
    """Corpus, training and evaluation; what made the features is in the store."""

    data: DataParams
    train: TrainParams
    evaluate: EvaluateParams


def load_params(path: Path) -> Params:
    """Reads a parameter file and checks these sections; raises what `read_params` does."""
    return read_params(path, Params)
