from evaluation.metrics import metric as metric_lib


def test_reasons_are_counted_the_most_frequent_first_and_then_by_name():
    counts = metric_lib.count_reasons(["short", "silent", "noisy", "silent"])
    assert list(counts.items()) == [("silent", 2), ("noisy", 1), ("short", 1)]


def test_scores_become_values_and_the_reasons_of_missing_ones():
    scores = {"pitch": metric_lib.Score(1), "level": metric_lib.missing("no sound")}
    written = metric_lib.to_json(scores)
    assert written == {
        "values": {"pitch": 1.0, "level": None},
        "reasons": {"level": "no sound"},
    }


def test_directions_are_named_as_summaries_have_them():
    assert (metric_lib.LOWER, metric_lib.HIGHER, metric_lib.RECORDING) == (
        *("lower", "higher", "recording"),
    )
