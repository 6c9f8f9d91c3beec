"""Options of Beam's Flink runner that only its Java side reads. Once imported, Python's Beam knows them and passes them on."""

from argparse import ArgumentParser
from typing import Final

from apache_beam.options.pipeline_options import PipelineOptions

_NAMES: Final = frozenset(
    (
        "allow_non_restored_state",
        "attached_mode",
        "auto_balance_write_files_sharding_enabled",
        "auto_watermark_interval",
        "checkpoint_timeout_millis",
        "checkpointing_interval",
        "checkpointing_mode",
        "disable_metrics",
        "enable_stable_input_drain",
        "execution_mode_for_batch",
        "execution_retry_delay",
        "externalized_checkpoints_enabled",
        "fail_on_checkpointing_errors",
        "faster_copy",
        "finish_bundle_before_checkpointing",
        "flink_conf_dir",
        "force_unaligned_checkpoint_enabled",
        "job_check_interval_in_secs",
        "latency_tracking_interval_millis",
        "max_bundle_size",
        "max_bundle_time_mills",
        "min_pause_between_checkpoints",
        "num_concurrent_checkpoints",
        "number_of_execution_retries",
        "object_reuse",
        "operator_chaining",
        "re_iterable_group_by_key_result",
        "report_checkpoint_duration",
        "retain_externalized_checkpoints_on_cancellation",
        "savepoint_path",
        "shutdown_sources_after_idle_ms",
        "state_backend",
        "state_backend_factory",
        "state_backend_storage_path",
        "unaligned_checkpoint_enabled",
    )
)


class FlinkJavaOptions(PipelineOptions):  # type: ignore[misc]
    """The options of `org.apache.beam.runners.flink.FlinkPipelineOptions` that Beam's Python side does not define.

    https://beam.apache.org/releases/javadoc/current/org/apache/beam/runners/flink/FlinkPipelineOptions.html
    """

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        for name in sorted(_NAMES):
            parser.add_argument(f"--{name}", nargs="?", const="true")
