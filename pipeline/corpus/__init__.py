"""Corpora on disk: fetching them, checking their protocols in any layout, and the manifest with one row per utterance.

`schema` holds the vocabulary of splits, labels and columns that every later stage uses. Decoding is in `pipeline.audio`.
"""
