"""Options that several commands of the model share, the rates that they state, and how warnings are shown."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Final, Literal

import typer


class Clusters(str, Enum):
    """What a resample draws: single trials, whole speakers or attacks, or whole attacks where there are at least five."""

    auto = "auto"
    none = "none"
    speaker = "speaker"
    attack = "attack"

    @property
    def drawn(self) -> Literal["auto", "speaker", "attack"] | None:
        """The `cluster` of `model.metrics.bootstrap`."""
        return None if self is Clusters.none else self.value


ModelOption = Annotated[Path, typer.Option("--model", help="Folder of the trained model.")]
DetectorOption = Annotated[
    Path, typer.Option("--model", help="Folder of a trained model, or of a fusion of several (`bonafide fuse`).")
]
RatesParamsOption = Annotated[
    Path, typer.Option("--params", help="Parameter file with evaluate.prior and evaluate.abstain_error_rate.")
]
ChecksOption = Annotated[
    bool,
    typer.Option(
        "--checks/--no-checks", help="Whether clips without speech or unlike the training data are uncertain."
    ),
]
DEFAULT_PARAMS: Final = Path("params.yaml")
NOT_SCORED: Final = 1
"""Exit code when a recording could not be scored."""

ProtocolOption = Annotated[
    Path | None,
    typer.Option("--protocol", help="ASVspoof 2019 protocol; score files of four columns need none."),
]
AsvOption = Annotated[
    Path | None, typer.Option("--asv-scores", help="ASV scores of the same corpus, for the t-DCF and t-EER.")
]
SameCorpusOption = Annotated[
    bool,
    typer.Option("--same-corpus", help="State that the ASV scores are of this corpus although their counts differ."),
]
DevProtocolOption = Annotated[
    Path | None, typer.Option("--dev-protocol", help="Protocol of the dev scores; as --protocol.")
]
ClustersOption = Annotated[
    Clusters,
    typer.Option(
        "--clusters", help="What a resample draws; none: trials; auto: attacks if there are five, else trials."
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Seed of the resamples.")]


def stated_rates(params: Path, prior: float | None, abstain_error_rate: float | None) -> tuple[float, float]:
    """Prior and error rate: from the options, else from the parameter file, else the defaults outside a project."""
    from model.params import DEFAULT_ABSTAIN_ERROR_RATE, DEFAULT_PRIOR, load_params

    stated = load_params(params).evaluate if params != DEFAULT_PARAMS or params.exists() else None
    if prior is None:
        prior = stated.prior if stated else DEFAULT_PRIOR
    if abstain_error_rate is None:
        abstain_error_rate = stated.abstain_error_rate if stated else DEFAULT_ABSTAIN_ERROR_RATE
    return prior, abstain_error_rate


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Shows the project's own warnings as one line on standard error, and hides those of the libraries."""
    from model.metrics import InvertedLabelsWarning
    from pipeline.cli.console import warn

    def show(message: Warning | str, *_args: object, **_kwargs: object) -> None:
        warn(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", InvertedLabelsWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield
