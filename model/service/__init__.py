"""The detector behind HTTP: the service of `bonafide serve`, and the page of `bonafide demo`.

Both need an extra (`pip install 'bonafide[serve]'`, `'bonafide[demo]'`). What a recording is worth is decided in `model.scoring`.
"""
