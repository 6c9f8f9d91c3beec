from pipeline.corpus.utterances import Utterance, Utterances

ROWS = [
    Utterance("train", "b", "S1", None, 1, None, "protocol.txt:2"),
    Utterance("eval", "c", None, None, None, "a/c.wav", "table.csv:row 3"),
    Utterance("train", "a", "S1", "A01", 0, None, ""),
    Utterance("train", "b", "S2", "A02", 0, None, "C:\\corpus\\protocol.txt:9"),
]


def test_columns_give_the_same_utterances_back() -> None:
    utterances = Utterances(ROWS)
    assert list(utterances) == ROWS
    assert (len(utterances), utterances[1], utterances[-1], utterances[1:3]) == (4, ROWS[1], ROWS[3], ROWS[1:3])
    assert list(Utterances()) == []


def test_they_are_added_and_sorted_by_split_and_id() -> None:
    both = Utterances(ROWS[:2]) + Utterances(ROWS[2:])
    assert list(both) == ROWS
    assert [(u.split, u.utterance_id) for u in both.sorted()] == [
        ("eval", "c"),
        ("train", "a"),
        ("train", "b"),
        ("train", "b"),
    ]


def test_ids_that_occur_twice_are_found() -> None:
    assert Utterances(ROWS).repeated_ids() == {"b"}
    assert Utterances(ROWS[:3]).repeated_ids() == set()
