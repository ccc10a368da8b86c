"""The service as an ASGI application.

`POST /v1/stylize` makes pictures, `/` is the page on which people do, and the rest says how the service is. Whatever is refused
is answered as `{"detail": a sentence, "request": the identity that the log has}`.
"""

import asyncio
import hmac
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import jinja2
from fastapi import APIRouter, Depends, FastAPI, Request, Security
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from fastapi.security import APIKeyHeader
from fastapi.staticfiles import StaticFiles
from fastapi_swagger import resources as swagger
from PIL import Image
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ieast import __version__
from ieast.config.stylization import Precision
from ieast.errors import ConfigError, ImageError, MemoryLimitError, NumericsError, TooManyPixelsError
from ieast.service.frame import GONE, RequestFrame
from ieast.service.gate import ClientGoneError, Gate
from ieast.service.limits import Limits, RefusalError
from ieast.service.metrics import Measures
from ieast.service.models import Follower, ServedModel
from ieast.service.orders import read_order
from ieast.service.painting import StyleCache, paint
from ieast.service.schema import DESCRIPTION, ERRORS, stylize_schema
from ieast.styles import shipped_styles
from ieast.stylizer.novelty import Novelty

_HERE = Path(__file__).parent
_SWAGGER = Path(swagger.__path__[0])
_THUMBNAIL = 240
_SIDES, _USUAL_SIDE = (512, 1024, 1536, 2048, 3072, 4096), 1024
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=jinja2.StrictUndefined
)
_FORGETFUL = {"Cache-Control": "no-store"}
_LASTING = {"Cache-Control": "public, max-age=86400"}

_KEY_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="Where the service asks for one.")

router = APIRouter()


class Service:
    """What the requests of one application share."""

    def __init__(self, model: ServedModel, limits: Limits, api_key: str | None = None, precision: Precision = "fp32") -> None:
        """Serve `model` within `limits`, to those who know `api_key` if there is one."""
        self.limits, self.api_key, self.precision = limits, api_key, precision
        self.measures = Measures()
        self.gate = Gate(limits, self.measures)
        self.cache = StyleCache(limits.cache_bytes, self.measures)
        self.closing = False
        self.use(model)

    def use(self, model: ServedModel) -> None:
        """Let `model` answer from the next request on."""
        self.measures.model.clear()
        self.measures.model.labels(model.name, model.version, model.digest[:12]).set(1)
        self.model = model


class StyleEntry(BaseModel):
    """A style that the service ships."""

    name: str
    title: str
    picture: str
    thumbnail: str


class TrainingStyles(BaseModel):
    """The styles that a model was trained on: how many, and the novelty below which half and 95 % of them have theirs."""

    count: int
    median: float
    most: float


class ModelEntry(BaseModel):
    """The model that answers now."""

    name: str
    version: str
    aliases: list[str]
    method: str
    encoder: str
    digest: str
    metrics: dict[str, float]
    licence: str | None
    training_styles: TrainingStyles | None


class State(BaseModel):
    """How the service is."""

    status: str


def make_app(service: Service, follower: Follower | None = None) -> FastAPI:
    """The application around `service`; `follower` looks for newer models while it runs."""

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        if follower is not None:
            follower.start()
        yield
        service.closing = True
        if follower is not None:
            follower.stop()
        await asyncio.to_thread(service.gate.close)

    app = FastAPI(title="IEAST", description=DESCRIPTION, version=__version__, docs_url=None, redoc_url=None, lifespan=living)
    app.state.service = service
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=_HERE / "static"))
    app.mount("/docs/static", StaticFiles(directory=_SWAGGER))
    app.add_middleware(RequestFrame, measures=service.measures, body_bytes=service.limits.body_bytes)
    app.add_exception_handler(RefusalError, _refuse)
    app.add_exception_handler(HTTPException, _explain)
    return app


async def _service(request: Request) -> Service:  # like all that is asynchronous here, it costs no change of threads
    service: Service = request.app.state.service
    return service


