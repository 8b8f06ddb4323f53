// The picture, its boxes and the proposals; everything that is drawn with the mouse.
import { MIN_SIDE, between, colorOf, contains, formatSize, iou, moved, resized } from "./boxes.js";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = 24;
const MAX_SCALE = 32;
const HANDLE = 5;
const REACH = 9;
// A press that moves less than this is a click.
const CLICK = 3;
// A proposal that overlaps a box so much is that object.
const SAME = 0.6;
const HANDLES = { nw: [0, 0], n: [.5, 0], ne: [1, 0], e: [1, .5], se: [1, 1], s: [.5, 1], sw: [0, 1], w: [0, .5] };

function svg(name, attributes = {}, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Events: "changed" (boxes), "selected", "accept" (a proposal that was clicked twice).
export class Editor extends EventTarget {
  boxes = [];
  // { kind: "box" | "proposal", index }, or null.
  selected = null;
  classes = [];
  currentClass = null;
  showsProposals = true;
  #stage;
  #layer;
  #image = null;
  #size = null;
  #view = { scale: 1, x: 0, y: 0 };
  #isFitted = true;
  #all = [];
  #drag = null;
  #pointer = null;
  #isPanning = false;

  constructor(stage) {
    super();
    this.#stage = stage;
    this.#layer = svg("svg", { "aria-hidden": "true" });
    stage.append(this.#layer);
    stage.addEventListener("pointerdown", (event) => this.#press(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    stage.addEventListener("pointerup", (event) => this.#release(event));
    stage.addEventListener("pointercancel", () => this.cancel());
    stage.addEventListener("pointerleave", () => { this.#pointer = null; this.draw(); });
    stage.addEventListener("dblclick", (event) => this.#doubleClick(event));
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    new ResizeObserver(() => { if (this.#isFitted) this.fit(); else this.draw(); }).observe(stage);
  }

  show(image, size) {
    this.#image?.remove();
    this.#image = image;
    this.#size = size;
    this.#drag = null;
    this.selected = null;
    this.#all = [];
    this.boxes = [];
    if (image) {
      image.className = "picture";
      image.draggable = false;
      image.alt = "";
      image.style.width = size[0] + "px";
      image.style.height = size[1] + "px";
      this.#stage.prepend(image);
    }
    this.fit();
  }

  get hasPicture() { return this.#size !== null; }
  get isDragging() { return this.#drag !== null; }

  setBoxes(boxes) {
    this.boxes = boxes;
    if (this.selected?.kind === "box" && this.selected.index >= boxes.length) this.selected = null;
    if (this.selected?.kind === "proposal") this.selected = null;
    this.draw();
    this.#emit("selected");
  }

  setProposals(proposals) {
    this.#all = proposals.map((proposal) => ({ ...proposal, isDismissed: false }));
    this.draw();
    this.#emit("selected");
  }

  // Those that are neither dismissed nor boxed.
  get proposals() {
    if (!this.showsProposals) return [];
    return this.#all.filter((proposal) => !proposal.isDismissed && !this.boxes.some(({ box }) => iou(box, proposal.box) >= SAME));
  }

  #emit(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  select(kind, index) {
    this.selected = kind ? { kind, index } : null;
    this.draw();
    this.#emit("selected");
  }

  // Selects the next box or proposal, or the one before.
  cycle(step) {
    const all = [...this.boxes.map((_, index) => ["box", index]), ...this.proposals.map((_, index) => ["proposal", index])];
    if (!all.length) return;
    const now = all.findIndex(([kind, index]) => kind === this.selected?.kind && index === this.selected.index);
    const next = now < 0 ? (step > 0 ? 0 : all.length - 1) : (now + step + all.length) % all.length;
    this.select(...all[next]);
  }

  get selectedBox() { return this.selected?.kind === "box" ? this.boxes[this.selected.index] : null; }
  get selectedProposal() { return this.selected?.kind === "proposal" ? this.proposals[this.selected.index] : null; }

  dismiss(proposal) {
    proposal.isDismissed = true;
    this.select(null);
  }

  // Moves the selected box, or its lower right corner.
  nudge(dx, dy, isResize) {
    const labeled = this.selectedBox;
    if (!labeled) return;
    const [left, top, width, height] = labeled.box;
    labeled.box = isResize
      ? resized(labeled.box, (dx ? "e" : "") + (dy ? "s" : ""), [left + width + dx, top + height + dy], this.#size)
      : moved(labeled.box, dx, dy, this.#size);
    this.draw();
    this.#emit("selected");
  }

  // A new box in the middle of what can be seen, for those without a mouse.
  boxInView() {
    const { clientWidth: width, clientHeight: height } = this.#stage;
    return between(this.#toPicture([width * .4, height * .4]), this.#toPicture([width * .6, height * .6]), this.#size);
  }

  // Gives up what is being drawn. Whether there was something.
  cancel() {
    const drag = this.#drag;
    this.#drag = null;
    if (drag?.before) this.boxes[drag.index].box = drag.before;
    this.draw();
    return drag !== null;
  }

  fit() {
    this.#isFitted = true;
    if (!this.#size) return this.draw();
    const [width, height] = [this.#stage.clientWidth, this.#stage.clientHeight];
    const scale = Math.min((width - 2 * MARGIN) / this.#size[0], (height - 2 * MARGIN) / this.#size[1]);
    this.#view.scale = Math.max(scale, .01);
    this.#view.x = (width - this.#size[0] * this.#view.scale) / 2;
    this.#view.y = (height - this.#size[1] * this.#view.scale) / 2;
    this.draw();
  }

  zoom(factor, point = [this.#stage.clientWidth / 2, this.#stage.clientHeight / 2]) {
    if (!this.#size) return;
    const [x, y] = this.#toPicture(point);
    this.#view.scale = Math.min(Math.max(this.#view.scale * factor, .02), MAX_SCALE);
    this.#view.x = point[0] - x * this.#view.scale;
    this.#view.y = point[1] - y * this.#view.scale;
    this.#isFitted = false;
    this.draw();
  }

  setPanning(isPanning) {
    this.#isPanning = isPanning;
    this.#stage.classList.toggle("panning", isPanning);
  }

  get scale() { return this.#view.scale; }

  #toPicture([x, y]) {
    return [(x - this.#view.x) / this.#view.scale, (y - this.#view.y) / this.#view.scale];
  }

  #toStage([left, top, width, height]) {
    const { scale, x, y } = this.#view;
    return [left * scale + x, top * scale + y, width * scale, height * scale];
  }

  #pointOf(event) {
    const area = this.#stage.getBoundingClientRect();
    return [event.clientX - area.left, event.clientY - area.top];
  }

  #handleAt(point) {
    if (!this.selectedBox) return null;
    const [left, top, width, height] = this.#toStage(this.selectedBox.box);
    const near = Object.entries(HANDLES).filter(([, [x, y]]) =>
      Math.abs(left + x * width - point[0]) <= REACH && Math.abs(top + y * height - point[1]) <= REACH);
    // On small boxes the corners are near each other, and the nearest counts.
    const distance = ([, [x, y]]) => Math.hypot(left + x * width - point[0], top + y * height - point[1]);
    near.sort((a, b) => distance(a) - distance(b));
    return near[0]?.[0] ?? null;
  }

  // The smallest box or proposal at a point of the stage.
  #thingAt(point) {
    const area = ({ box }) => box[2] * box[3];
    const here = (kind) => (thing, index) => ({ kind, index, thing });
    const all = [...this.boxes.map(here("box")), ...this.proposals.map(here("proposal"))];
    const found = all.filter(({ thing }) => contains(this.#toStage(thing.box), point, CLICK));
    found.sort((a, b) => area(a.thing) - area(b.thing));
    return found[0] ?? null;
  }

  #press(event) {
    if (!this.#size || this.#drag) return;
    const point = this.#pointOf(event);
    const isPan = event.button === 1 || (event.button === 0 && this.#isPanning);
    if (!isPan && event.button !== 0) return;
    this.#stage.setPointerCapture(event.pointerId);
    this.#stage.focus({ preventScroll: true });
    event.preventDefault();
    const start = this.#toPicture(point);
    if (isPan) {
      this.#drag = { kind: "pan", point, view: { ...this.#view } };
      return;
    }
    const labeled = this.selectedBox;
    const handle = event.shiftKey ? null : this.#handleAt(point);
    const common = { point, start, index: this.selected?.index, before: labeled && [...labeled.box] };
    if (handle) this.#drag = { kind: "resize", sides: handle, ...common };
    else if (labeled && !event.shiftKey && contains(this.#toStage(labeled.box), point)) this.#drag = { kind: "move", ...common };
    else this.#drag = { kind: "draw", point, start, box: null };
  }

  #move(event) {
    const point = this.#pointOf(event);
    this.#pointer = point;
    const drag = this.#drag;
    if (!drag) return this.draw();
    const isFar = Math.hypot(point[0] - drag.point[0], point[1] - drag.point[1]) >= CLICK;
    drag.isMoved ||= isFar;
    if (!drag.isMoved) return;
    const at = this.#toPicture(point);
    if (drag.kind === "pan") {
      this.#view.x = drag.view.x + point[0] - drag.point[0];
      this.#view.y = drag.view.y + point[1] - drag.point[1];
      this.#isFitted = false;
    } else if (drag.kind === "draw") {
      drag.box = between(drag.start, at, this.#size);
    } else if (drag.kind === "move") {
      const [dx, dy] = [Math.round(at[0] - drag.start[0]), Math.round(at[1] - drag.start[1])];
      this.boxes[drag.index].box = moved(drag.before, dx, dy, this.#size);
    } else {
      // The handle keeps its distance from the pointer.
      const [x, y] = HANDLES[drag.sides];
      const corner = [drag.before[0] + x * drag.before[2], drag.before[1] + y * drag.before[3]];
      const to = [corner[0] + at[0] - drag.start[0], corner[1] + at[1] - drag.start[1]];
      this.boxes[drag.index].box = resized(drag.before, drag.sides, to, this.#size);
    }
    this.draw();
  }

  #release(event) {
    const drag = this.#drag;
    if (!drag) return;
    this.#drag = null;
    if (drag.kind === "pan") return this.draw();
    if (drag.isMoved && drag.kind === "draw") {
      const { box } = drag;
      if (box && box[2] >= MIN_SIDE && box[3] >= MIN_SIDE) this.#emit("drawn", { box });
    } else if (drag.isMoved) {
      this.#emit("changed");
    } else if (drag.kind !== "resize") {
      const found = this.#thingAt(this.#pointOf(event));
      this.select(found?.kind, found?.index);
    }
    this.draw();
  }

  #doubleClick(event) {
    const found = this.#thingAt(this.#pointOf(event));
    if (found?.kind === "proposal") this.#emit("accept", { proposal: found.thing });
  }

  #wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? .01 : .0015)), this.#pointOf(event));
  }

  draw() {
    const layer = this.#layer;
    layer.replaceChildren();
    this.#stage.dataset.scale = this.#view.scale;
    if (!this.#size) return;
    const { scale, x, y } = this.#view;
    if (this.#image) {
      this.#image.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
      this.#image.classList.toggle("enlarged", scale > 3);
    }
    this.#drawGuides();
    this.proposals.forEach((proposal, index) => this.#drawProposal(proposal, index));
    const order = this.boxes.map((_, index) => index).sort((a, b) => this.#isSelected("box", a) - this.#isSelected("box", b));
    for (const index of order) this.#drawBox(this.boxes[index], index);
    if (this.#drag?.kind === "draw" && this.#drag.box) {
      this.#drawRectangle(this.#drag.box, "box drawn", colorOf(this.currentClass, this.classes));
      this.#drawTag(this.#drag.box, formatSize(this.#drag.box), colorOf(this.currentClass, this.classes));
    }
    this.#drawCursor();
  }

  #isSelected(kind, index) {
    return Number(this.selected?.kind === kind && this.selected.index === index);
  }

  #drawGuides() {
    if (!this.#pointer || this.#isPanning || (this.#drag && this.#drag.kind !== "draw")) return;
    const [x, y] = this.#pointer;
    if (this.#handleAt(this.#pointer)) return;
    this.#layer.append(svg("path", { class: "guide", d: `M${Math.round(x) + .5} 0V${this.#stage.clientHeight}M0 ${Math.round(y) + .5}H${this.#stage.clientWidth}` }));
  }

  #drawRectangle(box, className, color) {
    const [x, y, width, height] = this.#toStage(box);
    const attributes = { x, y, width: Math.max(width, 1), height: Math.max(height, 1) };
    this.#layer.append(svg("rect", { ...attributes, class: className + " outline" }));
    const rectangle = svg("rect", { ...attributes, class: className });
    if (color) Object.assign(rectangle.style, { stroke: color, fill: color });
    this.#layer.append(rectangle);
  }

  #drawTag(box, text, color) {
    const [x, y] = this.#toStage(box);
    const label = svg("text", { class: "tag" }, text);
    this.#layer.append(label);
    const width = label.getComputedTextLength() + 10;
    const left = Math.min(Math.max(x - 1, 0), Math.max(this.#stage.clientWidth - width, 0));
    const top = y >= 20 ? y - 18 : Math.max(y, 0);
    label.setAttribute("x", left + 5);
    label.setAttribute("y", top + 13);
    label.before(svg("rect", { class: "plate", x: left, y: top, width, height: 18, rx: 3, fill: color }));
  }

  #drawProposal(proposal, index) {
    const isSelected = this.#isSelected("proposal", index);
    this.#drawRectangle(proposal.box, "proposal" + (isSelected ? " selected" : ""));
    if (isSelected) this.#drawTag(proposal.box, `Enter: ${this.currentClass ?? "choose a class"}`, "#f4f6f8");
  }

  #drawBox(labeled, index) {
    const color = colorOf(labeled.class, this.classes);
    const isSelected = this.#isSelected("box", index);
    this.#drawRectangle(labeled.box, "box" + (isSelected ? " selected" : ""), color);
    this.#drawTag(labeled.box, labeled.class, color);
    if (!isSelected) return;
    const [x, y, width, height] = this.#toStage(labeled.box);
    for (const [dx, dy] of Object.values(HANDLES)) {
      // Those in the middle of a short side would cover it.
      if ((dx === .5 && width < 40) || (dy === .5 && height < 40)) continue;
      const handle = svg("rect", { class: "handle", x: x + dx * width - HANDLE, y: y + dy * height - HANDLE, width: 2 * HANDLE, height: 2 * HANDLE, rx: 2 });
      handle.style.stroke = color;
      this.#layer.append(handle);
    }
  }

  #drawCursor() {
    if (this.#isPanning) return;
    let cursor = "crosshair";
    const handle = this.#pointer && !this.#drag ? this.#handleAt(this.#pointer) : this.#drag?.sides;
    const isInside = this.#pointer && this.selectedBox && contains(this.#toStage(this.selectedBox.box), this.#pointer);
    if (handle) cursor = { nw: "nwse", se: "nwse", ne: "nesw", sw: "nesw", n: "ns", s: "ns", e: "ew", w: "ew" }[handle] + "-resize";
    else if (this.#drag?.kind === "move" || (!this.#drag && isInside)) cursor = "move";
    this.#stage.style.cursor = cursor;
  }
}
