"""Audio to feature store: everything before TensorFlow, which this package never imports."""
