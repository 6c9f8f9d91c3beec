#!/usr/bin/env python3
"""Make the feature store of a manifest in one process, without Beam, and print its hash.

For processors that exist here only in an emulator, where a runner with its worker processes does not start:

    qemu-x86_64 -cpu Nehalem python tools/one_process_store.py data/manifest.parquet /tmp/store
"""

import argparse
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.job.plan import plan_run
from pipeline.job.worker import Extractor
from pipeline.params import load_params
from pipeline.store.close import close_store
from pipeline.store.writer import write_shard


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("output", help="a new folder")
    parser.add_argument("--root", type=Path, default=Path("data/sample/LA"), help="folder of the audio")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = parser.parse_args()

    params = load_params(arguments.params)
    plan = plan_run(pq.read_table(arguments.manifest), arguments.output, params)
    extract = Extractor(arguments.root, params.features, params.augment)
    for shard in plan.shards:
        write_shard(plan.storage, shard, plan.config, extract(shard))
    print(close_store(plan.storage, plan.shards, plan.config)["sha256"])


if __name__ == "__main__":
    main()
