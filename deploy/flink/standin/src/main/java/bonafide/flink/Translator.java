package bonafide.flink;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.beam.model.pipeline.v1.RunnerApi;
import org.apache.beam.runners.fnexecution.provisioning.JobInfo;
import org.apache.beam.runners.fnexecution.wire.WireCoders;
import org.apache.beam.sdk.coders.Coder;
import org.apache.beam.sdk.util.construction.NativeTransforms;
import org.apache.beam.sdk.util.construction.PTransformTranslation;
import org.apache.beam.sdk.util.construction.graph.ExecutableStage;
import org.apache.beam.sdk.util.construction.graph.GreedyPipelineFuser;
import org.apache.beam.sdk.util.construction.graph.PipelineNode;
import org.apache.beam.sdk.util.construction.graph.QueryablePipeline;
import org.apache.beam.sdk.util.construction.graph.TrivialNativeTransformExpander;
import org.apache.beam.sdk.values.WindowedValue;
import org.apache.beam.sdk.values.WindowedValues;
import org.apache.flink.api.common.typeinfo.PrimitiveArrayTypeInfo;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.datastream.SingleOutputStreamOperator;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.util.OutputTag;

/**
 * Translates a Beam pipeline into Flink's operators.
 *
 * <p>Beam's own library fuses the ParDos into stages; a stage becomes one operator. Between operators an element travels as
 * the bytes of its encoded windowed value, so Flink needs to know nothing of it.
 */
public final class Translator {
  private static final String RESHUFFLE = PTransformTranslation.RESHUFFLE_URN;

  private static final TypeInformation<byte[]> BYTES = PrimitiveArrayTypeInfo.BYTE_PRIMITIVE_ARRAY_TYPE_INFO;

  private final StreamExecutionEnvironment environment;
  private final JobInfo job;
  private final Options options;
  private final Map<String, Collection> collections = new HashMap<>();

  /** A PCollection as Flink has it; all elements of a single one are made in one place. */
  private record Collection(DataStream<byte[]> stream, boolean single) {}

  /** Tells Beam's graph library that Reshuffle is translated itself instead of what it is composed of. */
  public static final class ReshuffleIsNative implements NativeTransforms.IsNativeTransform {
    @Override
    public boolean test(RunnerApi.PTransform transform) {
      return RESHUFFLE.equals(transform.getSpec().getUrn());
    }
  }

  public Translator(StreamExecutionEnvironment environment, JobInfo job, Options options) {
    this.environment = environment;
    this.job = job;
    this.options = options;
  }

  /**
   * Adds the operators of a pipeline to the environment.
   *
   * @throws UnsupportedOperationException for every transform but Impulse, Reshuffle and ParDo
   */
  public void translate(RunnerApi.Pipeline pipeline) throws IOException {
    RunnerApi.Pipeline known = TrivialNativeTransformExpander.forKnownUrns(pipeline, Set.of(RESHUFFLE));
    RunnerApi.Pipeline fused = GreedyPipelineFuser.fuse(known).toPipeline();
    QueryablePipeline graph =
        QueryablePipeline.forTransforms(fused.getRootTransformIdsList(), fused.getComponents());
    for (PipelineNode.PTransformNode node : graph.getTopologicallyOrderedTransforms()) {
      RunnerApi.PTransform transform = node.getTransform();
      switch (transform.getSpec().getUrn()) {
        case PTransformTranslation.IMPULSE_TRANSFORM_URN -> impulse(transform, fused.getComponents());
        case PTransformTranslation.RESHUFFLE_URN -> reshuffle(transform);
        case ExecutableStage.URN -> stage(transform);
        default -> throw unsupported(transform, transform.getSpec().getUrn());
      }
    }
  }

  private void impulse(RunnerApi.PTransform transform, RunnerApi.Components components) throws IOException {
    String id = only(transform.getOutputsMap());
    PipelineNode.PCollectionNode node = PipelineNode.pCollection(id, components.getPcollectionsOrThrow(id));
    Coder<WindowedValue<byte[]>> coder = WireCoders.instantiateRunnerWireCoder(node, components);
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    coder.encode(WindowedValues.valueInGlobalWindow(new byte[0]), bytes);
    DataStream<byte[]> stream = environment.fromData(List.of(bytes.toByteArray()), BYTES).name(transform.getUniqueName());
    collections.put(id, new Collection(stream, true));
  }

  private void reshuffle(RunnerApi.PTransform transform) {
    DataStream<byte[]> input = collections.get(only(transform.getInputsMap())).stream();
    collections.put(only(transform.getOutputsMap()), new Collection(input.rebalance(), false));
  }

  private void stage(RunnerApi.PTransform transform) throws IOException {
    RunnerApi.ExecutableStagePayload payload =
        RunnerApi.ExecutableStagePayload.parseFrom(transform.getSpec().getPayload());
    if (payload.getSideInputsCount() + payload.getUserStatesCount() + payload.getTimersCount() > 0) {
      throw unsupported(transform, "side inputs, state or timers");
    }
    Map<String, OutputTag<byte[]>> tags = new LinkedHashMap<>();
    transform.getOutputsMap().values().forEach(id -> tags.put(id, new OutputTag<>(id, BYTES)));

    Collection input = collections.get(payload.getInput());
    SingleOutputStreamOperator<byte[]> operator =
        input.stream().transform(
            transform.getUniqueName(), BYTES, new StageOperator(payload.toByteArray(), job, tags, options));
    if (input.single()) {
      operator.setParallelism(1);
    }
    // Flink leaves out what leads to no sink.
    operator.sinkTo(new DiscardingSink<>()).setParallelism(operator.getParallelism()).name("end");
    tags.forEach((id, tag) -> collections.put(id, new Collection(operator.getSideOutput(tag), input.single())));
  }

  private static RuntimeException unsupported(RunnerApi.PTransform transform, String what) {
    return new UnsupportedOperationException(
        transform.getUniqueName() + " uses " + what + "; the stand-in translates Impulse, Reshuffle and plain ParDo alone");
  }

  private static String only(Map<String, String> ids) {
    if (ids.size() != 1) {
      throw new IllegalArgumentException("one input or output expected, not " + ids);
    }
    return ids.values().iterator().next();
  }
}
