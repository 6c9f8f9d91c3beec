"""Parameter files and protocols that attack: bombs, endless structures, huge numbers, control characters, paths that leave."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.synthetic_corpus import PROTOCOL_FILES, PROTOCOL_FOLDER, protocol_lines, write_protocols

REPOSITORY = Path(__file__).resolve().parents[2]
Attack = tuple[str, bytes, str]
"""Name, content, and what the error must say: the key, or the place."""

# What a terminal, a console with markup, a formula, a spreadsheet, a page, a shell or a chart could take for something else.
NAMES = (
    "[/red]",
    "[bold",
    "$x^$",
    "=HYPERLINK(1)",
    "<script>alert(1)</script>",
    "<b>&amp;'\"",
    "{{7*7}}",
    "%s%n",
    ":warning:",
    "@SUM(1+1)",
    "+1",
    r"\frac{",
    "語$",
    "e\u0301=",
    "|x|",
    "--help",
)


def parameter_attacks() -> Iterator[Attack]:
    """Contents of params.yaml that must be refused."""
    text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")

    def changed(key: str, value: str) -> bytes:
        """The project's file with another text behind a key of a section."""
        section, _, name = key.rpartition(".")
        start = text.index(f"\n{section.partition('.')[0]}:")
        found = re.compile(rf"^( +{name}:).*$", re.MULTILINE).search(text, start)
        assert found is not None
        return f"{text[: found.start()]}{found[1]} {value}{text[found.end() :]}".encode()

    for value in (".inf", "-.inf", ".nan", "1e999", "1e300", "-1e300"):
        for key in ("features.floor_db", "train.learning_rate", "store.target_shard_mib"):
            if not (value.startswith("-") and key != "features.floor_db" and value == "-1e300"):
                yield f"{key} {value}", changed(key, value), key
    for key in ("augment.seed", "train.seed", "crossval.seed"):
        for value in ("-1", "4294967296", "9" * 30, "1.5"):
            yield f"{key} {value[:10]}", changed(key, value), key
    yield "digits", changed("train.seed", "9" * 5000), "train.seed"
    yield "hex digits", changed("train.seed", "0x" + "f" * 5000), "train.seed"
    yield "sexagesimal", changed("train.steps", "1" + ":59" * 2000), "train.steps"
    yield "no date", changed("data.root", "2024-13-45"), "data.root"
    yield "date", changed("data.root", "2024-01-01"), "data.root"
    yield "object", changed("data.root", "!!python/object/apply:os.system ['true']"), "data.root"
    yield "binary", changed("data.root", "!!binary '!'"), "data.root"
    yield "no number", changed("train.seed", "!!int seven"), "train.seed"
    yield "control", changed("data.root", r'"a\e[31m"'), "data.root"
    yield "nul", changed("data.root", r'"a\0"'), "data.root"
    yield "surrogate", changed("data.root", r'"\uD800"'), "data.root"
    yield "long text", changed("data.root", "x" * 5000), "data.root"
    yield "itself", changed("train.channels", "&a [*a]"), "train.channels"
    yield "itself in a mapping", changed("augment.copies", "&a {b: *a}"), "augment.copies"
    laughs = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    yield "billion laughs", ("a0: &a0 [1, 1]\n" + laughs).encode(), "a4"
    merges = "".join(f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}\n" for n in range(1, 12))
    yield "merges", ("m0: &m0 {x: 1}\n" + merges).encode(), "m1"
    yield "deep list", b"data: " + b"[" * 20_000, "data"
    yield "deep mapping", b"data: " + b"{a: " * 15_000, "data.a"
    yield "deep blocks", b"data:\n" + b"".join(b" " * n + b"- \n" for n in range(1, 300)), "data"
    yield "twice", text.encode() + b"\ntrain: {}\n", "train"
    yield "twice inside", changed("train.seed", "1\n  seed: 2"), "train"
    yield "number as key", text.encode() + b"\n1: 2\n", "1"
    yield "list as key", text.encode() + b"\n? [a, b]\n: 2\n", "a list or mapping"
    yield "boolean as key", text.encode() + b"\non: 2\n", "on"
    yield "tab", text.replace("\n  root:", "\n\troot:", 1).encode(), "line"
    yield "UTF-16", text.encode("utf-16"), "UTF-8"
    yield "Latin-1", changed("data.root", "d\u00e4t\u00e4").decode().encode("latin-1", "replace"), "UTF-8"
    yield "NUL bytes", bytes(1000), "YAML"
    yield "two documents", text.encode() + b"\n---\n" + text.encode(), "document"
    yield "megabytes", text.encode() + b"# " + b"x" * (1 << 22), "bytes"
    yield "unclosed", changed("data.root", '"abc'), "line"
    yield "unknown alias", changed("data.root", "*nobody"), "nobody"
    yield "empty", b"", "sections"
    yield "a list", b"- data\n", "sections"


