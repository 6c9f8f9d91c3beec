import random

import pyarrow as pa

from pipeline.corpus.clip_files import ClipFiles

NAMES = [f"clip_{number}" for number in range(500)] + ["é", "Z", "a", "\U0001f600", "\uffff", "e\u0301", "-"]


def table(names: list[str]) -> pa.Table:
    rows = [{"utterance_id": name, "path": f"{name}.flac", "sha256": name if name != "a" else None} for name in names]
    schema = pa.schema([("utterance_id", pa.string()), ("path", pa.string()), ("sha256", pa.string())])
    return pa.concat_tables(pa.Table.from_pylist(rows[at : at + 100], schema) for at in range(0, len(rows), 100))


def test_every_clip_is_found_by_its_id_whatever_the_order() -> None:
    shuffled = random.Random(0).sample(NAMES, len(NAMES))
    files = ClipFiles(table(shuffled))

    assert len(files) == len(NAMES)
    for name in NAMES:
        assert files.find(name) == (f"{name}.flac", name if name != "a" else None)


def test_an_unknown_id_is_not_found() -> None:
    files = ClipFiles(table(NAMES))
    assert [files.find(name) for name in ("", "clip_", "clip_9999", "zz", "\U0010ffff")] == [None] * 5
    assert ClipFiles(table(["a"]).slice(1)).find("a") is None