async def _with_key(request: Request, key: Annotated[str | None, Security(_KEY_HEADER)]) -> None:
    expected = (await _service(request)).api_key
    if expected is None:
        return
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    given = key or (bearer.strip() if scheme.lower() == "bearer" else "")
    # Starlette reads headers as Latin-1, whatever bytes they are.
    if not hmac.compare_digest(given.encode("latin-1"), expected.encode()):
        what = "This API key is not the right one." if given else "This needs an API key."
        raise RefusalError(401, f"{what} Send it as the header X-API-Key.", {"WWW-Authenticate": "Bearer"})


Shared = Annotated[Service, Depends(_service)]
KEY = [Depends(_with_key)]


@router.post(
    "/v1/stylize",
    dependencies=KEY,
    tags=["pictures"],
    summary="Paint a photograph",
    response_class=Response,
    responses={
        200: {"description": "The picture.", "content": {"image/jpeg": {}, "image/png": {}, "image/webp": {}}},
        **ERRORS,
    },
    openapi_extra=stylize_schema(),
)
async def stylize(request: Request, service: Shared) -> Response:
    """Paint a photograph in one or several styles; the result has its width and height unless `longest_side` says otherwise."""
    limits, facts = service.limits, request.scope["facts"]
    with service.gate.admit():
        try:
            async with asyncio.timeout(limits.seconds):
                order = await read_order(request, limits, service.precision)
                model = service.model  # what is promoted from here on is for the next request
                facts |= {"model": model.title, "styles": len(order.styles), "format": order.format}
                work = partial(paint, order, model, service.cache, limits)
                painted, waited = await service.gate.compute(work, partial(_gone, request))
        except TimeoutError:
            raise RefusalError(
                503,
                f"This took longer than {limits.seconds:g} s. Send a smaller picture or longest_side, or come again later.",
                {"Retry-After": "5"},
            ) from None
        except TooManyPixelsError as error:
            raise RefusalError(413, _sentence(error)) from None
        except (ImageError, ConfigError, NumericsError) as error:
            raise RefusalError(422, _sentence(error)) from None
        except (MemoryLimitError, MemoryError):
            raise RefusalError(
                503,
                "There is not enough memory for this picture just now. Make it smaller, or come again later.",
                {"Retry-After": "5"},
            ) from None
        except (ClientGoneError, ClientDisconnect):
            facts["status"] = GONE
            return Response(status_code=204)
    facts |= {"width": painted.width, "height": painted.height, "cached_styles": painted.cached}
    seconds = {"waiting": waited, **painted.seconds}
    facts |= {f"{stage}_seconds": round(value, 4) for stage, value in seconds.items()}
    for stage, value in seconds.items():
        service.measures.stages.labels(stage).observe(value)
    headers = _FORGETFUL | {
        "X-Model": quote(model.name),  # headers hold Latin-1 only, and folders may have any name
        "X-Model-Version": quote(model.version),
        "X-Model-Digest": model.digest,
        **_novelty_header(painted.novelty),
        "Server-Timing": ", ".join(f"{stage};dur={1000 * value:.1f}" for stage, value in seconds.items()),
        "Content-Disposition": f'inline; filename="stylized.{order.format.replace("jpeg", "jpg")}"',
    }
    return Response(painted.data, media_type=f"image/{order.format}", headers=headers)


@router.get("/v1/styles", tags=["pictures"], summary="List the shipped styles")
async def list_styles() -> list[StyleEntry]:
    """The styles that come with the service, for the field `style_name`."""
    return [
        StyleEntry(
            name=name,
            title=name.replace("_", " ").replace("sumi e", "sumi-e").capitalize(),
            picture=f"/v1/styles/{name}",
            thumbnail=f"/v1/styles/{name}/thumbnail",
        )
        for name in shipped_styles()
    ]


@router.get("/v1/styles/{name}", tags=["pictures"], summary="A style's picture", response_class=FileResponse)
async def show_style(name: str) -> Response:
    """A style's picture."""
    if name not in shipped_styles():
        raise RefusalError(404, f"There is no shipped style {name[:40]!r}. GET /v1/styles lists them.")
    return FileResponse(shipped_styles()[name], media_type="image/jpeg", headers=_LASTING)


@router.get("/v1/styles/{name}/thumbnail", tags=["pictures"], summary="A style's picture, small", response_class=Response)
def show_thumbnail(name: str) -> Response:
    """A style's picture, small."""
    if name not in shipped_styles():
        raise RefusalError(404, f"There is no shipped style {name[:40]!r}. GET /v1/styles lists them.")
    return Response(_thumbnail(name), media_type="image/jpeg", headers=_LASTING)


