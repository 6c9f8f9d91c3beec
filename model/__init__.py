"""Feature store to verdict: training, scoring, evaluation, export and the report.

The only package that imports TensorFlow; `metrics`, the data validation and their commands do without it.
"""

import os

# Read by TensorFlow and Keras when they are imported, which is after this and never from here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
