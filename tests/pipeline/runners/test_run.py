"""How the failures of a worker reach the caller."""

import apache_beam as beam
import pytest

from pipeline.errors import RunnerError, StoreError
from pipeline.runners.run import run


def test_an_error_for_people_in_a_worker_comes_back_as_itself() -> None:
    def fail(number: int) -> int:
        raise StoreError("the disk is full; make room")

    with pytest.raises(StoreError, match=r"^the disk is full; make room$"):
        run(lambda p: p | beam.Create([1]) | beam.Map(fail), ["--runner=FnApiRunner"], list)


def test_any_other_error_in_a_worker_says_what_it_was() -> None:
    with pytest.raises(RunnerError, match=r"^the job failed: ZeroDivisionError: division by zero$"):
        run(lambda p: p | beam.Create([0]) | beam.Map(lambda n: 1 / n), ["--runner=FnApiRunner"], list)
