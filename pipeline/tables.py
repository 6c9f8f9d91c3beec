"""Arrow tables in little memory."""

from collections.abc import Iterable

import pyarrow as pa


def gathered(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """A table of many batches with one chunk per column, so that rows are taken without a copy of the table.

    A column of strings of more than 2 GiB keeps several chunks. Works column after column: `combine_chunks` of the table
    would hold it twice.
    """
    table = pa.Table.from_batches(batches, schema)
    for place, field in enumerate(schema):
        table = table.set_column(place, field, table.select([place]).combine_chunks()[0])
        # The batches are small, so malloc would keep their memory.
        pa.default_memory_pool().release_unused()
    return table
