// The page: pictures in, options, and the result beside the photo. The work is done in worker.js.
const find = (id) => document.getElementById(id);
const state = { photo: null, styles: [], chosen: new Map(), number: 0, ready: false, busy: false, method: "" };
let worker;

await isolate();
worker = new Worker("worker.js", { type: "module" });
worker.onmessage = ({ data }) => ({ loading, ready, done, failed })[data.kind](data);
for (const { name, file } of await (await fetch("styles/styles.json")).json()) addStyle(name, file);
document.querySelector("#wall button")?.click();

/** Reload once under the service worker that isolates the page, where it is neither isolated nor forbidden. */
async function isolate() {
  if (self.crossOriginIsolated || !navigator.serviceWorker || sessionStorage.getItem("isolating")) return;
  sessionStorage.setItem("isolating", "tried");
  try {
    await navigator.serviceWorker.register("sw.js");
    await navigator.serviceWorker.ready;
    location.reload();
    await new Promise(() => {});
  } catch {
    // One thread, then.
  }
}

function loading({ done, all }) {
  find("progress").value = done / all;
}

function ready({ provider, threads, method }) {
  state.ready = true;
  state.method = method;
  find("progress").hidden = true;
  const where = provider === "webgpu" ? "on the graphics processor" : `on ${threads} ${threads === 1 ? "thread" : "threads"}`;
  say(`The model is ready; it computes ${where}.`);
  refresh();
}

function done({ number, picture, seconds }) {
  state.busy = false;
  if (number !== state.number) {
    // Of a photograph that is not the one shown any more.
    find("progress").hidden = true;
    say("Ready.");
    return refresh();
  }
  show(find("after"), picture);
  find("compare-row").hidden = false;
  find("progress").hidden = true;
  compare(0);
  say(`Painted ${picture.width} × ${picture.height} pixels in ${seconds.toFixed(1)} s.`);
  find("after").toBlob((blob) => {
    const link = find("download");
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(blob);
    link.hidden = false;
    document.body.dataset.painted = number;
  });
  refresh();
}

function failed({ reason }) {
  state.busy = false;
  find("progress").hidden = true;
  const memory = /memory|alloc/i.test(reason) ? " Choose a smaller size." : "";
  say(`This did not work: ${reason}.${memory}`);
  refresh();
}

function say(text) {
  find("status").textContent = text;
}

function refresh() {
  find("run").disabled = !(state.ready && state.photo && state.chosen.size && !state.busy);
}

/** A file or address as a bitmap in sRGB, the right way up. */
async function read(source) {
  const blob = typeof source === "string" ? await (await fetch(source)).blob() : source;
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    throw new Error(`${source.name ?? source} is not a picture that this browser can read`);
  }
}

/** Pixels of `bitmap`, its smaller side scaled down to `side` if it is larger, on white where it is transparent. */
function pixels(bitmap, side) {
  const scale = Math.min(1, side / Math.min(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

function show(canvas, { width, height, data }) {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
}

async function takePhoto(file) {
  try {
    state.photo = await read(file);
  } catch (error) {
    return say(`${error.message}.`);
  }
  drawPhoto();
  refresh();
}

function drawPhoto() {
  if (!state.photo) return;
  state.number++; // what is being painted is of what was shown before
  show(find("before"), pixels(state.photo, Number(find("size").value)));
  find("after").width = find("after").height = 0;
  find("compare-row").hidden = find("handle").hidden = find("download").hidden = true;
  find("hint").hidden = true;
  find("view").classList.add("full");
}

/** Show the photo left of `percent`, and the result right of it. */
function compare(percent) {
  find("compare").value = percent;
  find("after").style.clipPath = `inset(0 0 0 ${percent}%)`;
  const { before, handle, view } = Object.fromEntries(["before", "handle", "view"].map((id) => [id, find(id)]));
  const [canvas, frame] = [before.getBoundingClientRect(), view.getBoundingClientRect()];
  handle.hidden = percent <= 0 || percent >= 100;
  handle.style.left = `${canvas.left - frame.left + (canvas.width * percent) / 100}px`;
}

function addStyle(name, source) {
  const button = document.createElement("button");
  const image = document.createElement("img");
  image.alt = name;
  image.src = typeof source === "string" ? source : URL.createObjectURL(source);
  button.append(image);
  button.title = name;
  button.setAttribute("aria-pressed", "false");
  const style = { name, source, bitmap: null };
  state.styles.push(style);
  button.onclick = () => {
    const chosen = !state.chosen.has(style);
    if (chosen) state.chosen.set(style, 1);
    else state.chosen.delete(style);
    button.setAttribute("aria-pressed", String(chosen));
    drawWeights();
    refresh();
  };
  find("wall").append(button);
  return button;
}

function drawWeights() {
  const rows = state.chosen.size < 2 ? [] : [...state.chosen].map(([style, weight]) => {
    const row = document.createElement("label");
    const slider = document.createElement("input");
    row.className = "option";
    Object.assign(slider, { type: "range", min: 0, max: 100, value: 100 * weight });
    slider.oninput = () => state.chosen.set(style, slider.value / 100);
    row.append(`Share of ${style.name}`, slider);
    return row;
  });
  find("weights").replaceChildren(...rows);
}

async function paint() {
  state.busy = true;
  refresh();
  find("progress").hidden = false;
  find("progress").removeAttribute("value");
  say("Painting …");
  try {
    const side = Number(find("strokes").value);
    const styles = [];
    for (const [style, weight] of state.chosen) {
      style.bitmap ??= await read(style.source);
      if (weight > 0) styles.push({ picture: pixels(style.bitmap, side), weight });
    }
    const options = { alpha: find("alpha").value / 100, luminance: find("luminance").checked };
    const content = pixels(state.photo, Number(find("size").value));
    show(find("before"), content);
    worker.postMessage({ number: ++state.number, content, styles, options });
  } catch (error) {
    failed({ reason: error.message });
  }
}

find("photo").onchange = ({ target }) => target.files[0] && takePhoto(target.files[0]);
find("own").onchange = ({ target }) => {
  for (const file of target.files) addStyle(file.name, file).click();
};
find("run").onclick = paint;
find("size").onchange = drawPhoto;
find("compare").oninput = ({ target }) => compare(Number(target.value));
find("alpha").oninput = ({ target }) => (find("alpha-value").textContent = `${target.value} %`);
find("strokes").oninput = ({ target }) => (find("strokes-value").textContent = target.value);
for (const kind of ["dragover", "dragleave", "drop"])
  find("view").addEventListener(kind, (event) => {
    event.preventDefault();
    find("view").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) takePhoto(event.dataTransfer.files[0]);
  });
addEventListener("resize", () => compare(Number(find("compare").value)));
