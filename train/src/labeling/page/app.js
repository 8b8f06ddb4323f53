// Connects the server, the picture, the strip and the panels, and gives keys their meaning.
import { Board } from "./board.js";
import { boxesOf, formatSize, labelsOf } from "./boxes.js";
import { Client } from "./client.js";
import { Editor } from "./editor.js";
import { say, showBoxes, showClasses, showPicture, showProgress, showProposals, showStatus, toast } from "./panels.js";
import { Strip } from "./strip.js";
import { Training } from "./training.js";
import { Trial } from "./trial.js";

const element = (id) => document.getElementById(id);
// Pictures that are loaded before they are shown.
const AHEAD = [1, -1, 2];

const client = new Client();
const editor = new Editor(element("stage"));
const images = new Map();
let strip;
let index = 0;
let currentClass = null;
// A box that was drawn while there was no class.
let pendingBox = null;
let hasProposals = false;
let isLooking = false;
let isNudged = false;
let abort = new AbortController();

const record = () => client.known(index);
const labels = () => record()?.labels;
const exhaustive = () => labels()?.exhaustive ?? null;

function refresh() {
  editor.classes = client.classes;
  editor.currentClass = currentClass;
  editor.draw();
  showClasses(client.classes, editor.selectedBox?.class ?? currentClass, editor.boxes, chooseClass);
  const selected = editor.selected?.kind === "box" ? editor.selected.index : -1;
  showBoxes(editor.boxes, selected, client.classes, (box) => editor.select("box", box), removeBox);
  showPicture(labels(), editor.hasPicture);
  showProposals(editor.proposals.length, currentClass, hasProposals && editor.showsProposals, isLooking);
  showProgress(client, index);
  showStatus(client);
}

function setBoxes(boxes, stated = exhaustive()) {
  isNudged = false;
  client.change(index, labelsOf(boxes, stated));
}

// Stores what the arrow keys have moved.
function flush() {
  if (!isNudged) return;
  setBoxes(editor.boxes);
}

function addBox(box) {
  if (!editor.hasPicture) return;
  if (!currentClass) {
    pendingBox = box;
    toast("Name the class of this box.");
    element("new-class").focus();
    return;
  }
  setBoxes([...editor.boxes, { class: currentClass, box }]);
  editor.select("box", editor.boxes.length - 1);
  say(`Box ${editor.boxes.length}, ${currentClass}, ${formatSize(box)} pixels`);
}

function removeBox(at) {
  const [removed] = editor.boxes.slice(at, at + 1);
  setBoxes(editor.boxes.filter((_, other) => other !== at));
  editor.select(null);
  say(`Deleted ${removed.class}`);
}

function chooseClass(name) {
  currentClass = name;
  if (pendingBox) {
    const box = pendingBox;
    pendingBox = null;
    addBox(box);
  } else if (editor.selectedProposal) {
    accept(editor.selectedProposal);
  } else if (editor.selectedBox && editor.selectedBox.class !== name) {
    const at = editor.selected.index;
    setBoxes(editor.boxes.map((labeled, other) => other === at ? { ...labeled, class: name } : labeled));
  }
  refresh();
}

async function addClass(name) {
  try {
    await client.addClass(name);
    chooseClass(name);
    element("new-class").value = "";
    element("stage").focus();
  } catch (error) {
    toast(error.message + ".");
  }
}

function needsClass() {
  if (currentClass) return false;
  toast("Choose or add a class first: proposals have none.");
  element("new-class").focus();
  return true;
}

function accept(proposal) {
  if (!proposal || needsClass()) return;
  const next = editor.selected?.kind === "proposal" ? editor.selected.index : 0;
  setBoxes([...editor.boxes, { class: currentClass, box: proposal.box }]);
  // The one behind it is next.
  if (editor.proposals.length) editor.select("proposal", Math.min(next, editor.proposals.length - 1));
  else editor.select("box", editor.boxes.length - 1);
  say(`Accepted ${currentClass}; ${editor.proposals.length} proposals remain`);
}

function acceptAll() {
  if (!editor.proposals.length || needsClass()) return;
  const accepted = editor.proposals.map(({ box }) => ({ class: currentClass, box }));
  setBoxes([...editor.boxes, ...accepted]);
  editor.select(null);
}

function toggleNothing() {
  if (!editor.hasPicture) return;
  if (editor.boxes.length) return toast("This picture has boxes. Delete them first, if there is nothing in it.");
  client.change(index, labelsOf([], null, labels().state !== "nothing"));
}

function toggleExhaustive() {
  if (!editor.hasPicture) return;
  if (!editor.boxes.length) return toast("There is no box. Press N if there is nothing in the picture.");
  setBoxes(editor.boxes, exhaustive() !== true);
}

