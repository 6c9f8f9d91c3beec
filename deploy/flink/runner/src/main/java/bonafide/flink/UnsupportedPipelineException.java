package bonafide.flink;

/** The pipeline uses something that this runner does not translate; the message says where and what. */
public final class UnsupportedPipelineException extends Exception {
  private static final long serialVersionUID = 1L;

  UnsupportedPipelineException(String transform, String what) {
    super(
        String.format(
            "%s uses %s; this runner translates Impulse, Reshuffle and plain ParDo alone. "
                + "Use Beam's official Flink job server jar for this pipeline",
            transform, what));
  }
}
