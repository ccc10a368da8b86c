"""The web page on which people vote.

Pages are plain HTML with forms, and need neither scripts nor anything from elsewhere. A participant's link holds a secret
token, and whoever has it may vote; a cookie with the same token brings those back who lost the link. What a browser gets are
questions as `ieast.study.store.Asked` has them, so no page, address or header can tell a method.
"""

import asyncio
import logging
import math
import re
import secrets
import socket
import sqlite3
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl

import jinja2
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ieast.io.deadlines import PunctualProtocol
from ieast.study.store import PICTURES, AnswerError, Store, UnknownLinkError

LARGEST_FORM = 2048
"""Bytes; ours have under 100."""

FORM_SECONDS = 30.0
"""In which a form must have arrived; who sends it more slowly gives up the connection."""

COOKIE = "place"
SECONDS = {"deception": 6, "preference": 15}
"""What people take for a question, roughly: for the page that says how long it will take."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}

_STATIC = Path(__file__).parent / "static"
_PAGES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_MESSAGES = {
    400: ("That did not work", "The page sent something that cannot be understood. Go back and try again."),
    404: ("Nothing here", "This address leads nowhere in the study. If it is your personal link, see that it is complete."),
    408: ("Too slow", "The answer did not arrive. Go back and try again."),
    413: ("Too much", "The page sent more than an answer. Go back and try again."),
    503: ("One moment", "Many people are answering just now. Wait a little, then load this page again; nothing is lost."),
}

router = APIRouter()
_log = logging.getLogger(__name__)


def make_app(store: Store) -> FastAPI:
    """The study in `store` as an ASGI application; several may serve one study."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.store = store
    app.include_router(router)
    app.add_middleware(_WithHeaders)
    app.add_exception_handler(AnyHTTPException, lambda _, error: _message(getattr(error, "status_code", 400)))
    app.add_exception_handler(RequestValidationError, lambda *_: _message(400))
    app.add_exception_handler(AnswerError, lambda *_: _message(400))
    app.add_exception_handler(UnknownLinkError, lambda *_: _message(404))
    app.add_exception_handler(sqlite3.OperationalError, _explain_delay)
    return app


def serve(store: Store, listener: socket.socket) -> None:
    """Answer requests on `listener` until interrupted; votes under way are then still recorded."""
    config = uvicorn.Config(
        make_app(store),
        access_log=False,  # it would hold personal links and addresses
        log_level="warning",
        http=PunctualProtocol,  # of the implementation whose limit on headers can be set
        h11_max_incomplete_event_size=16384,
        limit_concurrency=512,
        server_header=False,
        ws="none",
    )
    uvicorn.Server(config).run(sockets=[listener])


async def _read_form(request: Request) -> dict[str, str]:
    body = bytearray()
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST_FORM:
                    raise HTTPException(413)
    except TimeoutError:
        raise HTTPException(408) from None
    try:
        return dict(parse_qsl(body.decode("ascii"), max_num_fields=8))
    except ValueError:
        raise HTTPException(400) from None


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


Form = Annotated[dict[str, str], Depends(_read_form)]
Study = Annotated[Store, Depends(_store)]


@router.get("/")
def introduce(request: Request, store: Study) -> Response:
    """What the study is, and a button to begin, or to go on for whoever has begun on this device."""
    token = request.cookies.get(COOKIE, "")
    try:
        answered, total = store.progress(token)
    except UnknownLinkError:
        token, answered, total = "", 0, 0
    room = store.has_room()
    if not token and not room:
        return _page("full.html")
    counts = store.counts()
    minutes = math.ceil(sum(SECONDS[kind] * count for kind, count in counts.items()) / 60)
    visit = secrets.token_hex(16)
    return _page(
        "intro.html", counts=counts, minutes=minutes, visit=visit, room=room, token=token, answered=answered, total=total
    )


@router.post("/begin")
def begin(form: Form, store: Study) -> Response:
    """Take the next free place, and go to its first question."""
    visit = form.get("visit", "")
    if not re.fullmatch("[0-9a-f]{32}", visit):
        raise HTTPException(400)
    token = store.claim(visit)
    if token is None:
        return _page("full.html")
    answer = RedirectResponse(f"/s/{token}", status_code=303)
    answer.set_cookie(COOKIE, token, max_age=30 * 24 * 3600, httponly=True, samesite="lax")
    return answer


@router.get("/s/{token}")
def ask(token: str, store: Study) -> Response:
    """The question that comes next, or thanks."""
    asked = store.show(token)
    if asked is None:
        return _page("thanks.html")
    return _page("question.html", asked=asked, token=token)


@router.post("/s/{token}")
def answer(token: str, form: Form, store: Study) -> Response:
    """Record an answer, and go to the question that comes next."""
    number, chosen = form.get("question", ""), form.get("answer", "")
    if not re.fullmatch("[0-9]{1,6}", number) or not re.fullmatch("[0-9]{1,3}", chosen):
        raise HTTPException(400)
    store.vote(token, int(number), int(chosen))
    return RedirectResponse(f"/s/{token}", status_code=303)


@router.get("/pictures/{file}")
def picture(file: str, store: Study) -> Response:
    """A picture; without the time or tag by which files of one origin could be told from others."""
    if not re.fullmatch(r"[0-9a-f]{16}\.jpg", file):
        raise HTTPException(404)
    try:
        content = (store.folder / PICTURES / file).read_bytes()
    except FileNotFoundError:
        raise HTTPException(404) from None
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=604800, immutable"})


@router.get("/style.css")
def style() -> Response:
    """How pages look."""
    return FileResponse(_STATIC / "style.css", media_type="text/css", headers={"Cache-Control": "no-cache"})


@router.get("/favicon.ico")
def icon() -> Response:
    """None; browsers ask for it all the same."""
    return Response(status_code=204)


def _page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    # Not stored, so that going back shows the question that is open now and not one that was answered.
    return HTMLResponse(_PAGES.get_template(template).render(values), status, headers={"Cache-Control": "no-store"})


def _explain_delay(request: Request, error: Exception) -> HTMLResponse:
    _log.error("%s: %s", request.method, error)
    return _message(503)


def _message(status: int) -> HTMLResponse:
    title, text = _MESSAGES.get(status, _MESSAGES[400])
    return _page("message.html", status, title=title, text=text)


class _WithHeaders:
    """Adds `HEADERS` to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode()) for name, value in HEADERS.items()),
                ]
            await send(message)

        await self.app(scope, receive, sending)
