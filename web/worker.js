// Computes beside the page, so that the page answers while a picture is made.
import { loadModel } from "./engine.js";

let model = null;
let provider = "wasm";

async function load() {
  const gpu = Boolean(self.navigator.gpu && (await self.navigator.gpu.requestAdapter().catch(() => null)));
  provider = gpu ? "webgpu" : "wasm";
  const ort = await import(gpu ? "./ort/ort.webgpu.bundle.min.mjs" : "./ort/ort.wasm.bundle.min.mjs");
  ort.env.wasm.wasmPaths = new URL("./ort/", self.location).href;
  // Threads need memory that they can share, which browsers give to pages that are isolated from others (sw.js).
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(8, self.navigator.hardwareConcurrency || 1) : 1;
  const progress = (done, all) => postMessage({ kind: "loading", done, all });
  model = await loadModel(ort, new URL("./model", self.location).href, gpu ? ["webgpu", "wasm"] : ["wasm"], progress);
  postMessage({ kind: "ready", provider, threads: ort.env.wasm.numThreads, method: model.card.method });
}

self.onmessage = async ({ data: { number, content, styles, options } }) => {
  try {
    const start = performance.now();
    const picture = await model.stylize(content, styles, options);
    postMessage({ kind: "done", number, picture, seconds: (performance.now() - start) / 1000 }, [picture.data.buffer]);
  } catch (error) {
    postMessage({ kind: "failed", number, reason: String(error.message ?? error) });
  }
};

load().catch((error) => postMessage({ kind: "failed", number: null, reason: String(error.message ?? error) }));