async function image(at) {
  if (!images.has(at)) {
    const made = new Image();
    made.src = `pictures/${at}/file`;
    images.set(at, made);
  }
  const made = images.get(at);
  try {
    await made.decode();
  } catch {
    images.delete(at);
    throw new Error("the browser cannot show this picture");
  }
  return made;
}

async function show(at) {
  if (at < 0 || at >= client.pictures.length) return;
  flush();
  pendingBox = null;
  abort.abort();
  abort = new AbortController();
  index = at;
  history.replaceState(null, "", "#" + (at + 1));
  strip.show(at);
  showProgress(client, at);
  let problem = "";
  let shown = null;
  try {
    const [found, picture] = await Promise.all([client.get(at), image(at)]);
    shown = { found, picture };
  } catch (error) {
    problem = error.message;
  }
  // Another picture was chosen meanwhile.
  if (at !== index) return;
  element("problem").hidden = !problem;
  element("problem").textContent = problem && `${client.pictures[at].name}: ${problem}.`;
  editor.show(shown?.picture ?? null, shown ? [shown.found.width, shown.found.height] : null);
  editor.setBoxes(shown ? boxesOf(shown.found.labels) : []);
  element("size").textContent = shown ? `${shown.found.width} \u00d7 ${shown.found.height}` : "";
  element("stage").dataset.index = at;
  refresh();
  if (shown && hasProposals) await propose(at, abort.signal);
  if (at === index) loadAhead(at);
}

async function propose(at, signal) {
  isLooking = true;
  refresh();
  try {
    const proposals = await client.proposals(at, signal);
    if (at === index) editor.setProposals(proposals);
  } catch (error) {
    if (error.name !== "AbortError" && at === index) toast(`No proposals: ${error.message}.`);
  }
  if (at !== index) return;
  isLooking = false;
  refresh();
}

function loadAhead(at) {
  for (const kept of images.keys()) if (Math.abs(kept - at) > 2) images.delete(kept);
  for (const other of AHEAD.map((step) => at + step).filter((other) => client.pictures[other])) {
    client.get(other).catch(() => {});
    image(other).catch(() => {});
  }
  if (hasProposals && client.pictures[at + 1]) client.proposals(at + 1, abort.signal).catch(() => {});
}

function nextUnlabeled() {
  const after = client.pictures.findIndex((picture, at) => at > index && picture.state === "unlabeled");
  const any = client.pictures.findIndex((picture) => picture.state === "unlabeled");
  if (any < 0) return toast("All pictures are labeled.");
  show(after < 0 ? any : after);
}

async function step(direction) {
  flush();
  const changed = await client[direction]();
  if (changed === undefined) return;
  if (changed !== index) await show(changed);
  say(direction === "undo" ? "Undone" : "Redone");
}

function arrow(event, dx, dy) {
  if (!editor.selectedBox) {
    if (dx && !event.ctrlKey && !event.altKey && !event.shiftKey) show(index + dx);
    return;
  }
  const by = event.shiftKey ? 10 : 1;
  editor.nudge(dx * by, dy * by, event.ctrlKey || event.altKey);
  isNudged = true;
}

function remove() {
  if (editor.selectedProposal) editor.dismiss(editor.selectedProposal);
  else if (editor.selectedBox) removeBox(editor.selected.index);
}

function escape() {
  pendingBox = null;
  if (!editor.cancel()) editor.select(null);
}

function toggleProposals() {
  if (!hasProposals) return toast("There is no model for proposals (--model).");
  editor.showsProposals = !editor.showsProposals;
  editor.select(null);
}

const help = () => element("help").showModal();

const training = new Training({
  // Before a training, every change is on disk.
  save: () => { flush(); return client.saved(); },
  showPicture: (at) => { show(at); element("stage").focus(); },
  pictureName: (at) => client.pictures[at]?.name ?? "",
});
const trial = new Trial();
const board = new Board();
training.addEventListener("status", ({ detail }) => { trial.update(detail); board.update(detail); });

const KEYS = {
  ArrowRight: (event) => arrow(event, 1, 0),
  ArrowLeft: (event) => arrow(event, -1, 0),
  ArrowDown: (event) => arrow(event, 0, 1),
  ArrowUp: (event) => arrow(event, 0, -1),
  PageDown: () => show(index + 1),
  PageUp: () => show(index - 1),
  d: () => show(index + 1),
  a: () => show(index - 1),
  Home: () => show(0),
  End: () => show(client.pictures.length - 1),
  u: nextUnlabeled,
  ",": () => editor.cycle(-1),
  ".": () => editor.cycle(1),
  Enter: (event) => event.shiftKey ? acceptAll() : accept(editor.selectedProposal ?? editor.proposals[0]),
  Delete: remove,
  Backspace: remove,
  Escape: escape,
  n: toggleNothing,
  e: toggleExhaustive,
  b: () => { if (editor.hasPicture) addBox(editor.boxInView()); },
  c: () => element("new-class").focus(),
  p: toggleProposals,
  z: () => step("undo"),
  y: () => step("redo"),
  "+": () => editor.zoom(1.25),
  "=": () => editor.zoom(1.25),
  "-": () => editor.zoom(.8),
  f: () => editor.fit(),
  t: () => training.open(),
  "?": help,
  h: help,
};

