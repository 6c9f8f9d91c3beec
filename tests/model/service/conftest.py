"""The detector of the tones as a service."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.trained_model import Trained

if TYPE_CHECKING:
    from model.detector import Detector

LONGEST_S = 20.0


@pytest.fixture(scope="package")
def detector(trained: Trained) -> "Detector":
    from model.detector import Detector

    return Detector.load(trained.model, longest_s=LONGEST_S)


@pytest.fixture(scope="package")
def client(detector: "Detector") -> Iterator[Any]:
    """A client of the service; it may be used in threads."""
    pytest.importorskip("fastapi", reason="needs the extra serve")
    from starlette.testclient import TestClient

    from model.service.app import make_app
    from model.service.limits import MEBIBYTE, Limits

    with TestClient(make_app(detector, Limits(max_bytes=20 * MEBIBYTE, max_requests=40))) as found:
        yield found
