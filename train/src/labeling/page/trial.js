// Shows what the model finds in pictures and in those of a webcam.
import { colorOf } from "./boxes.js";
import { request } from "./client.js";

const element = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
// Results that are kept.
const MOST = 12;
// Height of a result as a percentage of that of the window.
const HIGHEST = 60;

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// A drawing over the picture, in its pixels.
function boxes({ width, height, objects }) {
  const classes = [...new Set(objects.map((object) => object.class))];
  const drawing = shape("svg", { viewBox: `0 0 ${width} ${height}` });
  const size = Math.max(width, height) / 32;
  for (const { class: name, score, box: [left, top, boxWidth, boxHeight] } of objects) {
    const color = colorOf(name, classes);
    drawing.append(shape("rect", {
      x: left, y: top, width: boxWidth, height: boxHeight, fill: "none", stroke: color, "stroke-width": size / 6,
    }));
    const text = shape("text", {
      x: left + size / 4, y: Math.max(top - size / 3, size), "font-size": size, fill: color, class: "found",
      "stroke-width": size / 6,
    });
    text.textContent = `${name} ${score.toFixed(2)}`;
    drawing.append(text);
  }
  return drawing;
}

function words({ objects }) {
  if (!objects.length) return "nothing found";
  return objects.map((object) => `${object.class} ${object.score.toFixed(2)}`).join(", ");
}

export class Trial {
  #stream = null;

  constructor() {
    const files = element("trial-files");
    files.addEventListener("change", () => { this.#tryAll([...files.files]); files.value = ""; });
    const section = element("trial");
    section.addEventListener("dragover", (event) => event.preventDefault());
    section.addEventListener("drop", (event) => {
      event.preventDefault();
      this.#tryAll([...event.dataTransfer.files]);
    });
    element("trial-camera").addEventListener("click", () => this.#stream ? this.#stopCamera() : this.#startCamera());
    element("training").addEventListener("close", () => this.#stopCamera());
    if (!navigator.mediaDevices?.getUserMedia) element("trial-camera").hidden = true;
  }

  update({ tried_model: model }) {
    element("trial").hidden = !model;
    element("trial-model").textContent = model ?? "";
  }

  #report(message) {
    element("trial-problem").textContent = message;
  }

  async #tryAll(files) {
    this.#report("");
    for (const file of files) {
      try {
        this.#add(file, file.name, await this.#find(file, file.name));
      } catch (error) {
        this.#report(`${error.message}.`);
      }
    }
  }

  // The name is for messages.
  #find(file, name) {
    return request(`trial?${new URLSearchParams({ name })}`, file);
  }

  #result(url, found, name) {
    const item = document.createElement("li");
    const figure = document.createElement("figure");
    const picture = document.createElement("img");
    picture.src = url;
    picture.alt = name;
    const caption = document.createElement("figcaption");
    caption.textContent = `${name}: ${words(found)}`;
    const view = document.createElement("div");
    view.className = "found-view";
    view.style.aspectRatio = `${found.width} / ${found.height}`;
    view.style.width = `min(100%, ${HIGHEST * found.width / found.height}vh)`;
    view.append(picture, boxes(found));
    figure.append(view, caption);
    item.append(figure);
    return item;
  }

  #add(file, name, found) {
    const list = element("trial-results");
    list.prepend(this.#result(URL.createObjectURL(file), found, name));
    while (list.children.length > MOST) this.#remove(list.lastElementChild);
  }

  #remove(item) {
    URL.revokeObjectURL(item.querySelector("img").src);
    item.remove();
  }

  async #startCamera() {
    this.#report("");
    const video = element("trial-video");
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: true });
      video.srcObject = this.#stream;
      await video.play();
    } catch (error) {
      this.#stopCamera();
      this.#report(`The webcam cannot be used: ${error.message}.`);
      return;
    }
    element("trial-camera").textContent = "Stop the webcam";
    this.#look(video);
  }

  #stopCamera() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    element("trial-camera").textContent = "Webcam";
  }

  // One picture after the other, as fast as they are answered.
  async #look(video) {
    const canvas = document.createElement("canvas");
    let shown = null;
    while (this.#stream) {
      [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      canvas.getContext("2d").drawImage(video, 0, 0);
      const frame = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", .9));
      try {
        const found = await this.#find(frame, "webcam");
        const next = this.#result(URL.createObjectURL(frame), found, "webcam");
        await next.querySelector("img").decode();
        element("trial-results").prepend(next);
        if (shown) this.#remove(shown);
        shown = next;
      } catch (error) {
        this.#report(`${error.message}.`);
        this.#stopCamera();
      }
    }
  }
}
