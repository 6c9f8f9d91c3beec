"""Beam's PrismRunner whose Prism ends with the run: Beam's ends it at the command's end, after its temporary folder is gone."""

from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.prism_runner import PrismJobServer, PrismRunner


class OwnPrismRunner(PrismRunner):  # type: ignore[misc]
    """A `PrismRunner` that starts a Prism for itself alone, and stops it."""

    def __init__(self) -> None:
        super().__init__()
        self._server: PrismJobServer | None = None

    def default_job_server(self, options: PipelineOptions) -> Any:
        self._server = PrismJobServer(options)
        return self._server

    def close(self) -> None:
        """Ends Prism, if it was started."""
        if self._server is not None:
            self._server.stop()
