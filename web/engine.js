// Stylizing by ONNX Runtime in the browser: what ieast/onnx/engine.py does, on the same graphs.

import { withNoise } from "./noise.js";

/** As of ieast.config.StylizeOptions. */
const CONTENT_NOISE = 0.01;
/** As of ieast.layers.sampling. */
const ENOUGH = 512;

/**
 * A model whose graphs lie in `folder`.
 *
 * @param {object} ort ONNX Runtime's module.
 * @param {string} folder Address of the folder with onnx.json.
 * @param {string[]} providers Where to compute, in order of preference: "webgpu", "wasm".
 * @param {(done: number, all: number) => void} progress Told as graphs arrive.
 */
export async function loadModel(ort, folder, providers, progress = () => {}) {
  const card = await (await fetch(`${folder}/onnx.json`)).json();
  const names = Object.keys(card.files);
  const graphs = {};
  for (const [number, name] of names.entries()) {
    progress(number, names.length);
    const response = await fetch(`${folder}/${name}`);
    if (!response.ok) throw new Error(`${name} cannot be fetched: ${response.status}`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    graphs[name.replace(".onnx", "")] = await ort.InferenceSession.create(bytes, { executionProviders: providers });
  }
  progress(names.length, names.length);
  return new Model(ort, card, graphs);
}

class Model {
  constructor(ort, card, graphs) {
    Object.assign(this, { ort, card, graphs });
  }

  /** Taps of a picture {width, height, data: Uint8ClampedArray of RGBA}, continued by its borders to whole multiples. */
  async encode(picture, multiple) {
    const least = this.card.smallest_side;
    const [height, width] = [picture.height, picture.width].map(
      (side) => Math.ceil(Math.max(side, least) / multiple) * multiple,
    );
    return this.#run("encoder", { images: this.#tensor(picture, height, width) });
  }

  /**
   * `content` in the style of `styles`.
   *
   * @param {object} content A picture.
   * @param {{picture: object, weight: number}[]} styles Artworks, of which only the proportions of weights matter.
   * @param {{alpha: number, luminance: boolean}} options alpha 0 keeps the content; luminance keeps its colours.
   * @returns {Promise<object>} A picture of the content's size.
   */
  async stylize(content, styles, { alpha = 1, luminance = false } = {}) {
    const total = styles.reduce((sum, style) => sum + style.weight, 0);
    if (!(total > 0)) throw new Error("Give at least one style a weight above 0.");
    content = withNoise(content, alpha * CONTENT_NOISE);
    const taps = await this.encode(content, this.card.multiple);
    const terms = styles.map(({ picture, weight }) => ({ picture, share: (alpha * weight) / total }));
    terms.push({ picture: null, share: 1 - alpha });
    const present = terms.filter((term) => term.share > 0);
    let features = null;
    for (const { picture, share } of present) {
      const style = await this.#asStyle(picture ? await this.encode(picture, 1) : taps);
      const ofContent = { content4_1: taps.relu4_1, content5_1: taps.relu5_1 };
      const { features: term } = await this.#run("transform", { ...ofContent, ...style });
      features ??= new this.ort.Tensor("float32", new Float32Array(term.data.length), term.dims);
      for (let i = 0; i < term.data.length; i++) features.data[i] += share * term.data[i];
    }
    let { pictures } = await this.#run("decoder", { features });
    pictures = this.#cut(pictures, content.height, content.width);
    if (!luminance && this.graphs.palette) pictures = await this.#within(pictures, content, present);
    if (luminance) {
      const pixels = this.#tensor(content, content.height, content.width);
      ({ pictures } = await this.#run("colours", { content: pixels, stylized: pictures }));
    }
    return this.#picture(pictures);
  }

  /** What the graph `transform` asks of the picture with these taps. */
  async #asStyle({ relu4_1, relu5_1 }) {
    const style = { style4_1: relu4_1, style5_1: relu5_1 };
    return this.graphs.statistics ? { ...style, ...(await this.#run("statistics", style)) } : style;
  }

  /** `pictures` with the colours that the styles which share them have; null is the content. */
  async #within(pictures, content, terms) {
    const palettes = new Float32Array(5 * terms.length);
    for (const [number, { picture }] of terms.entries()) {
      const { palette } = await this.#run("palette", { images: this.#sampled(picture ?? content) });
      palettes.set(palette.data, 5 * number);
    }
    const shares = Float32Array.from(terms, (term) => term.share);
    const { Tensor } = this.ort;
    const inputs = {
      palettes: new Tensor("float32", palettes, [terms.length, 5]),
      shares: new Tensor("float32", shares, [terms.length]),
    };
    return (await this.#run("bound", { pictures, ...inputs })).bounded;
  }

  async #run(graph, inputs) {
    return this.graphs[graph].run(inputs);
  }

  #tensor({ width, height, data }, rows, columns) {
    const area = rows * columns;
    const values = new Float32Array(3 * area);
    for (let y = 0; y < rows; y++) {
      const row = Math.min(y, height - 1) * width;
      for (let x = 0; x < columns; x++) {
        const from = 4 * (row + Math.min(x, width - 1));
        const to = y * columns + x;
        for (let c = 0; c < 3; c++) values[c * area + to] = data[from + c] / 255;
      }
    }
    return new this.ort.Tensor("float32", values, [1, 3, rows, columns]);
  }

  /** Every n-th pixel, as ieast.layers.sampling takes them. */
  #sampled({ width, height, data }) {
    const step = Math.max(1, Math.floor(Math.min(width, height) / ENOUGH));
    const [rows, columns] = [height, width].map((side) => Math.ceil(side / step));
    const values = new Float32Array(3 * rows * columns);
    for (let c = 0, to = 0; c < 3; c++)
      for (let y = 0; y < height; y += step)
        for (let x = 0; x < width; x += step, to++) values[to] = data[4 * (y * width + x) + c] / 255;
    return new this.ort.Tensor("float32", values, [1, 3, rows, columns]);
  }

  /** The upper left of (1, 3, H, W), cut off at 0 and 1. */
  #cut({ data, dims }, rows, columns) {
    const [, , height, width] = dims;
    const values = new Float32Array(3 * rows * columns);
    for (let c = 0, to = 0; c < 3; c++)
      for (let y = 0; y < rows; y++)
        for (let x = 0; x < columns; x++, to++)
          values[to] = Math.min(1, Math.max(0, data[(c * height + y) * width + x]));
    return new this.ort.Tensor("float32", values, [1, 3, rows, columns]);
  }

  #picture({ data: values, dims }) {
    const [, , height, width] = dims;
    const area = height * width;
    const data = new Uint8ClampedArray(4 * area);
    for (let i = 0; i < area; i++) {
      for (let c = 0; c < 3; c++) data[4 * i + c] = Math.round(values[c * area + i] * 255);
      data[4 * i + 3] = 255;
    }
    return { width, height, data };
  }
}
