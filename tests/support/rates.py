"""Rates of a machine that make the estimate of a job easy to check by hand."""

from pipeline.job.capacity import Rates

MIB = 2**20
RATES = Rates(
    original_s=0.001,
    copy_s=0.002,
    twin_s=0.004,
    shard_s=0.0,
    start_s=0.0,
    command_clip_s=0.0,
    command_shard_s=0.0,
    worker_bytes=300 * MIB,
)
