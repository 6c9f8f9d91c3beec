"""S3-compatible servers with less than Amazon's: they refuse checksum headers, or conditional PUT, as several do."""

import contextlib
import email.utils
import hashlib
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHECKSUM_HEADERS = ("x-amz-checksum", "x-amz-sdk-checksum-algorithm", "x-amz-trailer")


class StrictHandler(BaseHTTPRequestHandler):
    """One bucket in memory: PUT, GET with ranges, HEAD, DELETE, lists; no multipart uploads.

    Attributes:
        objects: Content by path.
        refused: Beginnings of the names of headers that a PUT must not have.
        answer: Status, code and message for such a PUT.
    """

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    refused: tuple[str, ...]
    answer: tuple[int, str, str]

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def fail(self, status: int, code: str, message: str = "x") -> None:
        self.reply(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urllib.parse.urlparse(self.path).path
        if any(name.lower().startswith(self.refused) for name in self.headers):
            self.fail(*self.answer)
        elif (self.headers.get("If-None-Match") and path in self.objects) or (
            self.headers.get("If-Match", etag(self.objects.get(path, b""))) != etag(self.objects.get(path, b""))
        ):
            self.fail(412, "PreconditionFailed")
        else:
            self.objects[path] = content
            self.reply(200, ETag=etag(content))

    def do_GET(self) -> None:
        url = urllib.parse.urlparse(self.path)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        if "list-type" in query or "uploads" in query:
            folder = url.path.rstrip("/") + "/"
            names = [path.removeprefix(folder) for path in sorted(self.objects) if "list-type" in query]
            prefix = query.get("prefix", [""])[0]
            found = "".join(f"<Contents><Key>{name}</Key></Contents>" for name in names if name.startswith(prefix))
            self.reply(200, f"<Result><IsTruncated>false</IsTruncated>{found}</Result>".encode())
        elif url.path not in self.objects:
            self.fail(404, "NoSuchKey")
        else:
            content = self.objects[url.path]
            headers = {"ETag": etag(content), "Last_Modified": email.utils.formatdate(usegmt=True)}
            begin, _, end = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
            self.reply(206 if end else 200, content[int(begin) : int(end) + 1] if end else content, **headers)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.objects.pop(urllib.parse.urlparse(self.path).path, None)
        self.reply(204)


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


@contextlib.contextmanager
def strict_s3_server(
    refused: tuple[str, ...] = CHECKSUM_HEADERS, status: int = 501, code: str = "NotImplemented"
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Runs a server that refuses headers; gives its address and its objects by path."""
    message = "A header you provided implies functionality that is not implemented."
    if status != 501:
        message = "Unsupported header 'x-amz-sdk-checksum-algorithm' received for this API call."
    attributes = {"objects": {}, "refused": refused, "answer": (status, code, message)}
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (StrictHandler,), attributes)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", attributes["objects"]
        finally:
            server.shutdown()
            thread.join()
