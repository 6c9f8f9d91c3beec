package bonafide.flink;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.beam.model.fnexecution.v1.BeamFnApi;
import org.apache.beam.model.pipeline.v1.MetricsApi.MonitoringInfo;
import org.apache.beam.model.pipeline.v1.RunnerApi;
import org.apache.beam.runners.core.metrics.MetricsContainerStepMap;
import org.apache.beam.runners.fnexecution.control.BundleProgressHandler;
import org.apache.beam.runners.fnexecution.control.DefaultExecutableStageContext;
import org.apache.beam.runners.fnexecution.control.ExecutableStageContext;
import org.apache.beam.runners.fnexecution.control.OutputReceiverFactory;
import org.apache.beam.runners.fnexecution.control.ReferenceCountingExecutableStageContextFactory;
import org.apache.beam.runners.fnexecution.control.RemoteBundle;
import org.apache.beam.runners.fnexecution.control.StageBundleFactory;
import org.apache.beam.runners.fnexecution.provisioning.JobInfo;
import org.apache.beam.runners.fnexecution.state.StateRequestHandler;
import org.apache.beam.runners.fnexecution.wire.WireCoders;
import org.apache.beam.sdk.coders.Coder;
import org.apache.beam.sdk.fn.data.FnDataReceiver;
import org.apache.beam.sdk.util.construction.graph.ExecutableStage;
import org.apache.beam.sdk.util.construction.graph.PipelineNode;
import org.apache.beam.sdk.values.WindowedValue;
import org.apache.flink.streaming.api.operators.AbstractStreamOperator;
import org.apache.flink.streaming.api.operators.OneInputStreamOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.util.OutputTag;

/**
 * Runs one fused stage in a Beam worker, in bundles as the official runner makes them.
 *
 * <p>A failed bundle fails the task: what restarts it is the restart strategy. Elements in and out are encoded windowed values.
 * Metrics become visible when the operator closes, as with the official runner.
 */
final class StageOperator extends AbstractStreamOperator<byte[]> implements OneInputStreamOperator<byte[], byte[]> {
  private static final long serialVersionUID = 1L;
  private static final String STEP = "PTRANSFORM";

  /** Shares workers between the tasks of a job in one TaskManager, and ends them at once with the last of these. */
  private static final ReferenceCountingExecutableStageContextFactory CONTEXTS =
      ReferenceCountingExecutableStageContextFactory.create(DefaultExecutableStageContext::create, caller -> true);

  private final byte[] payload;
  private final JobInfo job;
  private final Map<String, OutputTag<byte[]>> tags;
  private final long maxBundleSize;
  private final long maxBundleTimeMs;

  private transient ExecutableStageContext context;
  private transient StageBundleFactory bundles;
  private transient Coder<WindowedValue<Object>> inputCoder;
  private transient Map<String, Coder<WindowedValue<Object>>> outputCoders;
  private transient MetricsContainerStepMap metrics;
  private transient Queue<Output> outputs;
  private transient RemoteBundle bundle;
  private transient long bundleBegan;
  private transient long bundleSize;

  private record Output(String collection, Object value) {}

  /**
   * @param payload an ExecutableStagePayload
   * @param job options for the workers
   * @param tags of the outputs, by the id of their PCollection
   */
  StageOperator(byte[] payload, JobInfo job, Map<String, OutputTag<byte[]>> tags, Options options) {
    this.payload = payload;
    this.job = job;
    this.tags = tags;
    this.maxBundleSize = options.maxBundleSize();
    this.maxBundleTimeMs = options.maxBundleTimeMs();
  }

  @Override
  public void open() throws Exception {
    super.open();
    ExecutableStage stage = ExecutableStage.fromPayload(RunnerApi.ExecutableStagePayload.parseFrom(payload));
    metrics = new MetricsContainerStepMap();
    // Threads of the connection to the worker deliver; Flink takes outputs from the task's thread alone.
    outputs = new ConcurrentLinkedQueue<>();
    context = CONTEXTS.get(job);
    bundles = context.getStageBundleFactory(stage);
    inputCoder = WireCoders.instantiateRunnerWireCoder(stage.getInputPCollection(), stage.getComponents());
    outputCoders = new HashMap<>();
    for (PipelineNode.PCollectionNode node : stage.getOutputPCollections()) {
      outputCoders.put(node.getId(), WireCoders.instantiateRunnerWireCoder(node, stage.getComponents()));
    }
    long periodMs = Math.max(1, maxBundleTimeMs / 2);
    getProcessingTimeService().scheduleWithFixedDelay(this::endOldBundle, periodMs, periodMs);
  }

  @Override
  public void processElement(StreamRecord<byte[]> element) throws Exception {
    if (bundle == null) {
      bundle = bundles.getBundle(receivers(), StateRequestHandler.unsupported(), progress());
      bundleBegan = getProcessingTimeService().getCurrentProcessingTime();
      bundleSize = 0;
    }
    only(bundle).accept(inputCoder.decode(new ByteArrayInputStream(element.getValue())));
    bundleSize++;
    if (bundleSize >= maxBundleSize) {
      endBundle();
    }
  }

  /** Called at the end of the input. */
  @Override
  public void finish() throws Exception {
    endBundle();
    super.finish();
  }

  @Override
  public void close() throws Exception {
    if (metrics != null) {
      MetricsAccumulator accumulator = new MetricsAccumulator();
      accumulator.add(metrics);
      getRuntimeContext().addAccumulator(MetricsAccumulator.NAME, accumulator);
    }
    // Also after an `open` that failed half-way, or in the middle of a bundle.
    try (AutoCloseable last = context;
        AutoCloseable second = bundles;
        AutoCloseable first = bundle) {
      context = null;
      bundles = null;
      bundle = null;
      super.close();
    }
  }

  private void endOldBundle(long now) throws Exception {
    if (bundle != null && now - bundleBegan >= maxBundleTimeMs) {
      endBundle();
    }
  }

  private void endBundle() throws Exception {
    if (bundle != null) {
      // Closing waits for the bundle's end, and throws the worker's error.
      try (RemoteBundle ended = bundle) {
        bundle = null;
      }
    }
    for (Output next = outputs.poll(); next != null; next = outputs.poll()) {
      output.collect(tags.get(next.collection()), new StreamRecord<>(encoded(next)));
    }
  }

  private OutputReceiverFactory receivers() {
    return new OutputReceiverFactory() {
      @Override
      public <T> FnDataReceiver<T> create(String collection) {
        return value -> outputs.add(new Output(collection, value));
      }
    };
  }

  private BundleProgressHandler progress() {
    return new BundleProgressHandler() {
      @Override
      public void onProgress(BeamFnApi.ProcessBundleProgressResponse response) {}

      @Override
      public void onCompleted(BeamFnApi.ProcessBundleResponse response) {
        for (MonitoringInfo info : response.getMonitoringInfosList()) {
          if (info.containsLabels(STEP)) {
            metrics.getContainer(info.getLabelsOrThrow(STEP)).update(List.of(info));
          }
        }
      }
    };
  }

  private byte[] encoded(Output output) throws IOException {
    @SuppressWarnings("unchecked") // A receiver gets what its PCollection's coder decoded.
    WindowedValue<Object> value = (WindowedValue<Object>) output.value();
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    outputCoders.get(output.collection()).encode(value, bytes);
    return bytes.toByteArray();
  }

  @SuppressWarnings({"unchecked", "rawtypes"}) // The library does not know the elements' type.
  private static FnDataReceiver<Object> only(RemoteBundle bundle) {
    return (FnDataReceiver) bundle.getInputReceivers().values().iterator().next();
  }
}
