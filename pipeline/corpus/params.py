"""The section `data` of params.yaml."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from pipeline.parameter_file import ParameterFile, read_params
from pipeline.section import Section


class DataParams(Section):
    """Which corpus.

    Attributes:
        root: Folder in the ASVspoof 2019 LA layout, or a CSV or Parquet table of another layout.
        limit: At most this many utterances per split, stratified by attack; None for all.
    """

    root: str = Field(min_length=1)
    limit: Annotated[int, Field(ge=1)] | None = None


class _Corpus(ParameterFile):
    data: DataParams


def load_data_params(path: Path) -> DataParams:
    """Reads a parameter file and checks this section; raises what `read_params` does."""
    return read_params(path, _Corpus).data
