"""The checks of `pipeline.store.verify`, one module per kind: store.json, files, tables, records, manifest.

Each check adds what is wrong to a `Findings`. The order of the checks of one shard is in `shard`, that of the whole store in
`pipeline.store.verify`.
"""
