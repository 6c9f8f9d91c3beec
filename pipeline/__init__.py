"""Audio to feature store: corpora, front ends, augmentation, the Beam job and the store it writes.

Neither TensorFlow nor `model` is imported here: a cluster worker needs the base dependencies alone.
"""

import os

# Read by Arrow when it is imported. Its own allocator keeps up to four times the memory of a table that was read.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
