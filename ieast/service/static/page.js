// The page's whole behaviour: a photo, chosen styles, one request, and the picture that comes back.

const limits = document.body.dataset;
const element = (id) => document.getElementById(id);
const STROKES = [128, 192, 256, 512, 768];
const STROKE_NAMES = ["very fine", "fine", "medium", "broad", "very broad"];
// What the service reads; anything else that this browser can show is sent as JPEG.
const READ = /^image\/(jpeg|png|webp|gif|bmp|tiff|avif|jp2)$/;

/** The photo: its file as it is sent, and its name for the download and the API call. */
let photo = null;
/** Chosen styles in the order of choice: {name or file, title, thumbnail, weight}. */
const chosen = [];
let request = null;
let resultURL = null;
let secondsPerMegapixel = 2;

// -- the photo ---------------------------------------------------------------------------------------------------------

async function takePhoto(file) {
  complain("");
  stop(); // what is being painted is of another photo
  const url = URL.createObjectURL(file);
  const before = element("before");
  before.src = url;
  let sent;
  try {
    await before.decode();
    sent = await sendable(file, before);
  } catch {
    URL.revokeObjectURL(url);
    before.removeAttribute("src");
    element("actions").hidden = true;
    complain(`${file.name || "That file"} is not a picture that this browser can show. Choose a JPEG or PNG.`);
    element("compare").hidden = true;
    element("empty").hidden = false;
    photo = null;
    return;
  }
  if (photo) URL.revokeObjectURL(photo.url);
  photo = { file: sent, name: file.name || "photo.jpg", url };
  element("compare").style.setProperty("--ratio", before.naturalWidth / before.naturalHeight);
  element("empty").hidden = true;
  element("compare").hidden = element("actions").hidden = element("below").hidden = false;
  showResult(null);
  say(chosen.length ? "Ready." : "Now choose a style.");
}

/** `file`, or where the service would refuse it the same picture as a smaller JPEG, on white where it is transparent. */
async function sendable(file, image) {
  const pixels = image.naturalWidth * image.naturalHeight;
  if (READ.test(file.type) && file.size < limits.bodyBytes / 2 && pixels <= limits.decodedPixels) return file;
  const scale = Math.min(1, 4096 / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(image.naturalWidth * scale);
  canvas.height = Math.round(image.naturalHeight * scale);
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.95));
  if (!blob) throw new Error("the picture is too thin or too large to be drawn");
  return new File([blob], file.name || "photo.jpg", { type: "image/jpeg" });
}

function showResult(blob) {
  if (resultURL) URL.revokeObjectURL(resultURL);
  resultURL = blob && URL.createObjectURL(blob);
  for (const id of ["after", "handle", "split", "tag-before", "tag-after", "download"]) element(id).hidden = !blob;
  if (!blob) return;
  element("after").src = resultURL;
  const download = element("download");
  download.href = resultURL;
  download.download = `${photo.name.replace(/\.[^.]*$/, "")}-painted.jpg`;
}

element("split").addEventListener("input", (event) => {
  element("compare").style.setProperty("--split", `${event.target.value}%`);
});
for (const id of ["photo", "camera"]) {
  element(id).addEventListener("change", ({ target }) => {
    if (target.files.length) takePhoto(target.files[0]);
    target.value = "";
  });
}
element("sample").addEventListener("click", async () => {
  const answer = await fetch("/static/photo.jpg");
  takePhoto(new File([await answer.blob()], "example.jpg", { type: "image/jpeg" }));
});

// -- styles ------------------------------------------------------------------------------------------------------------

function addTile(style, first = false) {
  const tile = document.createElement("label");
  tile.className = "tile";
  const box = document.createElement("input");
  box.type = "checkbox";
  const image = document.createElement("img");
  image.src = style.thumbnail;
  image.alt = "";
  image.loading = first ? "eager" : "lazy";
  const title = document.createElement("span");
  title.textContent = style.title;
  tile.title = style.title;
  tile.append(box, image, title);
  box.addEventListener("change", () => choose(style, box));
  style.box = box;
  element("wall")[first ? "prepend" : "append"](tile);
  return image;
}

function choose(style, box) {
  if (box.checked && chosen.length >= limits.mostStyles) {
    box.checked = false;
    complain(`Up to ${limits.mostStyles} styles can be blended.`);
    return;
  }
  if (box.checked) chosen.push(style);
  else chosen.splice(chosen.indexOf(style), 1);
  showShares();
}

