"""Feature store to verdict: training, scoring, evaluation and the report."""

import os

# Read by TensorFlow and Keras when they are imported, which is after this and never from here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
