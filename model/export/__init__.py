"""The trained model for serving: one model from waveform to log-likelihood ratio, written in the formats of `export`.

Here are the front ends as Keras layers and `serving`, which joins them with network and calibration. What is exported is the
bundle of `model.bundle`; scoring inside this project does not use the exported models.
"""