function commandOf(event) {
  const isControl = event.ctrlKey || event.metaKey;
  if (isControl && event.key.toLowerCase() === "z") return () => step(event.shiftKey ? "redo" : "undo");
  if (isControl && event.key.toLowerCase() === "y") return () => step("redo");
  if (event.key.startsWith("Arrow")) return KEYS[event.key];
  // Those of the browser.
  if (isControl || event.altKey) return undefined;
  if (/^[0-9]$/.test(event.key)) {
    const name = client.classes[(Number(event.key) + 9) % 10];
    return name && (() => chooseClass(name));
  }
  return KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
}

// Keys that a focused control uses itself.
function isOfControl(event) {
  const { target } = event;
  if (document.querySelector("dialog[open]")) return true;
  if (target.matches?.("input:not([type=checkbox]), select, summary")) return true;
  return target.matches?.("button, input, a") && ["Enter", " "].includes(event.key);
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.id === "new-class") element("stage").focus();
  if (isOfControl(event)) return;
  if (event.key === " ") {
    editor.setPanning(true);
    event.preventDefault();
    return;
  }
  const command = commandOf(event);
  if (!command || !strip || editor.isDragging && event.key !== "Escape") return;
  event.preventDefault();
  if (!event.key.startsWith("Arrow")) flush();
  command(event);
});

document.addEventListener("keyup", (event) => {
  if (event.key === " ") editor.setPanning(false);
  if (event.key.startsWith("Arrow")) flush();
});

window.addEventListener("blur", flush);
window.addEventListener("beforeunload", (event) => {
  flush();
  if (!client.isSaved) event.preventDefault();
});

editor.addEventListener("drawn", ({ detail }) => addBox(detail.box));
editor.addEventListener("changed", () => setBoxes(editor.boxes));
editor.addEventListener("selected", refresh);
editor.addEventListener("accept", ({ detail }) => accept(detail.proposal));

client.addEventListener("labels", ({ detail }) => {
  if (detail.index !== index || editor.isDragging) return;
  editor.setBoxes(boxesOf(labels()));
  if (detail.isOther) {
    isNudged = false;
    toast("This picture was labeled in another window; its newer labels are shown.");
  }
  refresh();
});
client.addEventListener("conflict", ({ detail }) => {
  const name = client.pictures[detail.index].name;
  toast(`${name} was labeled in another window. Your change was not saved.`, {
    text: "Use mine instead",
    run: () => { client.change(detail.index, detail.mine); show(detail.index); },
  });
});
client.addEventListener("refused", ({ detail }) => { if (detail.message) toast(detail.message); });
client.addEventListener("summary", () => showProgress(client, index));
client.addEventListener("status", () => showStatus(client));
client.addEventListener("classes", () => { currentClass ??= client.classes[0] ?? null; refresh(); });

const CLICKS = {
  previous: () => show(index - 1),
  next: () => show(index + 1),
  unlabeled: nextUnlabeled,
  undo: () => step("undo"),
  redo: () => step("redo"),
  "training-open": () => training.open(),
  "help-open": help,
  "help-close": () => element("help").close(),
  accept: () => accept(editor.selectedProposal ?? editor.proposals[0]),
  "accept-all": acceptAll,
  "zoom-in": () => editor.zoom(1.25),
  "zoom-out": () => editor.zoom(.8),
  fit: () => editor.fit(),
};
for (const [id, run] of Object.entries(CLICKS)) element(id).addEventListener("click", () => { flush(); run(); });
element("nothing").addEventListener("change", () => { toggleNothing(); refresh(); });
element("exhaustive").addEventListener("change", () => { toggleExhaustive(); refresh(); });
element("class-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = element("new-class").value.trim();
  if (name) addClass(name);
});

async function start() {
  const state = await client.load();
  hasProposals = state.has_proposals;
  currentClass = state.classes[0] ?? null;
  element("folder").textContent = state.folder;
  document.title = `${state.folder} \u00b7 labels`;
  strip = new Strip(element("strip"), client, (at) => { show(at); element("stage").focus(); });
  training.watch();
  const asked = Number(location.hash.slice(1)) - 1;
  const unlabeled = client.pictures.findIndex((picture) => picture.state === "unlabeled");
  await show(client.pictures[asked] ? asked : Math.max(unlabeled, 0));
}

start().catch(() => {
  element("problem").hidden = false;
  element("problem").textContent = "boxcam-train does not answer. Start it again, then reload this page.";
});
