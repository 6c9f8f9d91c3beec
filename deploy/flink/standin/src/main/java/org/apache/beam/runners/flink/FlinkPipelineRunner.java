package org.apache.beam.runners.flink;

import bonafide.flink.Options;
import bonafide.flink.Translator;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.UUID;
import org.apache.beam.model.pipeline.v1.RunnerApi;
import org.apache.beam.runners.fnexecution.provisioning.JobInfo;
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.Message;
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.Struct;
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.util.JsonFormat;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * A stand-in for Beam's Flink runner, for tests where its job server jar cannot be had. It has the official runner's name,
 * since Beam's Python client starts the program in a job's jar by that name, and its semantics: streaming translation, bundles
 * of up to `max_bundle_size` elements or `max_bundle_time_mills`, and no restart unless the options or the cluster say so.
 */
public final class FlinkPipelineRunner {
  private static final String FOLDER = "BEAM-PIPELINE/pipeline/";

  private FlinkPipelineRunner() {}

  /** Submits the pipeline that the jar holds to the cluster that runs this program. */
  public static void main(String[] arguments) throws Exception {
    System.out.println("Bonafide's stand-in for Beam's Flink runner runs this job. It is made for tests only.");
    RunnerApi.Pipeline pipeline = read("pipeline.json", RunnerApi.Pipeline.newBuilder()).build();
    Struct given = read("pipeline-options.json", Struct.newBuilder()).build();
    Options options = new Options(given);

    StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
    environment.setRuntimeMode(RuntimeExecutionMode.STREAMING);
    if (options.parallelism() > 0) {
      environment.setParallelism(options.parallelism());
    }
    if (options.retries() >= 0) {
      Configuration retries = new Configuration();
      retries.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
      retries.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, options.retries());
      retries.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ofMillis(options.retryDelayMs()));
      environment.configure(retries);
    }
    JobInfo job = JobInfo.create(UUID.randomUUID().toString(), options.jobName(), "", given);
    new Translator(environment, job, options).translate(pipeline);
    environment.execute(options.jobName());
  }

  private static <T extends Message.Builder> T read(String name, T builder) throws IOException {
    try (InputStream stream = FlinkPipelineRunner.class.getClassLoader().getResourceAsStream(FOLDER + name)) {
      if (stream == null) {
        throw new FileNotFoundException("the jar holds no " + FOLDER + name);
      }
      // A newer Python Beam may say more than this library knows.
      JsonFormat.parser().ignoringUnknownFields().merge(new InputStreamReader(stream, StandardCharsets.UTF_8), builder);
    }
    return builder;
  }
}
