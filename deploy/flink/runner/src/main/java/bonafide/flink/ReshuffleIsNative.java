package bonafide.flink;

import org.apache.beam.model.pipeline.v1.RunnerApi;
import org.apache.beam.sdk.util.construction.NativeTransforms;

/** Tells Beam's graph library that this runner translates Reshuffle itself instead of what it is composed of. */
public final class ReshuffleIsNative implements NativeTransforms.IsNativeTransform {
  @Override
  public boolean test(RunnerApi.PTransform transform) {
    return Translator.RESHUFFLE.equals(transform.getSpec().getUrn());
  }
}
