// Keeps the labels that the page knows, sends changes one after the other, and hears of those of other windows.
import { equal } from "./boxes.js";

const POLL_INTERVAL = 1000;
const RETRY_DELAY = 2000;
const MAX_UNDO = 500;
const SAVED_INTERVAL = 50;
const SAVED_TIMEOUT = 10000;

class Refused extends Error {
  constructor(status, body) {
    super(body.error ?? "the server answers with " + status);
    this.status = status;
    this.current = body.current;
  }
}

export async function request(path, body) {
  const isFile = body instanceof Blob;
  const options = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": isFile ? "application/octet-stream" : "application/json", "X-Boxcam-Request": "1" },
    body: isFile ? body : JSON.stringify(body),
  };
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}

// Events: "summary" (pictures), "classes", "labels" (index, isOther), "status", "conflict" (current, mine), "refused" (message).
export class Client extends EventTarget {
  pictures = [];
  classes = [];
  status = "saved";
  #records = new Map();
  #loading = new Map();
  #proposals = new Map();
  #undo = [];
  #redo = [];
  #dirty = new Set();
  #isSending = false;
  #run = "";
  #version = 0;

  async load() {
    const state = await request("state");
    Object.assign(this, { pictures: state.pictures, classes: state.classes });
    this.#run = state.run;
    this.#version = state.version;
    setTimeout(() => this.#poll(), POLL_INTERVAL);
    return state;
  }

  #emit(type, detail = {}) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  #setStatus(status) {
    this.status = status;
    this.#emit("status");
  }

  get labeled() {
    return this.pictures.filter((picture) => picture.state !== "unlabeled").length;
  }

  get canUndo() { return this.#undo.length > 0; }
  get canRedo() { return this.#redo.length > 0; }
  get isSaved() { return this.#dirty.size === 0; }

  // What is known of a picture, without asking the server.
  known(index) {
    return this.#records.get(index);
  }

  async get(index) {
    const known = this.#records.get(index);
    if (known) return known;
    if (!this.#loading.has(index)) {
      const loading = request(`pictures/${index}`).then((record) => {
        if (!this.#records.has(index)) this.#records.set(index, record);
        return this.#records.get(index);
      });
      this.#loading.set(index, loading.finally(() => this.#loading.delete(index)));
    }
    return this.#loading.get(index);
  }

  // Proposals of the model; those of a request that was given up are asked for again.
  async proposals(index, signal) {
    const known = this.#proposals.get(index);
    if (known) return known;
    const response = await fetch(`pictures/${index}/proposals`, { signal });
    const answer = await response.json();
    if (!response.ok) throw new Refused(response.status, answer);
    this.#proposals.set(index, answer.proposals);
    return answer.proposals;
  }

  // Waits until every change is on disk.
  async saved() {
    for (let waited = 0; !this.isSaved; waited += SAVED_INTERVAL) {
      if (waited > SAVED_TIMEOUT) throw new Error("the labels could not be saved yet; try again");
      await new Promise((resolve) => setTimeout(resolve, SAVED_INTERVAL));
    }
  }

  change(index, labels) {
    const before = this.#records.get(index).labels;
    if (equal(before, labels)) return;
    this.#undo.push({ index, before, after: labels });
    if (this.#undo.length > MAX_UNDO) this.#undo.shift();
    this.#redo = [];
    this.#apply(index, labels);
  }

  // The picture that was changed back; undefined if there is nothing to undo.
  async undo() { return this.#step(this.#undo, this.#redo, "after", "before"); }
  async redo() { return this.#step(this.#redo, this.#undo, "before", "after"); }

  async #step(from, to, now, then) {
    const step = from.pop();
    if (!step) return undefined;
    const record = await this.get(step.index);
    if (!equal(record.labels, step[now])) {
      this.#emit("refused", { message: "It was labeled in another window since, so this cannot be undone." });
      return step.index;
    }
    to.push(step);
    this.#apply(step.index, step[then]);
    return step.index;
  }

  #apply(index, labels) {
    this.#records.get(index).labels = labels;
    this.#summarize(index, labels);
    this.#dirty.add(index);
    this.#emit("labels", { index, isOther: false });
    this.#send();
  }

  #summarize(index, labels) {
    const summary = this.pictures[index];
    summary.state = labels.state;
    summary.boxes = labels.boxes?.length ?? 0;
    this.#emit("summary", { pictures: [index] });
  }

  async #send() {
    if (this.#isSending) return;
    this.#isSending = true;
    this.#setStatus("saving");
    while (this.#dirty.size) {
      const [index] = this.#dirty;
      const record = this.#records.get(index);
      const labels = record.labels;
      try {
        const answer = await request(`pictures/${index}`, { revision: record.revision, labels });
        record.revision = answer.revision;
        // It may have been changed again meanwhile.
        if (equal(record.labels, labels)) {
          this.#dirty.delete(index);
          this.#setLabels(index, answer, false);
        }
      } catch (error) {
        if (!(error instanceof Refused) || error.status >= 500) {
          this.#setStatus("failed");
          this.#emit("refused", { message: error instanceof Refused ? error.message + "." : "" });
          await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY));
          continue;
        }
        this.#dirty.delete(index);
        await this.#giveWay(index, labels, error);
      }
    }
    this.#isSending = false;
    this.#setStatus("saved");
  }

  // Shows the labels of the server after a change was refused.
  async #giveWay(index, mine, error) {
    this.#undo = this.#undo.filter((step) => step.index !== index);
    this.#redo = this.#redo.filter((step) => step.index !== index);
    const current = error.current ?? await request(`pictures/${index}`);
    this.#setLabels(index, current, true);
    if (error.status === 409) this.#emit("conflict", { index, mine });
    else this.#emit("refused", { message: error.message + "." });
  }

  #setLabels(index, answer, isOther) {
    const record = this.#records.get(index);
    const isNew = !equal(record.labels, answer.labels);
    Object.assign(record, { labels: answer.labels, revision: answer.revision });
    this.#summarize(index, answer.labels);
    if (isNew) this.#emit("labels", { index, isOther });
  }

  async addClass(name) {
    const { classes } = await request("classes", { name });
    this.#setClasses(classes);
  }

  #setClasses(classes) {
    if (equal(classes, this.classes)) return;
    this.classes = classes;
    this.#emit("classes");
  }

  async #poll() {
    try {
      if (!document.hidden) await this.#hear();
    } catch {
      this.#setStatus("offline");
    }
    setTimeout(() => this.#poll(), POLL_INTERVAL);
  }

  async #hear() {
    const query = new URLSearchParams({ run: this.#run, version: this.#version });
    const changes = await request(`changes?${query}`);
    if (this.status === "offline") this.#setStatus(this.isSaved ? "saved" : "saving");
    this.#run = changes.run;
    this.#version = changes.version;
    this.#setClasses(changes.classes);
    const others = changes.pictures.filter(({ index }) => !this.#dirty.has(index) && index < this.pictures.length);
    for (const summary of others) this.pictures[summary.index] = summary;
    if (others.length) this.#emit("summary", { pictures: others.map(({ index }) => index) });
    for (const { index } of others.filter(({ index }) => this.#records.has(index))) {
      const current = await request(`pictures/${index}`);
      if (!this.#dirty.has(index)) this.#setLabels(index, current, true);
    }
  }
}
