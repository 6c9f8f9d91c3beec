"""params.yaml as typed, frozen models.

Validated once, at the edge; every function below takes the smallest piece that it needs. An unknown key, a wrong type
or a value out of range is a `ParamsError` that names the key, the value and what is allowed.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from pipeline.augmentation.augmenter import AugmentParams
from pipeline.errors import ParamsError
from pipeline.section import Probability, Section


class DataParams(Section):
    """Which corpus.

    Attributes:
        root: Folder in the ASVspoof 2019 LA layout, or a CSV or Parquet table of another layout.
        limit: At most this many utterances per split, stratified by attack; None for all.
    """

    root: str = Field(min_length=1)
    limit: Annotated[int, Field(ge=1)] | None = None


class FeatureParams(Section):
    """The front end: how a waveform becomes a log-Mel spectrogram, and which clips are refused.

    Attributes:
        sample_rate: Hz.
        n_fft: FFT length in samples, at least `win_length`.
        win_length: Window length in samples.
        hop_length: Samples from frame to frame.
        n_mels: Mel bands.
        f_min: Lower edge of the lowest band in Hz.
        f_max: Upper edge of the highest band in Hz, at most half the sample rate.
        floor_db: Absolute floor of the values in dB.
        min_duration_s: Shorter clips are rejected, in seconds.
        silence_db: Clips whose peak stays below this level are rejected, in dB relative to full scale.
        max_reject_fraction: The stage fails above this share of rejects, in [0, 1].
    """

    sample_rate: int = Field(ge=4000, le=192000)
    n_fft: int = Field(ge=32, le=16384)
    win_length: int = Field(ge=16, le=16384)
    hop_length: int = Field(ge=1, le=16384)
    n_mels: int = Field(ge=1, le=512)
    f_min: float = Field(ge=0.0)
    f_max: float = Field(gt=0.0)
    floor_db: float = Field(ge=-200.0, le=0.0)
    min_duration_s: float = Field(ge=0.0)
    silence_db: float = Field(ge=-200.0, le=0.0)
    max_reject_fraction: Probability

    @model_validator(mode="after")
    def _consistent(self) -> "FeatureParams":
        if self.win_length > self.n_fft:
            raise ValueError(f"win_length {self.win_length} must not exceed n_fft {self.n_fft}")
        if self.hop_length > self.win_length:
            raise ValueError(f"hop_length {self.hop_length} must not exceed win_length {self.win_length}")
        if self.f_max > self.sample_rate / 2:
            raise ValueError(f"f_max {self.f_max} must not exceed half the sample rate, {self.sample_rate / 2}")
        if self.f_min >= self.f_max:
            raise ValueError(f"f_min {self.f_min} must be below f_max {self.f_max}")
        return self


class StoreParams(Section):
    """How the feature store is cut into shards.

    Attributes:
        shards: Per split; "auto" for the power of two, at least 8, that comes nearest to `target_shard_mib`.
        target_shard_mib: Expected size of a shard in MiB.
    """

    shards: Literal["auto"] | Annotated[int, Field(ge=1, le=99999)]
    target_shard_mib: float = Field(gt=0.0)


class Params(Section):
    """What the pipeline reads of params.yaml; the sections of the stages after it are not looked at (`model.params` does).

    Attributes:
        train: The section as it stands in the file.
        evaluate: Likewise.
    """

    data: DataParams
    features: FeatureParams
    augment: AugmentParams
    store: StoreParams
    train: Any = None
    evaluate: Any = None


AnyParams = TypeVar("AnyParams", bound=Params)


def load_params(path: Path) -> Params:
    """Reads a parameter file and checks the pipeline's sections; raises what `read_params` does."""
    return read_params(path, Params)


def read_params(path: Path, model: type[AnyParams]) -> AnyParams:
    """Reads and checks a parameter file.

    Args:
        path: Of the file.
        model: `Params`, or a model with more of its sections.

    Raises:
        ParamsError: The file is missing or not YAML, or a key is unknown, missing, of a wrong type or out of range;
            every such key is listed.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise ParamsError(
            f"{path}: no such parameter file; run in the project's folder or name one with --params"
        ) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParamsError(f"{path}: cannot be read as YAML: {error}") from error
    return parse_params(content, str(path), model)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's numbers: PyYAML reads `1e-05`, which is how `dvc exp run -S` writes small rates, as text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)


def parse_params(content: Any, where: str, model: type[AnyParams]) -> AnyParams:
    """Checks the parsed content of a parameter file; `where` names it in errors.

    Raises:
        ParamsError: As for `read_params`.
    """
    if not isinstance(content, dict):
        raise ParamsError(
            f"{where}: expected sections such as data, features and train, found {type(content).__name__}"
        )
    try:
        # Strict models take tuples only from JSON-like input, where a YAML list is one.
        return model.model_validate(_as_tuples(content))
    except ValidationError as error:
        raise ParamsError(_explain(error, where, model)) from None


def _as_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_tuples(item) for key, item in value.items()}
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list) else value


def _explain(error: ValidationError, where: str, model: type[Params]) -> str:
    lines: dict[str, str] = {}
    for item in error.errors():
        # Members of a union add their own type to the location: not part of the key that the user wrote.
        parts = [str(part) for part in item["loc"] if not _is_union_tag(str(part))]
        key = ".".join(parts)
        if item["type"] == "extra_forbidden":
            known = ", ".join(_known_keys(model, parts[:-1]))
            text = f"unknown key; known here: {known}"
        elif item["type"] == "missing":
            text = "is missing"
        else:
            text = f"{_shown(item['input'])}: {item['msg'].removeprefix('Value error, ')}"
        lines[key] = f"{lines[key]}; or {item['msg']}" if key in lines else text
    listed = "\n".join(f"  {key or '(top level)'}: {text}" for key, text in lines.items())
    return f"{where}: {len(lines)} parameter{'s' if len(lines) != 1 else ''} not allowed\n{listed}"


def _is_union_tag(part: str) -> bool:
    return part.startswith(("literal[", "constrained-", "tuple[")) or part in {"int", "bool", "float", "none"}


def _shown(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def _known_keys(model: Any, parts: list[str]) -> list[str]:
    for part in parts:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
