package bonafide.flink;

import org.apache.beam.model.pipeline.v1.RunnerApi;
import org.apache.beam.sdk.util.construction.PTransformTranslation;
import org.apache.beam.vendor.grpc.v1p69p0.com.google.protobuf.InvalidProtocolBufferException;

/** Refuses, before anything runs, what this runner would otherwise have to drop in silence. */
final class Supported {
  private Supported() {}

  /**
   * Checks everything of a pipeline that fusion would hide inside a stage.
   *
   * @throws UnsupportedPipelineException for side inputs, state, timers, splittable functions, bundle finalization and
   *     unbounded data
   */
  static void require(RunnerApi.Pipeline pipeline)
      throws UnsupportedPipelineException, InvalidProtocolBufferException {
    RunnerApi.Components components = pipeline.getComponents();
    for (RunnerApi.PCollection collection : components.getPcollectionsMap().values()) {
      if (collection.getIsBounded() == RunnerApi.IsBounded.Enum.UNBOUNDED) {
        throw new UnsupportedPipelineException(collection.getUniqueName(), "unbounded data");
      }
    }
    for (RunnerApi.PTransform transform : components.getTransformsMap().values()) {
      if (PTransformTranslation.PAR_DO_TRANSFORM_URN.equals(transform.getSpec().getUrn())) {
        requirePlain(
            transform.getUniqueName(), RunnerApi.ParDoPayload.parseFrom(transform.getSpec().getPayload()));
      }
    }
  }

  /** Checks a stage once more after fusion, which must not have brought in anything. */
  static void requirePlain(String name, RunnerApi.ExecutableStagePayload stage) throws UnsupportedPipelineException {
    refuseIf(stage.getSideInputsCount() > 0, name, "side inputs");
    refuseIf(stage.getUserStatesCount() > 0, name, "state");
    refuseIf(stage.getTimersCount() + stage.getTimerFamiliesCount() > 0, name, "timers");
  }

  private static void requirePlain(String name, RunnerApi.ParDoPayload function) throws UnsupportedPipelineException {
    refuseIf(function.getSideInputsCount() > 0, name, "side inputs");
    refuseIf(function.getStateSpecsCount() > 0, name, "state");
    refuseIf(function.getTimerFamilySpecsCount() > 0, name, "timers");
    refuseIf(!function.getRestrictionCoderId().isEmpty(), name, "a splittable function");
    refuseIf(function.getRequestsFinalization(), name, "bundle finalization");
    refuseIf(function.getRequiresStableInput(), name, "stable input");
    refuseIf(function.getRequiresTimeSortedInput(), name, "time-sorted input");
  }

  private static void refuseIf(boolean used, String name, String what) throws UnsupportedPipelineException {
    if (used) {
      throw new UnsupportedPipelineException(name, what);
    }
  }
}