@router.get("/v1/model", dependencies=KEY, tags=["service"], summary="The model that answers")
async def describe_model(service: Shared) -> ModelEntry:
    """The model that answers: version, alias, digest, scores, licence."""
    model = service.model
    return ModelEntry(
        name=model.name,
        version=model.version,
        aliases=list(model.aliases),
        method=model.method,
        encoder=model.encoder,
        digest=model.digest,
        metrics=model.metrics,
        licence=model.licence,
        training_styles=_training_styles(model),
    )


@router.get("/healthz", tags=["service"], summary="Whether it lives")
async def live() -> State:
    """Whether the process answers at all."""
    return State(status="alive")


@router.get(
    "/readyz",
    tags=["service"],
    summary="Whether the next picture would be taken",
    responses={503: {"description": "Full, or shutting down.", "model": State}},
)
async def ready(service: Shared) -> Response:
    """Whether the next picture would be taken, for load balancers."""
    status = "closing" if service.closing else "full" if service.gate.full else "ready"
    return JSONResponse({"status": status}, 200 if status == "ready" else 503, headers=_FORGETFUL)


@router.get("/metrics", dependencies=KEY, tags=["service"], summary="Counters for Prometheus", response_class=Response)
async def measure(service: Shared) -> Response:
    """Counters and timings for Prometheus."""
    return Response(service.measures.text(), headers={"Content-Type": service.measures.media_type})


@router.get("/", include_in_schema=False)
async def show_page(service: Shared) -> HTMLResponse:
    """The page on which people stylize."""
    limits = service.limits
    largest = int(limits.stylized_pixels**0.5)
    sides = [*(side for side in _SIDES if side < largest), largest]
    usual = max((side for side in sides if side <= _USUAL_SIDE), default=largest)
    values = {"limits": limits, "sides": sides, "usual_side": usual, "has_key": service.api_key is not None}
    page = _TEMPLATES.get_template("index.html").render(values, version=__version__)
    return HTMLResponse(page, headers={"Cache-Control": "no-cache"})


@router.get("/docs", include_in_schema=False)
async def show_docs() -> HTMLResponse:
    """The interactive description of the interface."""
    return HTMLResponse(_TEMPLATES.get_template("docs.html").render(), headers={"Cache-Control": "no-cache"})


@router.get("/favicon.ico", include_in_schema=False)
async def icon() -> Response:
    """For browsers that ask for it by its old name."""
    return FileResponse(_HERE / "static" / "icon.svg", media_type="image/svg+xml", headers=_LASTING)


def _training_styles(model: ServedModel) -> TrainingStyles | None:
    known = model.styles
    return None if known is None else TrainingStyles(count=known.count, median=known.quantile(0.5), most=known.quantile(0.95))


async def _gone(request: Request) -> None:
    """Return when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _novelty_header(styles: Sequence[Novelty | None]) -> dict[str, str]:
    """One number a style, as `/v1/model` speaks of; absent where the model does not know its training styles."""
    if all(style is None for style in styles):
        return {}
    return {"X-Style-Novelty": ", ".join("-" if style is None else f"{style.distance:.2f}" for style in styles)}


@cache
def _thumbnail(name: str) -> bytes:
    with Image.open(shipped_styles()[name]) as image:
        image.thumbnail((2 * _THUMBNAIL, _THUMBNAIL))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def _sentence(error: Exception) -> str:
    return f"{str(error).removesuffix('.')}."


def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusalError)
    request.scope["facts"]["refused"] = error.status
    identity = request.scope["request_id"]
    return JSONResponse({"detail": error.detail, "request": identity}, error.status, headers=_FORGETFUL | dict(error.headers))


def _explain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    details = {
        404: "There is nothing at this address. / is the page, /docs what else there is.",
        405: "This address takes no such request. /docs says which.",
    }
    detail = details.get(error.status_code, str(error.detail))
    identity = request.scope["request_id"]
    return JSONResponse(
        {"detail": detail, "request": identity}, error.status_code, headers=_FORGETFUL | dict(error.headers or {})
    )
