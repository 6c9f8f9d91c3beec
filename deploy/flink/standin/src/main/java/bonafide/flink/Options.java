package bonafide.flink;

import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.Struct;
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.Value;

/** The options of Beam's `FlinkPipelineOptions` that the stand-in honours, with their defaults there. */
public record Options(Struct given) {
  /** 0: the cluster's default. */
  public int parallelism() {
    return (int) number("parallelism", 0);
  }

  /** Elements of a bundle, at most. */
  public long maxBundleSize() {
    return number("max_bundle_size", 5_000);
  }

  /** After this time a bundle ends. */
  public long maxBundleTimeMs() {
    return number("max_bundle_time_mills", 10_000);
  }

  /** -1: what the cluster's configuration says, by default none. */
  public int retries() {
    return (int) number("number_of_execution_retries", -1);
  }

  public long retryDelayMs() {
    return Math.max(0, number("execution_retry_delay", -1));
  }

  public String jobName() {
    return value("job_name").getStringValue();
  }

  /** Python's Beam writes whole numbers as text. */
  private long number(String name, long otherwise) {
    Value value = value(name);
    return switch (value.getKindCase()) {
      case STRING_VALUE -> Long.parseLong(value.getStringValue());
      case NUMBER_VALUE -> (long) value.getNumberValue();
      default -> otherwise;
    };
  }

  private Value value(String name) {
    return given.getFieldsOrDefault("beam:option:" + name + ":v1", Value.getDefaultInstance());
  }
}
