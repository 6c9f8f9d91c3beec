"""The report page: one self-contained HTML file that says what a trained detector can and cannot be trusted with.

`inputs` reads what the other stages wrote; `conclusion`, `limits`, `tables`, `charts` and `clips` make the contents from it;
`page` collects them and `render` fills the template. The numbers come from the other stages; only the error rates by speaker and
by duration are computed here, from the scores of the evaluation.
"""