function showShares() {
  complain("");
  element("blend").hidden = chosen.length < 2;
  element("clear").hidden = !chosen.length;
  element("count").textContent = chosen.length ? `${chosen.length} chosen` : "choose one or several";
  element("weights").replaceChildren(...chosen.map(shareOf));
  sayShares();
}

function shareOf(style, number) {
  const share = document.createElement("div");
  share.className = "share";
  const image = document.createElement("img");
  image.src = style.thumbnail;
  image.alt = "";
  const label = document.createElement("label");
  label.textContent = style.title;
  label.htmlFor = `weight-${number}`;
  const says = document.createElement("output");
  says.htmlFor = label.htmlFor;
  const range = document.createElement("input");
  Object.assign(range, { type: "range", id: label.htmlFor, min: 0, max: 4, step: 0.25, value: style.weight });
  range.addEventListener("input", () => {
    style.weight = Number(range.value);
    sayShares();
  });
  share.append(image, label, says, range);
  return share;
}

function sayShares() {
  const sum = chosen.reduce((total, style) => total + style.weight, 0);
  const says = element("weights").querySelectorAll("output");
  chosen.forEach((style, number) => {
    says[number].textContent = sum ? `${Math.round((100 * style.weight) / sum)} %` : "0 %";
  });
}

async function addOwn(files) {
  complain("");
  for (const file of files) {
    const style = { file, title: file.name.replace(/\.[^.]*$/, "") || "Yours", thumbnail: URL.createObjectURL(file), weight: 1 };
    const image = addTile(style, true);
    try {
      await image.decode();
      style.file = await sendable(file, image);
    } catch {
      style.box.parentElement.remove();
      URL.revokeObjectURL(style.thumbnail);
      complain(`${file.name} is not a picture that this browser can show. Choose a JPEG or PNG.`);
      continue;
    }
    style.box.checked = true;
    choose(style, style.box);
  }
  element("wall").scrollTop = 0;
}

element("own").addEventListener("change", async ({ target }) => {
  await addOwn([...target.files]);
  target.value = "";
});
element("clear").addEventListener("click", () => {
  for (const style of chosen) style.box.checked = false;
  chosen.length = 0;
  showShares();
});

// -- dropping and pasting ----------------------------------------------------------------------------------------------

function takeDrops(place, take) {
  let depth = 0;
  const mark = (more) => place.classList.toggle("over", (depth = Math.max(0, depth + more)) > 0);
  place.addEventListener("dragenter", () => mark(1));
  place.addEventListener("dragleave", () => mark(-1));
  place.addEventListener("drop", (event) => {
    mark(-depth);
    const files = [...event.dataTransfer.files];
    if (files.length) take(files);
  });
}
takeDrops(element("stage"), ([file]) => takePhoto(file));
takeDrops(element("wall-part"), addOwn);
// A picture that misses its place must not replace the page.
for (const type of ["dragover", "drop"]) window.addEventListener(type, (event) => event.preventDefault());
window.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
  if (file) takePhoto(file);
});

// -- settings ----------------------------------------------------------------------------------------------------------

function saySettings() {
  element("alpha-says").textContent = `${Math.round(100 * element("alpha").value)} %`;
  element("strokes-says").textContent = STROKE_NAMES[element("strokes").value];
  element("strokes").setAttribute("aria-valuetext", STROKE_NAMES[element("strokes").value]);
}
for (const id of ["alpha", "strokes"]) element(id).addEventListener("input", saySettings);

/** The request's fields in order: [name, text or file]. */
function fields() {
  const list = [["content", photo.file]];
  for (const style of chosen) list.push(style.file ? ["style", style.file] : ["style_name", style.name]);
  if (chosen.length > 1) for (const style of chosen) list.push(["weight", String(style.weight)]);
  if (element("alpha").value !== "1") list.push(["alpha", element("alpha").value]);
  list.push(["style_size", String(STROKES[element("strokes").value])]);
  if (element("colours").checked) list.push(["preserve_colour", "luminance"]);
  list.push(["longest_side", element("size").value]);
  return list;
}

// -- painting ----------------------------------------------------------------------------------------------------------

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!photo) return complain("First choose a photo.");
  if (!chosen.length) return complain("First choose a style.");
  if (chosen.every((style) => style.weight === 0)) return complain("Give at least one style a share above 0.");
  paint();
});

