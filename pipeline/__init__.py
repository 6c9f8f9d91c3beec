"""Audio to feature store: corpora, front ends, augmentation, the Beam job and the store it writes.

Neither TensorFlow nor `model` is imported here: a cluster worker needs the base dependencies alone.
"""
