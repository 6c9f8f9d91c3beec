"""The trained model for serving, from waveform to verdict, in the formats of `export`, with a model card.

Here are the front ends as Keras layers and `serving`, which joins them with network and calibration. What is exported is the
bundle of `model.bundle`; scoring inside this project does not use the exported models.
"""
