"""Augmentation of waveforms: one module for each kind, with its parameters, what it draws and what it does.

`augmenter` holds the parameters of all kinds, their order and the recipe of a copy; `base` says what a kind must offer.
Decoding is in `pipeline.audio`, masks on spectrograms are in `model.sampler`.
"""
