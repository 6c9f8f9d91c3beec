package bonafide.flink;

import org.apache.beam.runners.core.metrics.MetricsContainerStepMap;
import org.apache.flink.api.common.accumulators.Accumulator;
import org.apache.flink.api.common.accumulators.SimpleAccumulator;

/** Beam's metrics as a Flink accumulator; their `toString` is the JSON that Beam's Python client reads. */
final class MetricsAccumulator implements SimpleAccumulator<MetricsContainerStepMap> {
  static final String NAME = "__metricscontainers";

  private static final long serialVersionUID = 1L;

  private MetricsContainerStepMap steps = new MetricsContainerStepMap();

  @Override
  public void add(MetricsContainerStepMap more) {
    steps.updateAll(more);
  }

  @Override
  public MetricsContainerStepMap getLocalValue() {
    return steps;
  }

  @Override
  public void resetLocal() {
    steps = new MetricsContainerStepMap();
  }

  @Override
  public void merge(Accumulator<MetricsContainerStepMap, MetricsContainerStepMap> other) {
    steps.updateAll(other.getLocalValue());
  }

  @Override
  public MetricsAccumulator clone() {
    MetricsAccumulator copy = new MetricsAccumulator();
    copy.add(steps);
    return copy;
  }
}
