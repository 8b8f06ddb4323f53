// The bars and panels around the picture. Text is only ever inserted as text, never as HTML.
import { colorOf, formatSize } from "./boxes.js";

const element = (id) => document.getElementById(id);

function node(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function swatch(color) {
  const made = node("span", "swatch");
  made.style.background = color;
  return made;
}

function button(className) {
  const made = node("button", className);
  made.type = "button";
  return made;
}

// The key of a class: 1 to 9, and 0 for the tenth.
const keyOf = (index) => index < 9 ? String(index + 1) : index === 9 ? "0" : "";

// Replaces the children of a list, but not those that are the same, so that the focus stays.
function replace(list, rows, describe) {
  const text = JSON.stringify(rows.map(describe));
  if (list.dataset.rows === text) return false;
  list.dataset.rows = text;
  const focused = [...list.children].findIndex((row) => row.contains(document.activeElement));
  list.replaceChildren(...rows.map((row) => row.row()));
  list.children[focused]?.querySelector("button")?.focus();
  return true;
}

export function showClasses(classes, current, boxes, choose) {
  const rows = classes.map((name, index) => ({
    name,
    isCurrent: name === current,
    count: boxes.filter((labeled) => labeled.class === name).length,
    row() {
      const item = document.createElement("li");
      const choice = button("class");
      choice.setAttribute("aria-pressed", this.isCurrent);
      choice.append(node("kbd", "", keyOf(index)), swatch(colorOf(name, classes)), node("span", "name", name));
      if (this.count) choice.append(node("span", "count", String(this.count)));
      choice.addEventListener("click", () => choose(name));
      item.append(choice);
      return item;
    },
  }));
  const isNew = replace(element("classes"), rows, ({ name, isCurrent, count }) => [name, isCurrent, count]);
  if (isNew) element("classes").querySelector("[aria-pressed=true]")?.scrollIntoView({ block: "nearest" });
  element("no-classes").hidden = classes.length > 0;
}

export function showBoxes(boxes, selected, classes, select, remove) {
  const rows = boxes.map((labeled, index) => ({
    text: [labeled.class, formatSize(labeled.box)],
    isSelected: index === selected,
    row() {
      const item = document.createElement("li");
      const choice = button("labeled");
      choice.setAttribute("aria-pressed", this.isSelected);
      choice.append(swatch(colorOf(labeled.class, classes)), node("span", "name", labeled.class), node("span", "size", this.text[1]));
      choice.addEventListener("click", () => select(index));
      const close = button("remove");
      close.textContent = "\u00d7";
      close.setAttribute("aria-label", `Delete box ${index + 1}, ${labeled.class}`);
      close.addEventListener("click", () => remove(index));
      item.append(choice, close);
      return item;
    },
  }));
  const isNew = replace(element("boxes"), rows, ({ text, isSelected }) => [text, isSelected]);
  if (isNew) element("boxes").querySelector("[aria-pressed=true]")?.scrollIntoView({ block: "nearest" });
  element("no-boxes").hidden = boxes.length > 0;
}

export function showPicture(labels, hasPicture) {
  const nothing = element("nothing");
  nothing.checked = labels?.state === "nothing";
  nothing.disabled = !hasPicture || labels?.state === "boxes";
  const exhaustive = element("exhaustive");
  exhaustive.checked = labels?.exhaustive === true;
  exhaustive.disabled = !hasPicture || labels?.state !== "boxes";
  element("unstated").hidden = !(labels?.state === "boxes" && labels.exhaustive === null);
}

export function showProposals(count, currentClass, isOn, isBusy) {
  element("proposals").hidden = !isOn;
  element("proposal-count").textContent = isBusy ? "Looking\u2026" : count === 1 ? "1 proposed box" : `${count} proposed boxes`;
  element("accept-class").textContent = currentClass ?? "a class";
  element("accept").disabled = element("accept-all").disabled = !count || !currentClass;
}

export function showProgress(client, index) {
  const [count, labeled] = [client.pictures.length, client.labeled];
  const text = (number) => number.toLocaleString("en");
  element("position").textContent = `${text(index + 1)} / ${text(count)}`;
  element("name").textContent = client.pictures[index]?.name ?? "";
  element("name").title = client.pictures[index]?.name ?? "";
  element("labeled").textContent = `${text(labeled)} of ${text(count)} labeled`;
  element("progress").max = count;
  element("progress").value = labeled;
  element("previous").disabled = index === 0;
  element("next").disabled = index === count - 1;
}

const STATUS = { saved: "Saved", saving: "Saving\u2026", failed: "Not saved", offline: "No connection" };

export function showStatus(client) {
  const status = element("status");
  const isLost = client.status === "offline" && !client.isSaved;
  status.className = "pill " + client.status;
  status.textContent = isLost ? "Not saved: no connection" : STATUS[client.status];
  element("undo").disabled = !client.canUndo;
  element("redo").disabled = !client.canRedo;
}

let toastTimer;

// A short message, with what can be done about it.
export function toast(message, action) {
  element("toast-text").textContent = message;
  const act = element("toast-action");
  act.hidden = !action;
  act.textContent = action?.text ?? "";
  act.onclick = () => { element("toast").hidden = true; action?.run(); };
  element("toast").hidden = !message;
  clearTimeout(toastTimer);
  if (!action) toastTimer = setTimeout(() => { element("toast").hidden = true; }, 6000);
}

// What a screen reader says.
export function say(text) {
  element("spoken").textContent = text;
}
