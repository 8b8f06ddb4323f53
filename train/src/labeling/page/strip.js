// The pictures as a strip. Only the tiles that can be seen exist, and a thumbnail is asked for once the strip rests.
const STEP = 116;
const AROUND = 3;
const REST = 80;

export class Strip {
  #element;
  #rail;
  #tiles = new Map();
  #client;
  #current = 0;
  #timer;

  constructor(element, client, choose) {
    this.#element = element;
    this.#client = client;
    this.#rail = document.createElement("div");
    this.#rail.className = "rail";
    this.#rail.style.width = client.pictures.length * STEP + "px";
    element.append(this.#rail);
    element.addEventListener("scroll", () => this.#update(), { passive: true });
    element.addEventListener("wheel", (event) => {
      if (event.deltaX === 0) element.scrollLeft += event.deltaY;
    }, { passive: true });
    element.addEventListener("click", (event) => {
      const tile = event.target.closest("button");
      if (tile) choose(Number(tile.dataset.index));
    });
    new ResizeObserver(() => this.#update()).observe(element);
    client.addEventListener("summary", ({ detail }) => detail.pictures.forEach((index) => this.#mark(index)));
  }

  show(index) {
    const before = this.#current;
    this.#current = index;
    const [left, width] = [index * STEP, this.#element.clientWidth];
    const isVisible = left >= this.#element.scrollLeft && left + STEP <= this.#element.scrollLeft + width;
    if (!isVisible) this.#element.scrollLeft = left - (width - STEP) / 2;
    this.#update();
    this.#mark(before);
    this.#mark(index);
  }

  #update() {
    const [left, width] = [this.#element.scrollLeft, this.#element.clientWidth];
    const first = Math.max(0, Math.floor(left / STEP) - AROUND);
    const last = Math.min(this.#client.pictures.length - 1, Math.ceil((left + width) / STEP) + AROUND);
    for (const [index, tile] of this.#tiles) {
      if (index >= first && index <= last) continue;
      // A thumbnail that is still loading is given up.
      tile.querySelector("img").removeAttribute("src");
      tile.remove();
      this.#tiles.delete(index);
    }
    for (let index = first; index <= last; index++) if (!this.#tiles.has(index)) this.#add(index);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#load(), REST);
  }

  #add(index) {
    const tile = document.createElement("button");
    tile.className = "tile";
    tile.type = "button";
    tile.tabIndex = -1;
    tile.dataset.index = index;
    tile.style.left = index * STEP + "px";
    const picture = document.createElement("img");
    picture.alt = "";
    picture.addEventListener("error", () => {
      if (picture.hasAttribute("src")) tile.classList.add("broken");
    });
    const number = document.createElement("span");
    number.className = "number";
    number.textContent = (index + 1).toLocaleString("en");
    const mark = document.createElement("span");
    mark.className = "mark";
    tile.append(picture, number, mark);
    this.#tiles.set(index, tile);
    this.#rail.append(tile);
    this.#mark(index);
  }

  #load() {
    for (const [index, tile] of this.#tiles) {
      const picture = tile.querySelector("img");
      if (!picture.hasAttribute("src")) picture.src = `pictures/${index}/thumbnail`;
    }
  }

  #mark(index) {
    const tile = this.#tiles.get(index);
    if (!tile) return;
    const { name, state, boxes } = this.#client.pictures[index];
    const isCurrent = index === this.#current;
    tile.classList.toggle("current", isCurrent);
    tile.tabIndex = isCurrent ? 0 : -1;
    if (isCurrent) tile.setAttribute("aria-current", "true");
    else tile.removeAttribute("aria-current");
    const text = { unlabeled: "not labeled", nothing: "nothing here", boxes: boxes + (boxes === 1 ? " box" : " boxes") }[state];
    tile.setAttribute("aria-label", `Picture ${index + 1}, ${name}: ${text}`);
    tile.title = `${name}: ${text}`;
    const mark = tile.querySelector(".mark");
    mark.className = "mark " + state;
    mark.textContent = { unlabeled: "", nothing: "\u2205", boxes }[state];
  }
}
