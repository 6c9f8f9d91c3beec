"""The networks of a project that are fused: the model of the tones, and a member with another front end and shorter windows."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FusedProject:
    """A fusion and its files.

    Attributes:
        bundle: Folder of its bundle.
        report: Folder of its score files.
        main: Folder of the model bundle of the main network.
        member: Folder of that of the member `linear`.
    """

    bundle: Path
    report: Path
    main: Path
    member: Path
