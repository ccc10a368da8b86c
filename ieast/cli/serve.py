"""The command `ieast serve`."""

import importlib.util
import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ieast.cli.models import model_folder
from ieast.cli.registry import connect_registry
from ieast.errors import ConfigError
from ieast.installation import install_with
from ieast.stylization.loading import device_called

if TYPE_CHECKING:
    import torch

    from ieast.service.app import Service
    from ieast.service.models import Follower


def serve(
    model: Annotated[
        str | None, typer.Argument(help="A shipped model's name, a model folder, or models:/NAME@ALIAS; by default `ieast`.")
    ] = None,
    follow: Annotated[
        str | None, typer.Option(help="models:/NAME@ALIAS: take up each version that it comes to mean, while serving.")
    ] = None,
    follow_every: Annotated[float, typer.Option(min=0.1, help="Seconds between looks at what --follow means.")] = 15.0,
    host: Annotated[str, typer.Option(help="127.0.0.1 is this machine only; 0.0.0.0 is whoever reaches it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="IEAST_API_KEY", help="What clients must send as X-API-Key; better by the variable, which others do not see."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Pictures computed at once; each takes memory.")] = 1,
    waiting: Annotated[int, typer.Option(min=0, help="Requests that may wait beside those.")] = 16,
    seconds: Annotated[float, typer.Option(min=1, help="That a request may take.")] = 60.0,
    megabytes: Annotated[int, typer.Option(min=1, help="That a request may have, pictures and all.")] = 32,
    pixels: Annotated[int, typer.Option(min=4096, help="That a picture may have to be stylized.")] = 2048 * 2048,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.")] = "auto",
    precision: Annotated[
        Literal["fp32", "bf16"], typer.Option(help="bf16 is up to twice as fast where the hardware can, and a little coarser.")
    ] = "fp32",
) -> None:
    """Serve a model over HTTP, with a web page, until Ctrl-C."""
    needed = ("cachetools", "fastapi", "fastapi_swagger", "prometheus_client", "python_multipart", "uvicorn")
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"ieast serve needs {' and '.join(missing)}: {install_with('serve')}")
    # An empty variable is no key to typer; whoever set it thinks otherwise.
    if not (os.environ.get("IEAST_API_KEY", "unset") if api_key is None else api_key).strip():
        raise ConfigError(
            "--api-key (or IEAST_API_KEY) is empty, and whoever reaches the service could use it. Set it, or leave it out"
        )
    import torch

    from ieast.io.images import MAX_PIXELS
    from ieast.io.ports import listen
    from ieast.models.references import is_uri
    from ieast.service.app import Service, make_app
    from ieast.service.limits import Limits
    from ieast.service.models import load_registered, load_served
    from ieast.service.server import is_loopback, server_of
    from ieast.stylizer.allocator import keep_freed_memory

    if pixels > MAX_PIXELS:
        raise ConfigError(f"--pixels is {pixels:,}; pictures of more than {MAX_PIXELS:,} are not read. Give at most that")
    keep_freed_memory(1 << 30)  # a server that once met a large picture need not hold on to all it took
    if workers > 1:
        torch.set_num_threads(max(1, torch.get_num_threads() // workers))  # threads of two pictures would wait for each other
    limits = Limits(
        body_bytes=megabytes << 20,
        decoded_pixels=max(Limits.decoded_pixels, pixels),
        stylized_pixels=pixels,
        workers=workers,
        waiting=waiting,
        seconds=seconds,
    )
    place = device_called(device)
    named = model or follow or "ieast"
    if is_uri(named):
        connect_registry(f"ieast serve {named}")
        served = load_registered(named, place, precision)
    else:
        served = load_served(model_folder(named), place, precision)
    service = Service(served, limits, api_key, precision)
    follower = None if follow is None else _follower(service, follow, follow_every, place)
    with listen(host, port) as listener:
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{listener.getsockname()[1]}"
        typer.echo(f"{served.title} paints at {address}/  and answers at {address}/docs  (Ctrl-C stops)")
        if api_key is None and not is_loopback(listener):
            typer.echo("note: whoever reaches this address may use it; IEAST_API_KEY=... asks for a key", err=True)
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # what service managers send ends like Ctrl-C, as a success
        # uvicorn raises again what interrupted it, unless the shell that started this had it ignored.
        with suppress(KeyboardInterrupt):
            server_of(make_app(service, follower), seconds).run(sockets=[listener])
    typer.echo("stopped; what had begun was finished")


def _follower(service: "Service", uri: str, seconds: float, device: "torch.device") -> "Follower":
    connect_registry(f"--follow {uri}")
    from ieast.registry.lookup import look_up
    from ieast.service.models import Follower, ServedModel, load_registered

    changes = service.measures.changes

    def use(model: ServedModel) -> None:
        service.use(model)
        changes.labels("taken").inc()

    name = look_up(uri).name
    return Follower(
        look=lambda: look_up(uri).version,
        load=lambda: load_registered(uri, device, service.precision),
        use=use,
        fail=changes.labels("failed").inc,
        current=service.model.version if service.model.name == name else "",
        seconds=seconds,
    )
