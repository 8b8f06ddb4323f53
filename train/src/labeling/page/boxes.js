// Boxes are [left, top, width, height] in pixels of the upright picture.

const COLORS = ["#ff6464", "#4fb3ff", "#5fd38d", "#ffc247", "#c58cff", "#ff8fd0", "#4fe0d8", "#ff9a4d", "#b7e34f",
  "#8fa6ff", "#e6b58a", "#f2f26b"];

export const MIN_SIDE = 1;

export function colorOf(name, classes) {
  const index = classes.indexOf(name);
  return index < 0 ? "#ffffff" : COLORS[index % COLORS.length];
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// The box between two points, on whole pixels and inside of the picture.
export function between([x0, y0], [x1, y1], [width, height]) {
  const side = (a, b, length) => [clamp(Math.round(Math.min(a, b)), 0, length), clamp(Math.round(Math.max(a, b)), 0, length)];
  const [left, right] = side(x0, x1, width);
  const [top, bottom] = side(y0, y1, height);
  return [left, top, right - left, bottom - top];
}

// The box, moved but not out of the picture.
export function moved([left, top, width, height], dx, dy, [pictureWidth, pictureHeight]) {
  return [clamp(left + dx, 0, pictureWidth - width), clamp(top + dy, 0, pictureHeight - height), width, height];
}

// The box with some sides at a point. `sides` has a letter for each of them: n, s, w, e.
export function resized([left, top, width, height], sides, [x, y], [pictureWidth, pictureHeight]) {
  let [right, bottom] = [left + width, top + height];
  if (sides.includes("w")) left = clamp(Math.round(x), 0, right - MIN_SIDE);
  if (sides.includes("e")) right = clamp(Math.round(x), left + MIN_SIDE, pictureWidth);
  if (sides.includes("n")) top = clamp(Math.round(y), 0, bottom - MIN_SIDE);
  if (sides.includes("s")) bottom = clamp(Math.round(y), top + MIN_SIDE, pictureHeight);
  return [left, top, right - left, bottom - top];
}

export function contains([left, top, width, height], [x, y], margin = 0) {
  return x >= left - margin && x <= left + width + margin && y >= top - margin && y <= top + height + margin;
}

export function iou(a, b) {
  const overlap = (i) => Math.max(0, Math.min(a[i] + a[i + 2], b[i] + b[i + 2]) - Math.max(a[i], b[i]));
  const shared = overlap(0) * overlap(1);
  return shared / (a[2] * a[3] + b[2] * b[3] - shared);
}

// As the server writes it, so that equal labels are equal texts.
export function labelsOf(boxes, exhaustive = null, nothing = false) {
  if (boxes.length) return { state: "boxes", boxes: boxes.map((b) => ({ class: b.class, box: [...b.box] })), exhaustive };
  return { state: nothing ? "nothing" : "unlabeled" };
}

export const boxesOf = (labels) => (labels.boxes ?? []).map((b) => ({ class: b.class, box: [...b.box] }));

export const equal = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export const formatSize = ([, , width, height]) => Math.round(width) + " \u00d7 " + Math.round(height);
