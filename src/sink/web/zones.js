"use strict";
// Sets points on the live picture and writes them as options. Points are shares of the picture's width and height.
const PICTURE_INTERVAL = 500;
const RETRY_DELAY = 3000;
// A point this near to an edge of the picture is set on it: what the picture cuts off stands there.
const SNAP = 0.015;
// A click this near to a point, in pixels of the screen, moves it.
const GRAB = 16;
const SVG = "http://www.w3.org/2000/svg";
const NAME = /^[\p{L}\p{N}]([\p{L}\p{N} ._-]*[\p{L}\p{N}])?$/u;
const element = (id) => document.getElementById(id);
const live = element("live");
const shape = element("shape");
let points = [];
let dragged = null;

function loadPicture() {
  if (document.hidden) setTimeout(loadPicture, PICTURE_INTERVAL);
  else live.src = "picture.jpg?" + Date.now();
}

live.addEventListener("load", () => {
  element("waiting").hidden = true;
  shape.setAttribute("viewBox", "0 0 " + live.naturalWidth + " " + live.naturalHeight);
  draw();
  setTimeout(loadPicture, PICTURE_INTERVAL);
});

live.addEventListener("error", () => {
  element("waiting").hidden = false;
  element("waiting").textContent = "No picture; retrying.";
  setTimeout(loadPicture, RETRY_DELAY);
});

const isLine = () => element("line").checked;

function pointAt(event) {
  const area = shape.getBoundingClientRect();
  const share = (position, start, length) => {
    const value = Math.min(Math.max((position - start) / length, 0), 1);
    return value < SNAP ? 0 : value > 1 - SNAP ? 1 : Math.round(value * 1e4) / 1e4;
  };
  return [share(event.clientX, area.left, area.width), share(event.clientY, area.top, area.height)];
}

// The index of the point under the pointer, or -1.
function grabbed(event) {
  const area = shape.getBoundingClientRect();
  const distance = ([x, y]) =>
    Math.hypot(area.left + x * area.width - event.clientX, area.top + y * area.height - event.clientY);
  const distances = points.map(distance);
  const nearest = distances.indexOf(Math.min(...distances));
  return nearest >= 0 && distances[nearest] <= GRAB ? nearest : -1;
}

shape.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  dragged = grabbed(event);
  if (dragged < 0) {
    if (isLine() && points.length === 2) points.pop();
    dragged = points.push(pointAt(event)) - 1;
  }
  shape.setPointerCapture(event.pointerId);
  show();
});

shape.addEventListener("pointermove", (event) => {
  if (dragged === null) return;
  points[dragged] = pointAt(event);
  show();
});

for (const end of ["pointerup", "pointercancel"]) shape.addEventListener(end, () => { dragged = null; });

function add(name, attributes) {
  const child = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) child.setAttribute(key, value);
  shape.append(child);
}

// Twice the signed area of a triangle: its sign is the side of c on the way from a to b.
const side = (a, b, c) => Math.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]));

function isCrossing() {
  const sides = points.map((point, index) => [point, points[(index + 1) % points.length]]);
  return sides.some(([a, b], first) => sides.some(([c, d], second) =>
    first < second && side(a, b, c) * side(a, b, d) < 0 && side(c, d, a) * side(c, d, b) < 0));
}

function problem() {
  const wanted = isLine() ? 2 : 3;
  if (points.length < wanted) {
    return isLine() ? "Click the two ends of the line in the picture. The arrow shows the direction in."
      : "Click the corners of the zone in the picture, in order along its outline. Drag a corner to move it.";
  }
  if (!isLine() && isCrossing()) return "Sides of the zone cross: move a corner, or set them in order.";
  if (!NAME.test(element("name").value.trim())) {
    return "The name must have letters, digits, spaces, “-”, “_” and “.”, and none but letters and digits at its ends.";
  }
  return "";
}

function draw() {
  shape.replaceChildren();
  const [width, height] = [live.naturalWidth, live.naturalHeight];
  if (!width) return;
  const pixels = points.map(([x, y]) => [x * width, y * height]);
  const outline = { points: pixels.map((point) => point.join(",")).join(" ") };
  add(isLine() ? "polyline" : "polygon", outline);
  if (isLine() && pixels.length === 2) {
    const [a, b] = pixels;
    const along = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
    const length = Math.min(width, height) / 12 / along;
    // To the right of the way from the first to the second point.
    const right = [-(b[1] - a[1]) * length, (b[0] - a[0]) * length];
    const middle = [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const tip = [middle[0] + right[0], middle[1] + right[1]];
    // The sides of the head go back from the tip, to both sides.
    const head = [1, -1].map((turn) =>
      [tip[0] - 0.4 * right[0] + turn * 0.3 * right[1], tip[1] - 0.4 * right[1] - turn * 0.3 * right[0]]);
    for (const [x, y] of [middle, ...head]) add("line", { x1: x, y1: y, x2: tip[0], y2: tip[1], class: "arrow" });
  }
  for (const [x, y] of pixels) add("circle", { cx: x, cy: y, r: width / 90 });
}

function show() {
  draw();
  element("reverse").hidden = !isLine();
  const text = problem();
  element("hint").textContent = text || "The " + (isLine() ? "line" : "zone") + " is complete.";
  const name = element("name").value.trim();
  const list = points.map((point) => "[" + point.join(", ") + "]").join(", ");
  const kind = isLine() ? "line" : "zone";
  const lines = ["[[" + kind + "]]", 'name = "' + name + '"', "points = [" + list + "]"];
  if (isLine()) lines.push('directions = ["in", "out"]');
  element("toml").value = text ? "" : lines.join("\n") + "\n";
  const pairs = points.map((point) => point.join(",")).join(";");
  element("option").value = text ? "" : "--" + kind + ' "' + name + "=" + pairs + '"';
  element("copy").disabled = text !== "";
}

for (const kind of ["zone", "line"]) {
  element(kind).addEventListener("change", () => {
    points = points.slice(0, isLine() ? 2 : undefined);
    if (["", "zone", "line"].includes(element("name").value)) element("name").value = kind;
    show();
  });
}
element("name").addEventListener("input", show);
element("undo").addEventListener("click", () => { points.pop(); show(); });
element("clear").addEventListener("click", () => { points = []; show(); });
element("reverse").addEventListener("click", () => { points.reverse(); show(); });
element("copy").addEventListener("click", async () => {
  const text = element("toml");
  try {
    await navigator.clipboard.writeText(text.value);
  } catch {
    // Without HTTPS there is no clipboard object.
    text.select();
    document.execCommand("copy");
  }
  element("hint").textContent = "Copied.";
});

element("name").value = "zone";
loadPicture();
show();
