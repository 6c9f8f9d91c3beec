package bonafide.flink;

import java.io.IOException;
import java.io.Serializable;
import java.util.List;
import java.util.stream.Collectors;
import org.apache.beam.model.jobmanagement.v1.JobApi;
import org.apache.beam.model.pipeline.v1.MetricsApi.MonitoringInfo;
import org.apache.beam.runners.core.metrics.MetricsContainerStepMap;
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.util.JsonFormat;
import org.apache.flink.api.common.accumulators.Accumulator;

/** Beam's metrics as a Flink accumulator, under the name and in the JSON that Beam's Python client reads. */
public final class MetricsAccumulator implements Accumulator<MonitoringInfo, MetricsAccumulator.Json> {
  static final String NAME = "__metricscontainers";

  private static final long serialVersionUID = 1L;
  private static final String STEP = "PTRANSFORM";

  private MetricsContainerStepMap steps = new MetricsContainerStepMap();

  /** A GetJobMetricsResponse; Flink's REST interface shows an accumulator by its `toString`. */
  public static final class Json implements Serializable {
    private static final long serialVersionUID = 1L;

    private final String text;

    private Json(String text) {
      this.text = text;
    }

    @Override
    public String toString() {
      return text;
    }
  }

  /** Adds what a worker reported of a bundle; metrics of no step are left out. */
  synchronized void addAll(List<MonitoringInfo> infos) {
    infos.stream()
        .filter(info -> info.containsLabels(STEP))
        .collect(Collectors.groupingBy(info -> info.getLabelsOrThrow(STEP)))
        .forEach((step, own) -> steps.getContainer(step).update(own));
  }

  @Override
  public void add(MonitoringInfo info) {
    addAll(List.of(info));
  }

  @Override
  public synchronized Json getLocalValue() {
    JobApi.MetricResults.Builder results = JobApi.MetricResults.newBuilder();
    steps.getMonitoringInfos().forEach(results::addAttempted);
    try {
      return new Json(JsonFormat.printer().print(JobApi.GetJobMetricsResponse.newBuilder().setMetrics(results)));
    } catch (IOException error) {
      throw new IllegalStateException("metrics that are no JSON", error);
    }
  }

  @Override
  public synchronized void resetLocal() {
    steps = new MetricsContainerStepMap();
  }

  @Override
  public synchronized void merge(Accumulator<MonitoringInfo, Json> other) {
    steps.updateAll(((MetricsAccumulator) other).steps);
  }

  @Override
  public synchronized MetricsAccumulator clone() {
    MetricsAccumulator copy = new MetricsAccumulator();
    copy.steps.updateAll(steps);
    return copy;
  }
}
