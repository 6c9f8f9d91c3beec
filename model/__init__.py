"""Feature store to verdict: training, scoring, evaluation and the report."""
