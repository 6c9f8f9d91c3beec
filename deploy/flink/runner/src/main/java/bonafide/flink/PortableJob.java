package bonafide.flink;

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
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.Value;
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.util.JsonFormat;
import org.apache.flink.api.common.RuntimeExecutionMode;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * A minimal portable runner for this project's pipelines (Impulse, Reshuffle, ParDo), for where Beam's official job server
 * jar cannot be had.
 *
 * <p>Beam's Python client puts the pipeline and its options into a copy of the jar and has Flink run it. This program reads
 * them, translates the pipeline into one bounded Flink job and submits that. What it cannot translate is refused.
 */
public final class PortableJob {
  private static final String FOLDER = "BEAM-PIPELINE/pipeline/";
  private static final String PARALLELISM = "beam:option:parallelism:v1";
  private static final String JOB_NAME = "beam:option:job_name:v1";

  private static final int RETRIES = 5;
  private static final Duration RETRY_DELAY = Duration.ofSeconds(2);

  private PortableJob() {}

  /** Submits the pipeline that the jar holds to the cluster that runs this program. */
  public static void main(String[] arguments) throws Exception {
    RunnerApi.Pipeline pipeline = read("pipeline.json", RunnerApi.Pipeline.newBuilder()).build();
    Struct options = read("pipeline-options.json", Struct.newBuilder()).build();
    Supported.require(pipeline);

    String name = options.getFieldsOrDefault(JOB_NAME, Value.getDefaultInstance()).getStringValue();
    if (name.isEmpty()) {
      name = "bonafide";
    }
    StreamExecutionEnvironment environment = StreamExecutionEnvironment.getExecutionEnvironment();
    environment.setRuntimeMode(RuntimeExecutionMode.BATCH);
    int parallelism = number(options.getFieldsOrDefault(PARALLELISM, Value.getDefaultInstance()));
    if (parallelism > 0) {
      environment.setParallelism(parallelism);
    }
    retryByDefault(environment);
    JobInfo job = JobInfo.create(UUID.randomUUID().toString(), name, "", options);
    new Translator(environment, job).translate(pipeline);
    environment.execute(name);
  }

  /** A bounded job of a cluster that says nothing of restarts would end with its first lost worker. */
  private static void retryByDefault(StreamExecutionEnvironment environment) {
    if (environment.getConfiguration().getOptional(RestartStrategyOptions.RESTART_STRATEGY).isPresent()) {
      return;
    }
    Configuration retries = new Configuration();
    retries.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
    retries.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, RETRIES);
    retries.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, RETRY_DELAY);
    environment.configure(retries);
  }

  private static <T extends Message.Builder> T read(String name, T builder) throws IOException {
    try (InputStream stream = PortableJob.class.getClassLoader().getResourceAsStream(FOLDER + name)) {
      if (stream == null) {
        throw new FileNotFoundException(
            "the jar holds no " + FOLDER + name + "; Beam's FlinkRunner puts it there with flink_submit_uber_jar");
      }
      // A newer Python Beam may say more than this library knows.
      JsonFormat.parser().ignoringUnknownFields().merge(new InputStreamReader(stream, StandardCharsets.UTF_8), builder);
    }
    return builder;
  }

  /** Python's Beam writes whole numbers as text. */
  private static int number(Value value) {
    return value.getStringValue().isEmpty() ? (int) value.getNumberValue() : Integer.parseInt(value.getStringValue());
  }
}