def protocol_attacks(root: Path) -> Iterator[tuple[str, str]]:
    """Writes corpora to `root`, each with a protocol that must be refused; gives a name and what is told of each."""
    good = protocol_lines("train")
    path = root / PROTOCOL_FOLDER / PROTOCOL_FILES["train"]

    def line(utterance_id: str) -> list[str]:
        return [*good, f"LA_0000 {utterance_id} - - bonafide"]

    where = f"{path.name}:{len(good) + 1}: "
    for name in ("../../../outside", "..", ".", "/etc/passwd", "a/b", "a/../b"):
        yield from _written(root, {"train": line(name)}, f"path {name}", where)
    for sign in ("\0", "\x1b[31m", "\x07", "\x7f", "\x85", "\u2028", "\u202e", "\x0b", "\x1f"):
        yield from _written(root, {"train": line(f"a{sign}b")}, f"sign {sign!a}", where)
    yield from _written(
        root, {"train": "\n".join(good) + "\nLA_0000 x" + "y" * 5000 + " - - bonafide\n"}, "long", where
    )
    yield from _written(root, {"train": "LA_0000 " * 100_000}, "endless line", f"{path.name}:1: the line")
    yield from _written(root, {"train": b"\xff\xfe" + "\n".join(good).encode("utf-16-le")}, "UTF-16", "UTF-8")
    yield from _written(root, {"train": bytes(100_000)}, "zeros", f"{path.name}:1: ")
    yield from _written(root, {"train": b"\x1f\x8b\x08" + bytes(500)}, "gzip", "UTF-8")
    for target in ("/etc/passwd", "/dev/zero", "/proc/kmsg"):
        write_protocols(root)
        path.unlink()
        path.symlink_to(target)
        yield f"protocol is {target}", path.name
        path.unlink()
    for field in ("../outside.flac", "/etc/passwd", "a/../../b.flac", '"a\nb.flac"', '"a\x1b.flac"', "a\0.flac"):
        yield from _table(
            root, f"{field},train,bonafide,x,s", f"table path {field!a}", f"corpus.csv:{2 + field.count(chr(10))}"
        )
    for field in ("a b", '"a\nb"', "a\x9b31m", "x" * 2000):
        yield from _table(
            root,
            f"a.flac,train,bonafide,{field},s",
            f"table id {field[:9]!a}",
            f"corpus.csv:{2 + field.count(chr(10))}",
        )
    yield from _table(root, 'a.flac,train,bonafide,"' + "x" * 200_000, "unclosed quote", "corpus.csv")


def _row_place(field: str) -> str:
    return f"corpus.csv:{2 + field.count(chr(10))}"


def _written(
    root: Path, changes: dict[str, list[str] | str | bytes], name: str, told: str
) -> Iterator[tuple[str, str]]:
    write_protocols(root, changes)
    yield name, told


def _table(root: Path, row: str, name: str, told: str) -> Iterator[tuple[str, str]]:
    text = f"path,split,label,utterance_id,speaker_id\n{row}\nb.flac,train,bonafide,b,s\n"
    (root / "corpus.csv").write_bytes(text.encode())
    yield name, told
