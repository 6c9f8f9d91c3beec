package bonafide.flink;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.util.HashMap;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.beam.model.fnexecution.v1.BeamFnApi;
import org.apache.beam.model.pipeline.v1.RunnerApi;
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
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.streaming.api.functions.ProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;

/**
 * Runs one fused stage in a Beam worker, every element as a bundle of its own.
 *
 * <p>An element is a whole shard of work, so the bundle's overhead does not count, and a failed bundle fails the task: what
 * restarts it is the cluster's restart strategy. Elements in and out are encoded windowed values.
 */
final class StageFunction extends ProcessFunction<byte[], byte[]> {
  private static final long serialVersionUID = 1L;

  /** Shares workers between the tasks of a job in one TaskManager, and ends them at once with the last of these. */
  private static final ReferenceCountingExecutableStageContextFactory CONTEXTS =
      ReferenceCountingExecutableStageContextFactory.create(DefaultExecutableStageContext::create, caller -> true);

  private final byte[] payload;
  private final JobInfo job;
  private final Map<String, OutputTag<byte[]>> tags;

  private transient ExecutableStageContext context;
  private transient StageBundleFactory bundles;
  private transient Coder<WindowedValue<Object>> inputCoder;
  private transient Map<String, Coder<WindowedValue<Object>>> outputCoders;
  private transient MetricsAccumulator metrics;

  private record Output(String collection, Object value) {}

  /**
   * @param payload an ExecutableStagePayload
   * @param job options for the workers
   * @param tags of the outputs, by the id of their PCollection
   */
  StageFunction(byte[] payload, JobInfo job, Map<String, OutputTag<byte[]>> tags) {
    this.payload = payload;
    this.job = job;
    this.tags = tags;
  }

  @Override
  public void open(OpenContext openContext) throws Exception {
    ExecutableStage stage = ExecutableStage.fromPayload(RunnerApi.ExecutableStagePayload.parseFrom(payload));
    context = CONTEXTS.get(job);
    bundles = context.getStageBundleFactory(stage);
    inputCoder = WireCoders.instantiateRunnerWireCoder(stage.getInputPCollection(), stage.getComponents());
    outputCoders = new HashMap<>();
    for (PipelineNode.PCollectionNode node : stage.getOutputPCollections()) {
      outputCoders.put(node.getId(), WireCoders.instantiateRunnerWireCoder(node, stage.getComponents()));
    }
    metrics = new MetricsAccumulator();
    getRuntimeContext().addAccumulator(MetricsAccumulator.NAME, metrics);
  }

  @Override
  public void processElement(byte[] element, Context flink, Collector<byte[]> unused) throws Exception {
    // Threads of the connection to the worker deliver; Flink takes outputs from this thread alone.
    Queue<Output> outputs = new ConcurrentLinkedQueue<>();
    OutputReceiverFactory receivers =
        new OutputReceiverFactory() {
          @Override
          public <T> FnDataReceiver<T> create(String collection) {
            return value -> outputs.add(new Output(collection, value));
          }
        };
    BundleProgressHandler progress =
        new BundleProgressHandler() {
          @Override
          public void onProgress(BeamFnApi.ProcessBundleProgressResponse response) {}

          @Override
          public void onCompleted(BeamFnApi.ProcessBundleResponse response) {
            metrics.addAll(response.getMonitoringInfosList());
          }
        };
    // Closing the bundle waits for its end, and throws the worker's error.
    try (RemoteBundle bundle = bundles.getBundle(receivers, StateRequestHandler.unsupported(), progress)) {
      only(bundle).accept(inputCoder.decode(new ByteArrayInputStream(element)));
    }
    for (Output output : outputs) {
      flink.output(tags.get(output.collection()), encoded(output));
    }
  }

  @Override
  public void close() throws Exception {
    // Also after an `open` that failed half-way.
    try (AutoCloseable last = context;
        AutoCloseable first = bundles) {
      context = null;
      bundles = null;
    }
  }

  private byte[] encoded(Output output) throws java.io.IOException {
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