function paint() {
  complain("");
  const form = new FormData();
  for (const [name, value] of fields()) form.append(name, value);
  request = new XMLHttpRequest();
  request.open("POST", "/v1/stylize");
  request.responseType = "blob";
  const key = element("key")?.value;
  if (key) {
    request.setRequestHeader("X-API-Key", key);
    sessionStorage.setItem("key", key);
  }
  const side = Number(element("size").value);
  const shape = element("before");
  const scale = Math.min(1, side / Math.max(shape.naturalWidth, shape.naturalHeight));
  const megapixels = (shape.naturalWidth * shape.naturalHeight * scale * scale) / 1e6;
  const start = performance.now();
  let sent = 0;
  request.upload.onprogress = (event) => {
    sent = event.total ? event.loaded / event.total : 0;
  };
  // Nobody knows how long others take; the bar slows down and never promises the end.
  const clock = setInterval(() => {
    const seconds = (performance.now() - start) / 1000;
    const painted = sent < 1 ? 0 : 1 - Math.exp((-1.5 * seconds) / (secondsPerMegapixel * megapixels + 0.2));
    element("progress").value = 0.2 * sent + 0.75 * painted;
    say(sent < 1 ? "Sending…" : `Painting… ${seconds.toFixed(0)} s`);
  }, 100);
  busy(true);
  request.onloadend = async () => {
    clearInterval(clock);
    busy(false);
    const seconds = (performance.now() - start) / 1000;
    if (request.status === 200) {
      secondsPerMegapixel = seconds / Math.max(megapixels, 0.05);
      showResult(request.response);
      const version = [request.getResponseHeader("X-Model"), request.getResponseHeader("X-Model-Version")].join(" ").trim();
      element("model").textContent = `Painted by ${version}, ${request.getResponseHeader("X-Model-Digest").slice(0, 12)}`;
      say(`Done in ${seconds.toFixed(1)} s. Drag over the picture to compare.`);
      if (element("compare").getBoundingClientRect().top < 0) element("stage").scrollIntoView({ block: "start" });
    } else if (request.status) {
      complain(await reason(request));
    } else if (!request.stopped) {
      complain("The service cannot be reached. See that it runs, then try again.");
    } else {
      say("Stopped.");
    }
  };
  request.send(form);
}

async function reason({ response, status }) {
  try {
    return JSON.parse(await response.text()).detail;
  } catch {
    return `The service answered with ${status}. Try again in a while.`;
  }
}

function stop() {
  if (!request) return;
  request.stopped = true;
  request.abort();
}

element("stop").addEventListener("click", stop);

function busy(is) {
  element("go").disabled = is;
  element("go").textContent = is ? "Painting…" : "Paint";
  element("stop").hidden = element("progress").hidden = !is;
  element("stage").classList.toggle("busy", is);
  element("stage").setAttribute("aria-busy", is);
  if (is) say("Sending…");
}

function say(text) {
  // Once a second at most is enough for those who listen.
  if (element("status").textContent !== text) element("status").textContent = text;
}

function complain(text) {
  element("problem").textContent = text;
  if (text) say("");
  if (text && !photo) element("below").hidden = !(element("actions").hidden = true);
}

// -- the API call ------------------------------------------------------------------------------------------------------

const quoted = (text) => (/^[\w@=./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function command() {
  const words = ["curl"];
  if (element("key")) words.push('-H "X-API-Key: $IEAST_API_KEY"');
  for (const [name, value] of fields()) {
    words.push(`-F ${quoted(value instanceof Blob ? `${name}=@${value.name || photo.name}` : `${name}=${value}`)}`);
  }
  words.push(`${location.origin}/v1/stylize`, "-o painted.jpg");
  return words.join(" \\\n  ");
}

element("call").addEventListener("click", () => {
  if (!photo || !chosen.length) return complain("First choose a photo and a style.");
  element("command").textContent = command();
  element("copy").textContent = "Copy";
  element("dialog").showModal();
});
element("close").addEventListener("click", () => element("dialog").close());
element("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(element("command").textContent);
    element("copy").textContent = "Copied";
  } catch {
    // Without HTTPS there is no clipboard; what is marked can be copied by hand.
    getSelection().selectAllChildren(element("command"));
    element("copy").textContent = "Marked: press Ctrl+C";
  }
});

// -- the beginning -----------------------------------------------------------------------------------------------------

saySettings();
if (element("key")) element("key").value = sessionStorage.getItem("key") ?? "";
const styles = await fetch("/v1/styles").then((answer) => (answer.ok ? answer.json() : []));
for (const { name, title, thumbnail } of styles) addTile({ name, title, thumbnail, weight: 1 });
document.body.dataset.ready = "true";
