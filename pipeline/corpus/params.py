"""What the manifest stage reads of params.yaml: the section `data`, and the longest duration of a clip."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from pipeline.parameter_file import ParameterFile, read_params
from pipeline.section import MAX_DURATION_S, Section

LayoutName = Literal[
    "auto",
    "asvspoof2019_la",
    "asvspoof2019_pa",
    "asvspoof2021_la",
    "asvspoof2021_df",
    "asvspoof5",
    "in_the_wild",
    "folders",
    "table",
]


class DataParams(Section):
    """Which corpus.

    Attributes:
        root: Folder of a corpus in one of the layouts, or a CSV or Parquet table.
        layout: The layout, a name of `pipeline.corpus.layouts`; "auto": the one that is recognised.
        bonafide_number: Which number means bona fide, where the labels of a table are numbers; None: labels are words, or the
            attacks of the rows tell.
        shared_audio: What files with equal bytes in two splits are: a warning or an error.
        limit: At most this many utterances per split, stratified by attack; None for all.
        link_targets: Folders outside `root` that symbolic links in it may lead to.
    """

    root: str = Field(min_length=1)
    layout: LayoutName = "auto"
    bonafide_number: Literal[0, 1] | None = None
    shared_audio: Literal["warn", "error"] = "warn"
    limit: Annotated[int, Field(ge=1)] | None = None
    link_targets: tuple[Annotated[str, Field(min_length=1)], ...] = ()


class ClipLimits(Section):
    """What the section `features` says of clips before they are decoded; its other keys belong to the front end.

    Attributes:
        max_duration_s: Longer clips are refused, in seconds.
    """

    model_config = ConfigDict(extra="ignore")

    max_duration_s: float = Field(default=MAX_DURATION_S, ge=1.0, le=86400.0)


class CorpusParams(ParameterFile):
    """Which corpus, and the limit of its clips."""

    data: DataParams
    features: ClipLimits = ClipLimits()


def load_corpus_params(path: Path) -> CorpusParams:
    """Reads a parameter file and checks these keys; raises what `read_params` does."""
    return read_params(path, CorpusParams)
