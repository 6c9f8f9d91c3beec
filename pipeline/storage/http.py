"""HTTP answers whose headers are whole."""

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from typing_extensions import override


class WholeAnswers(HTTPAdapter):
    """Takes an answer whose headers broke off for no answer: Python takes what came for all of them, and the body for empty."""

    @override
    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        response = super().send(*arguments, **options)
        stated = {"content-length", "transfer-encoding"} & {name.lower() for name in response.headers}
        if response.status_code in (200, 206) and not stated:
            response.close()
            raise requests.ConnectionError("the headers of the answer broke off", request=response.request)
        return response
