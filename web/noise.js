// Faint noise on contents, the same as ieast/io/content_noise.py makes, where it is said what it is for.

const STEPS = [8, 16];
const VARIANCE = (26 / 35) ** 2 / 3;

/** A picture {width, height, data: Uint8ClampedArray of RGBA} with grey noise of a standard deviation in units of the range. */
export function withNoise({ width, height, data }, deviation) {
  const noise = new Float32Array(width * height);
  for (const [octave, step] of STEPS.entries()) {
    const columns = Math.ceil(width / step) + 1;
    const values = Float32Array.from({ length: (Math.ceil(height / step) + 1) * columns }, (_, at) =>
      hashed(Math.floor(at / columns), at % columns, octave),
    );
    for (let y = 0, to = 0; y < height; y++) {
      const [row, down] = way(y, step);
      for (let x = 0; x < width; x++, to++) {
        const [column, right] = way(x, step);
        const at = row * columns + column;
        const above = values[at] * (1 - right) + values[at + 1] * right;
        const below = values[at + columns] * (1 - right) + values[at + columns + 1] * right;
        noise[to] += above * (1 - down) + below * down;
      }
    }
  }
  const scale = (255 * deviation) / Math.sqrt(VARIANCE * STEPS.length);
  const uneven = new Uint8ClampedArray(data);
  for (let to = 0; to < noise.length; to++) {
    const grey = Math.round(scale * noise[to]);
    for (let c = 0; c < 3; c++) uneven[4 * to + c] = data[4 * to + c] + grey;
  }
  return { width, height, data: uneven };
}

/** The place of the lattice before a pixel, and how far it is on its smooth way to the next one. */
function way(pixel, step) {
  const place = Math.floor(pixel / step);
  const t = pixel / step - place;
  return [place, t * t * (3 - 2 * t)];
}

/** A number in [-1, 1) for each place. */
function hashed(row, column, octave) {
  let bits = Math.imul(row, 0x9e3779b1) ^ Math.imul(column, 0x85ebca77) ^ Math.imul(octave, 0xc2b2ae3d);
  for (const [shift, factor] of [
    [16, 0x7feb352d],
    [15, 0x846ca68b],
  ])
    bits = Math.imul(bits ^ (bits >>> shift), factor);
  bits ^= bits >>> 16;
  return (bits >>> 0) / 2 ** 31 - 1;
}
