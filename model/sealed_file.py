"""A description file: JSON of a fixed shape and version, with a checksum of itself and of the files that it describes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from model.errors import ModelError
from pipeline.files import sha256_of


class Part(BaseModel):
    """A part of a description: an unknown key or a value of another type is an error."""

    model_config = ConfigDict(strict=True, extra="forbid")


@dataclass(frozen=True)
class SealedFile:
    """One kind of description.

    Attributes:
        name: Of the file.
        version_key: Key of its version.
        version: That this program reads and writes.
        shape: Of its content.
        subject: What the folder holds, such as "model".
        absent: What to say where there is no such file, such as "no trained model".
        command: That makes one, such as "bonafide train".
        remedy: What to do about a damaged one.
    """

    name: str
    version_key: str
    version: int
    shape: type[BaseModel]
    subject: str
    absent: str
    command: str
    remedy: str

    def read(self, folder: Path) -> dict[str, Any]:
        """Reads the file of a folder.

        Raises:
            ModelError: There is none, it is damaged, a key is missing or unknown, a value is not allowed, or another version
                of the program made it. The message names the key.
        """
        path = folder / self.name
        try:
            info = json.loads(path.read_text(encoding="utf-8"))
            version = info[self.version_key]
        except FileNotFoundError:
            raise ModelError(f"{folder}: {self.absent} (no {self.name}); make one with `{self.command}`") from None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(f"{path} cannot be read: {error!r}; {self.remedy}") from error
        if version != self.version:
            raise ModelError(
                f"{folder}: the {self.subject} has {self.version_key.replace('_', ' ')} {version}, this program needs "
                f"{self.version}; make it again with `{self.command}`"
            )
        try:
            self.shape.model_validate(info)
        except ValidationError as error:
            first = error.errors()[0]
            raise self.wrong(folder, ".".join(map(str, first["loc"])), first["msg"]) from None
        if _own_sha256(info) != info["own_sha256"]:
            raise self.wrong(folder, "own_sha256", "the content of the file is not that of this checksum")
        return dict(info)

    def wrong(self, folder: Path, key: str, reason: str) -> ModelError:
        """The error of a value in the file."""
        return ModelError(f"{folder / self.name}: {key}: {reason}; {self.remedy}")

    def check_files(self, folder: Path, checksums: Mapping[str, str]) -> None:
        """Makes sure that files are those of the description.

        Args:
            folder: Their folder.
            checksums: SHA-256 by name.

        Raises:
            ModelError: One is not, or cannot be read.
        """
        for name, expected in checksums.items():
            try:
                found = sha256_of(folder / name)
            except OSError as error:
                raise ModelError(f"{folder / name} cannot be read: {error.strerror}; {self.remedy}") from None
            if found != expected:
                raise ModelError(
                    f"{folder / name} is not the file that {self.name} describes (its checksum differs); {self.remedy}"
                )


def sealed(description: Mapping[str, Any]) -> dict[str, Any]:
    """A description with the checksum of itself."""
    return {**description, "own_sha256": _own_sha256(description)}


def _own_sha256(description: Mapping[str, Any]) -> str:
    content = {key: value for key, value in description.items() if key != "own_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=True).encode()).hexdigest()
