"""The sections `crossval`, `train` and `evaluate` of params.yaml, typed and frozen."""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from model.artifacts import MAIN_NETWORK
from pipeline.corpus.params import DataParams, LayoutName
from pipeline.corpus.schema import SPLITS, Split
from pipeline.errors import ParamsError
from pipeline.parameter_file import ParameterFile, parse_params, read_params
from pipeline.section import Probability, Section, Seed, ordered

# The names of the registries `NETWORKS` and `POOLINGS` of `model.networks` and `LOSSES` of `model.training.losses`. They are
# here because checking params.yaml must not load TensorFlow.
NetworkName = Literal["cnn", "lcnn", "resnet"]
PoolingName = Literal["average", "statistics", "attention"]
LossName = Literal["binary_crossentropy", "focal", "one_class_softmax"]

# Of a detector that is loaded without a parameter file.
DEFAULT_PRIOR: Final = 0.5
DEFAULT_ABSTAIN_ERROR_RATE: Final = 0.05

Cosine = Annotated[float, Field(ge=-1.0, le=1.0)]


class TrainParams(Section):
    """The network and its training.

    Attributes:
        network: The entry of `model.networks.NETWORKS`.
        channels: Feature maps of each block of the network.
        pooling: How its last feature maps become a vector: the entry of `model.networks.head.POOLINGS`.
        dropout: Rate of the dropout at the pooling.
        l2: Penalty on the kernels, times the sum of their squares; 0 for none.
        loss: The entry of `model.training.losses.LOSSES`.
        label_smoothing: Share of each label that goes to the two classes in equal parts, in [0, 1).
        focal_gamma: Exponent of the loss `focal`; 0 makes it the binary cross-entropy.
        one_class_alpha: Scale of the loss `one_class_softmax`.
        one_class_margins: Its margins: the cosines below which spoof and above which bona fide have a low loss.
        steps: Batches of the whole training, a multiple of `steps_per_epoch`.
        steps_per_epoch: Batches after which dev is scored and a checkpoint is written.
        learning_rate: The highest of the schedule.
        schedule: "cosine" lets the learning rate fall to a hundredth at the last step, "constant" keeps it.
        warmup: Share of the steps in which the learning rate rises to its highest.
        clip_norm: Largest norm of the gradient of all weights together; 0 for any.
        weight_average: Decay of the moving average of the weights over the second half of the steps; 0 for none.
        keep: The weights at the "last" step, or those of the epoch with the "best" EER on dev.
        patience: Epochs without a better EER on dev before training ends early, with `keep` "best"; None for never.
        crop_s: Seconds of each clip seen per step; shorter clips are repeated to that length.
        class_balance: "sample" draws both classes equally often, "weight" weights the loss, "none" does neither. The last two
            leave the copy-synthesis twins out.
        twin_share: Share of the spoof crops of `class_balance` "sample" that are copy-synthesis twins.
        gain_db: Standard deviation of the random gain of each crop, in dB; 0 for none.
        freq_mask: Widest SpecAugment frequency mask in bins, 0 for none.
        time_mask: Widest SpecAugment time mask in frames, 0 for none.
        mixed_precision: float16 computation: "auto" where a GPU has it, or forced on or off.
        devices: GPUs to use; "auto" for all.
        jit_compile: Compile the step by XLA, which has no deterministic kernels.
        steps_per_execution: Steps that Keras runs without a return to Python; divides `steps_per_epoch`. The weights are
            averaged once per execution.
        deterministic: Two runs on one machine give bit-identical files; costs speed on GPUs.
    """

    network: NetworkName
    channels: Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=8)]
    pooling: PoolingName
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)]
    l2: float = Field(ge=0.0, le=1000.0)
    loss: LossName
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)]
    focal_gamma: float = Field(ge=0.0, le=100.0)
    one_class_alpha: float = Field(gt=0.0, le=10000.0)
    one_class_margins: Annotated[tuple[Cosine, Cosine], AfterValidator(ordered)]
    seed: Seed
    steps: int = Field(ge=1, le=10**9)
    steps_per_epoch: int = Field(ge=1, le=10**9)
    batch_size: int = Field(ge=1, le=65536)
    learning_rate: float = Field(gt=0.0, le=1.0)
    schedule: Literal["cosine", "constant"]
    warmup: float = Field(ge=0.0, lt=1.0)
    clip_norm: float = Field(ge=0.0, le=1e6)
    weight_average: float = Field(ge=0.0, lt=1.0)
    keep: Literal["last", "best"]
    patience: Annotated[int, Field(ge=1, le=10**9)] | None
    crop_s: float = Field(gt=0.0, le=600.0)
    class_balance: Literal["sample", "weight", "none"]
    twin_share: Probability
    gain_db: float = Field(ge=0.0, le=60.0)
    freq_mask: int = Field(ge=0, le=65536)
    time_mask: int = Field(ge=0, le=10**6)
    mixed_precision: Literal["auto"] | bool
    devices: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)]
    jit_compile: bool
    steps_per_execution: int = Field(ge=1, le=10**9)
    deterministic: bool

    @property
    def cosine_logit(self) -> bool:
        """Whether the loss needs the cosine of an angle from the network, in place of an unbounded logit."""
        return self.loss == "one_class_softmax"

    @model_validator(mode="after")
    def _consistent(self) -> "TrainParams":
        if self.jit_compile and self.deterministic:
            # Keras would leave the step uncompiled.
            raise ValueError("jit_compile true needs deterministic false: XLA has no deterministic kernels")
        if self.steps % self.steps_per_epoch:
            raise ValueError(f"steps {self.steps} must be a multiple of steps_per_epoch {self.steps_per_epoch}")
        if self.steps_per_epoch % self.steps_per_execution:
            raise ValueError(
                f"steps_per_epoch {self.steps_per_epoch} must be a multiple of steps_per_execution "
                f"{self.steps_per_execution}"
            )
        if self.patience is not None and self.keep == "last":
            raise ValueError("patience needs keep best: a training that ends early has not reached its last step")
        return self


