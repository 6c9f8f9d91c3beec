"""The report page: one self-contained HTML file that says what a trained detector can and cannot be trusted with.

`page` gathers and renders; `inputs` reads what the other stages wrote; `words` and `tables` turn numbers into sentences and
rows; `charts`, `clips` and `gradcam` make the pictures. Nothing is measured here: every number comes from the evaluation, the
data validation, the training or the store, except error rates of parts of the data, which are computed from its scores.
"""
