package org.apache.beam.runners.flink;

import bonafide.flink.PortableJob;

/** The name under which Beam's Python client starts the program in a job's jar; `PortableJob` is that program. */
public final class FlinkPipelineRunner {
  private FlinkPipelineRunner() {}

  /** Submits the pipeline that the jar holds. */
  public static void main(String[] arguments) throws Exception {
    PortableJob.main(arguments);
  }
}