class AsvScoresParams(Section):
    """Score files of a speaker verification system on the same corpus, for the t-DCF; None where there is none."""

    dev: str | None
    eval: str | None


def _no_split(name: str) -> str:
    if name in SPLITS or name.startswith("eval_"):
        raise ValueError(f"{name} is a name of the corpus of data.root: choose another one")
    return name


CorpusName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=24), AfterValidator(_no_split)]


class FurtherCorpusParams(Section):
    """A further test set: a split of another corpus, which the model is tested on and nothing is fitted on.

    Attributes:
        root: The corpus, as `data.root`.
        layout: Its layout, as `data.layout`; "auto" finds out.
        split: The split to score.
        same_attack_ids: Whether its attack ids mean the attacks of `data.root`. Otherwise A01 here may be another attack than
            A01 there, and nothing is said of attacks of train.
    """

    root: str = Field(min_length=1)
    layout: LayoutName
    split: Split
    same_attack_ids: bool = False


class EvaluateParams(Section):
    """The evaluation.

    Attributes:
        batch_size: Clips scored at once.
        intervals: Bootstrap resamples for 95 % confidence intervals; 0 for none.
        interval_clusters: What the bootstrap resamples: single clips ("none"), speakers or attacks; "auto" for attacks where the
            clips name at least five, else single clips.
        prior: Probability of bona fide that turns log-likelihood ratios into probabilities, in (0, 1).
        asv_scores: Score files of a speaker verification system, per split.
        abstain_error_rate: Share of each class of dev that is called the other one outside the uncertain band, in [0, 1].
        attack_aliases: Other ids of the same attacks, such as `{A16: A04}`: what counts as an attack of train.
        breakdowns: Fields of the protocol, such as codec, whose values error rates are broken down by, beside attack, duration
            and speaker; None for every field of at most 64 values.
        corpora: Further test sets by name.
        robustness_clips: Clips of eval that are scored again under every condition of the robustness table; 0 for no table.
    """

    batch_size: int = Field(ge=1, le=65536)
    intervals: int = Field(ge=0, le=10**6)
    interval_clusters: Literal["auto", "none", "speaker", "attack"]
    prior: Annotated[float, Field(gt=0.0, lt=1.0)]
    abstain_error_rate: Probability
    attack_aliases: dict[str, str]
    breakdowns: tuple[str, ...] | None
    corpora: dict[CorpusName, FurtherCorpusParams]
    robustness_clips: Literal[0] | Annotated[int, Field(ge=10, le=10**7)]
    asv_scores: AsvScoresParams


class CrossvalParams(Section):
    """Leave-attacks-out within train.

    Attributes:
        folds: Groups of attacks, each left out of one training; 1 for one training without half of the attacks; 0 for no
            leave-attacks-out.
        leave_out: The attacks of each fold; None deals the attacks of train into the folds by the seed.
        seed: Of that dealing.
    """

    folds: int = Field(ge=0, le=100)
    leave_out: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] | None
    seed: Seed

    @model_validator(mode="after")
    def _consistent(self) -> "CrossvalParams":
        if self.folds and self.leave_out is not None and len(self.leave_out) != self.folds:
            raise ValueError(f"leave_out lists {len(self.leave_out)} folds, but folds is {self.folds}")
        return self


class Params(ParameterFile):
    """Corpus, training and evaluation; what made the features is in the store."""

    data: DataParams
    crossval: CrossvalParams
    train: TrainParams
    evaluate: EvaluateParams


def load_params(path: Path, member: str | None = None) -> Params:
    """Reads a parameter file, maybe with the changes of a member, and checks these sections; raises what `read_params` does."""
    return read_params(path, Params, member)


class FusionParams(ParameterFile):
    """Which networks are fused with that of `train`."""

    members: dict[CorpusName, Any] = Field(default_factory=dict)
    fusions: dict[CorpusName, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known(self) -> "FusionParams":
        if MAIN_NETWORK in self.members:
            raise ValueError(f"members.{MAIN_NETWORK}: the network of train has this name: choose another one")
        for name, members in self.fusions.items():
            if unknown := [member for member in members if member not in self.members]:
                raise ValueError(f"fusions.{name}: members has no entry {', '.join(unknown)}")
            if len(set(members)) < len(members):
                raise ValueError(f"fusions.{name}: a member is named twice")
        return self


def checked_fusions(params: ParameterFile) -> FusionParams:
    """The sections `members` and `fusions` of parameters that were read without checking them; raises `ParamsError`."""
    content = {"members": params.members or {}, "fusions": params.fusions or {}}
    return parse_params(content, "members and fusions", FusionParams)


def load_fusion(path: Path, name: str) -> tuple[str, ...]:
    """The members of an entry of `fusions` in a parameter file.

    Raises:
        ParamsError: There is no such entry, or as for `read_params`.
    """
    fusions = read_params(path, FusionParams).fusions
    if name not in fusions:
        raise ParamsError(f"{path}: fusions has no entry {name}; there is {', '.join(fusions) or 'none'}")
    return fusions[name]
