"""The recording in a request: a multipart form with one file, or the bytes as the body. All in memory, no temporary file."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Final

from fastapi import Request
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from model.detector import Source
from model.service.limits import MEBIBYTE, Limits

FIELD: Final = "file"
WITHOUT_NAME: Final = "-"
_FORM: Final = "multipart/form-data"
_TYPES: Final = ("application/octet-stream", "application/ogg")
_KINDS: Final = ("audio/", "video/")
"""Browsers call a recording in WebM or MP4 a video."""
_DISCARDED: Final = 4
"""How often the largest body is read and dropped, so that a client that sends first and reads later sees the answer."""


class RefusedError(Exception):
    """A request that gets no score.

    Attributes:
        status: Of HTTP.
        reason: Short and stable.
        message: For people.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message


async def read_source(request: Request, limits: Limits) -> Source:
    """The recording of a request.

    Raises:
        RefusedError: It is too large, too slow, of another media type, or malformed.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type and media_type not in (_FORM, *_TYPES) and not media_type.startswith(_KINDS):
        text = f"the media type {media_type[:60]!r} is no audio; send {_FORM} with a field {FIELD!r}, audio/* or {_TYPES[0]}"
        raise RefusedError(415, "unsupported_media_type", text)
    if media_type == _FORM and "boundary" not in request.headers["content-type"]:
        raise RefusedError(422, "malformed_request", "the form has no boundary")
    stated = request.headers.get("content-length", "")
    if stated.isascii() and stated.isdigit() and int(stated) > limits.max_bytes:
        raise too_large(limits)
    reading = _form(request, limits) if media_type == _FORM else _body(request, limits)
    try:
        return await asyncio.wait_for(reading, limits.upload_timeout_s)
    except asyncio.TimeoutError:
        text = f"the body did not arrive within {limits.upload_timeout_s:g} s"
        raise RefusedError(408, "upload_timeout", text) from None


def too_large(limits: Limits) -> RefusedError:
    """The refusal of a body that is too large."""
    text = f"the body has more than {limits.max_bytes / MEBIBYTE:g} MiB; send a shorter recording, or as FLAC"
    return RefusedError(413, "too_large", text)


async def discard(request: Request, limits: Limits) -> None:
    """Reads and drops what a refused client still sends, within limits."""

    async def drop() -> None:
        count = 0
        async for chunk in request.stream():
            count += len(chunk)
            if count > _DISCARDED * limits.max_bytes:
                return

    try:
        await asyncio.wait_for(drop(), limits.upload_timeout_s)
    except (asyncio.TimeoutError, RuntimeError):  # it was read already
        return


async def _limited(request: Request, limits: Limits) -> AsyncGenerator[bytes, None]:
    count = 0
    async for chunk in request.stream():
        count += len(chunk)
        if count > limits.max_bytes:
            raise too_large(limits)
        yield chunk


async def _body(request: Request, limits: Limits) -> Source:
    data = bytearray()
    async for chunk in _limited(request, limits):
        data += chunk
    return _source(WITHOUT_NAME, bytes(data))


async def _form(request: Request, limits: Limits) -> Source:
    parser = _MemoryParser(request.headers, _limited(request, limits), limits.max_bytes)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise RefusedError(422, "malformed_request", f"the form cannot be read: {error.message}") from None
    try:
        upload = form.get(FIELD)
        if not isinstance(upload, UploadFile):
            raise RefusedError(422, "missing_file", f"the form has no file in a field {FIELD!r}")
        return _source(upload.filename or WITHOUT_NAME, await upload.read())
    finally:
        await form.close()


def _source(name: str, data: bytes) -> Source:
    if not data:
        raise RefusedError(422, "empty", "there is no recording in the request")
    return Source(name, data)


class _MemoryParser(MultiPartParser):
    """Starlette's parser, whose spooled files never become files."""

    def __init__(self, headers: Headers, stream: AsyncGenerator[bytes, None], max_bytes: int) -> None:
        super().__init__(headers, stream, max_files=1, max_fields=8, max_part_size=4096)
        self.spool_max_size = max_bytes + 1
