"""Copy-synthesis: bona fide speech resynthesised by a vocoder or a lighter kind of processing, one module for each kind.

`synthesizer` holds the registry of kinds and what a twin is; `base` says what a kind must offer; `matching` gives every
twin the band, the level and the rounding of its original. Augmentation of both classes is in `pipeline.augmentation`.
"""
