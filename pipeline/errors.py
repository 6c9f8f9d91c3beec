"""The errors that a user can cause, one family for the whole pipeline.

Every message says what was wrong, where (file and line, utterance, key) and what to do. The command line prints it
without a traceback and ends with the error's `exit_code`.
"""


class BonafideError(Exception):
    """A problem whose message is written for the user.

    Attributes:
        exit_code: Exit status of the command line.
    """

    exit_code = 1


class ParamsError(BonafideError):
    """A value in params.yaml or on the command line is not allowed."""

    exit_code = 2


class ProtocolError(BonafideError):
    """A protocol file or a manifest table is malformed or contradicts itself."""


class CorpusError(BonafideError):
    """The corpus as a whole cannot be used: the folder is missing, there is no audio, or there is only one class."""


class AudioError(BonafideError):
    """One audio file cannot be used.

    Attributes:
        reason: One of `pipeline.corpus.schema.REJECT_REASONS`.
        detail: What was found in the file, in words.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["AudioError"], tuple[str, str]]:
        return type(self), (self.reason, self.detail)


class StoreError(BonafideError):
    """A feature store cannot be read or written, or is damaged."""


class RunnerError(BonafideError):
    """The requested Beam runner cannot run the job, or lost a worker."""


class DownloadError(BonafideError):
    """A corpus cannot be downloaded or unpacked."""
