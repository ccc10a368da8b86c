"""Build the browser demo: a static folder that any host can serve.

python web/build.py -o build/web-demo, after `npm install` in this folder has fetched ONNX Runtime for browsers.
"""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from ieast.data.sample import draw_artwork
from ieast.data.sample.artworks import artwork_kind
from ieast.io.files import replace_folder, temporary_folder
from ieast.io.images import write_image
from ieast.models.pretrained import MODELS
from ieast.onnx.folder import INSIDE, read_onnx_card

HERE = Path(__file__).resolve().parent
RUNTIME = HERE / "node_modules" / "onnxruntime-web" / "dist"
PAGE = ("index.html", "style.css", "app.js", "engine.js", "noise.js", "worker.js", "sw.js")
# Without a graphics processor, and with one.
LOADED = (
    "ort.wasm.bundle.min.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort-wasm-simd-threaded.mjs",
    "ort.webgpu.bundle.min.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
    "ort-wasm-simd-threaded.asyncify.mjs",
)
STYLES = 12


def main(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder; one that is there is replaced.")],
    model: Annotated[Path, typer.Option(help="An exported model.")] = MODELS["ieast"] / INSIDE,
) -> None:
    """Put the page, the model, a wall of drawn styles and ONNX Runtime into a folder."""
    card = read_onnx_card(model)
    if missing := [name for name in LOADED if not (RUNTIME / name).is_file()]:
        raise typer.BadParameter(
            f"{RUNTIME / missing[0]} is not there. Fetch ONNX Runtime first: npm install --prefix {HERE}; without a network, "
            "unpack the npm package onnxruntime-web, of the version in package.json, to that folder"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(beside=output) as folder:
        for name in PAGE:
            shutil.copy(HERE / name, folder / name)
        for place, source, names in (("ort", RUNTIME, LOADED), ("model", model, ("onnx.json", *card.files))):
            (folder / place).mkdir()
            for name in names:
                shutil.copy(source / name, folder / place / name)
        styles = []
        for number in range(STYLES):
            name = artwork_kind(number)[0]
            file = f"styles/{number:02d}.jpg"
            write_image(Image.fromarray(draw_artwork(number, seed=0)), folder / file, quality=90)
            styles.append({"name": name.replace("_", " "), "file": file})
        (folder / "styles" / "styles.json").write_text(json.dumps(styles, indent=1) + "\n")
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        replace_folder(folder, output)
    typer.echo(f"{output}  {size / 1e6:.0f} MB; look at it with: python -m http.server --directory {output} --bind 127.0.0.1")


if __name__ == "__main__":
    typer.run(main)
