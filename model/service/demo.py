"""The page of `bonafide demo`: drop, record or pick a recording, and see verdict, warnings and the evidence.

Everything stays on the machine: Gradio's analytics are off, fonts are those of the system, and the page's content security policy
keeps a browser from asking any other host. Uploads lie in a folder that is removed at the end, and at most an hour.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model.detector import Detector, FileScore, Source
from model.report.explanation import explain, picture
from model.report.pictures import data_uri
from model.service.examples import Example
from model.service.limits import MEBIBYTE, Limits
from model.service.result_html import problem_html, result_html

_CLEAN_EVERY_S: Final = 600
_KEPT_S: Final = 3000
_AT_ONCE: Final = 2
_QUEUE: Final = 16
_POLICY: Final = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'self'"
)
_CSS: Final = """
.gradio-container { max-width: 1080px !important; margin: 0 auto !important; }
.verdict { border-left: 6px solid #888; padding: 0.6em 1em; }
.verdict h2 { margin: 0 0 0.2em; font-size: 1.5em; }
.verdict p { margin: 0.2em 0; }
.verdict.bona-fide { border-color: #0072b2; }
.verdict.spoof { border-color: #d55e00; }
.verdict.uncertain, .verdict.problem { border-color: #b58900; }
#evidence, #evidence * { min-width: 0; }
.picture { overflow-x: auto; max-width: calc(100vw - 7em); }
#evidence .picture img { width: 100%; min-width: 620px; max-width: none; }
"""


def settle(folder: Path) -> None:
    """Sets what Gradio reads while it is imported: no analytics, and where uploads go."""
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False",
        GRADIO_TEMP_DIR=str(folder),
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_OFFLINE="1",
        DO_NOT_TRACK="1",
    )


def make_demo(detector: Detector, limits: Limits, examples: Sequence[Example], folder: Path) -> ASGIApp:
    """The page of a model.

    Args:
        detector: That scores.
        limits: Size of an upload and longest duration.
        examples: Recordings to pick.
        folder: For uploads; removed by the caller.
    """
    settle(folder)
    import gradio as gr

    def judge(path: str | None) -> tuple[str, str]:
        return ("", "") if path is None else judged(detector, Path(path))

    with gr.Blocks(analytics_enabled=False, title="Bonafide", delete_cache=(_CLEAN_EVERY_S, _KEPT_S)) as blocks:
        gr.Markdown("# Bonafide\nReal speech or fake? Drop, record or pick a recording. Nothing leaves this machine.")
        clip = gr.Audio(
            sources=["upload", "microphone"], type="filepath", label="Recording", editable=False, buttons=[]
        )
        gr.Markdown(
            f"Any common format, at most {limits.max_bytes / MEBIBYTE:g} MiB and {limits.max_duration_s:g} s. "
            "Uploads are deleted when the demo ends, after an hour at the latest."
        )
        if examples:
            gr.Examples(
                [[str(example.path)] for example in examples],
                clip,
                example_labels=[example.title for example in examples],
                cache_examples=False,
                api_visibility="private",
            )
        verdict = gr.HTML(elem_id="verdict")
        evidence = gr.HTML(elem_id="evidence")
        with gr.Accordion("What the verdict rests on", open=False):
            gr.Markdown("\n\n".join(detector.terms.lines()))
        clip.change(judge, clip, [verdict, evidence], api_visibility="private", show_progress="full")
    blocks.queue(max_size=_QUEUE, default_concurrency_limit=_AT_ONCE, api_open=False)
    app = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=limits.max_bytes,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css=_CSS,
    )
    return _OnlyThisHost(app)


def judged(detector: Detector, path: Path) -> tuple[str, str]:
    """Verdict and picture of a recording as HTML; of one that cannot be scored, what is wrong and nothing."""
    source = Source(path.name, path)
    (record,) = detector.score_files([source])
    if record.problem is not None:
        return problem_html(record.problem), ""
    return result_html(record, detector.terms), _picture(detector, source, record)


def _picture(detector: Detector, source: Source, record: FileScore) -> str:
    image = data_uri("image/png", picture(explain(detector, source, record), detector))
    text = "Waveform, spectrogram with the evidence for the verdict, and the score over time"
    return f'<div class="picture"><img src="{image}" alt="{text}"></div>'


class _OnlyThisHost:
    """Adds the content security policy to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[Any] = list(message.get("headers", []))
                headers += [(b"content-security-policy", _POLICY.encode()), (b"referrer-policy", b"no-referrer")]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, sent if scope["type"] == "http" else send)
