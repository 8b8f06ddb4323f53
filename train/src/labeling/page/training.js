// Starts, shows, stops and resumes a training. The state is that of the server, so each window shows the same.
import { request } from "./client.js";
import { drawCurves } from "./curves.js";

const element = (id) => document.getElementById(id);
const POLL_INTERVAL = 1000;
const IDLE_INTERVAL = 4000;

const STATES = { running: "Training", stopping: "Stopping\u2026", stopped: "Stopped", failed: "Failed", finished: "Finished" };
const STEPS = {
  data: "Preparing the pictures", features: "Computing features", epochs: "Training", quantization: "Quantizing",
  calibration: "Calibrating the confidence", review: "Looking at the errors", finished: "Finished",
};

function node(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

export function inWords(seconds) {
  if (seconds <= 90) return `${Math.max(Math.round(seconds), 1)} s`;
  if (seconds <= 5400) return `${Math.ceil(seconds / 60)} minutes`;
  return `${(seconds / 3600).toFixed(1)} hours`;
}

// The share of the whole that is done: features are about half of a training that has them.
function shareOf({ step, step_share: share, epoch, epochs }) {
  switch (step) {
    case "data": return 0;
    case "features": return .3 * share;
    case "epochs": return .3 + .6 * (epoch + share) / epochs;
    case "finished": return 1;
    default: return .95;
  }
}

// Events: "status" (of the training).
export class Training extends EventTarget {
  #page;
  #status = null;
  #timer;
  #review = "";
  #isWatching = false;

  constructor(page) {
    super();
    this.#page = page;
    element("training-close").addEventListener("click", () => element("training").close());
    element("training-form").addEventListener("submit", (event) => { event.preventDefault(); this.#start(); });
    element("training-stop").addEventListener("click", () => this.#send("training/stop", {}));
    element("training-resume").addEventListener("click", () => this.#resume());
    element("training-name-output").addEventListener("input", ({ target }) => { target.dataset.isOwn = "yes"; });
  }

  // Asks for the state from now on; the pictures must be known.
  watch() {
    this.#isWatching = true;
    this.#poll();
  }

  open() {
    if (!this.#isWatching) return;
    element("training").showModal();
    this.#poll();
  }

  get #isRunning() { return ["running", "stopping"].includes(this.#status?.state); }

  async #poll() {
    clearTimeout(this.#timer);
    try {
      if (!document.hidden) this.#show(await request("training"));
    } catch {
      // The page says elsewhere that there is no connection.
    }
    clearTimeout(this.#timer);
    const isShown = element("training").open || this.#isRunning;
    this.#timer = setTimeout(() => this.#poll(), isShown ? POLL_INTERVAL : IDLE_INTERVAL);
  }

  async #send(path, body) {
    element("training-problem").textContent = "";
    try {
      await this.#page.save();
      this.#show(await request(path, body));
      this.#poll();
    } catch (error) {
      element("training-problem").textContent = error.message + ".";
      element("training").scrollTop = 0;
    }
  }

  #start() {
    const number = (id) => element(id).value === "" ? null : Number(element(id).value);
    delete element("training-name-output").dataset.isOwn;
    return this.#send("training", {
      output: element("training-name-output").value,
      name: element("training-name").value,
      recipe: element("training-recipe").value,
      epochs: number("training-epochs"),
      input_size: number("training-size"),
      set: element("training-set").value.split(/\s+/).filter((change) => change),
    });
  }

  #resume() {
    return this.#send("training", { output: this.#status.output, resume: true });
  }

  #show(status) {
    this.#status = status;
    const { state, output, progress, history, message } = status;
    element("training-progress").hidden = state === "none";
    element("training-state").textContent = this.#isRunning && progress && state === "running" ? STEPS[progress.step] : STATES[state] ?? "";
    element("training-state").className = "pill " + state;
    element("training-output").textContent = output ?? "";
    element("training-output").title = output ?? "";
    element("training-bar").hidden = !["running", "stopping", "stopped"].includes(state);
    element("training-bar").value = progress ? shareOf(progress) : 0;
    const complete = Math.max(history.length, progress?.epoch ?? 0);
    const epochs = progress?.epochs ?? 0;
    const present = state === "running" && progress?.step === "epochs" ? Math.min(complete + 1, epochs) : complete;
    element("training-epoch").textContent = epochs ? `Epoch ${present} of ${epochs}` : "";
    element("training-left").textContent = this.#timeLeft(state, progress);
    element("training-message").hidden = !message;
    element("training-message").textContent = message ?? "";
    element("training-stop").hidden = !this.#isRunning;
    element("training-stop").disabled = state === "stopping";
    element("training-resume").hidden = state !== "stopped" && !(state === "failed" && progress);
    element("training-note").textContent = state === "stopped" ? "Resume goes on with the pictures and labels that it began with." : "";
    element("training-figures").hidden = !history.length;
    drawCurves(element("training-curves"), element("training-legend"), history);
    this.#showButton(state, present, epochs);
    this.#showForm(status);
    this.#showReview(status);
    this.dispatchEvent(new CustomEvent("status", { detail: status }));
  }

  #timeLeft(state, progress) {
    if (state !== "running" || !progress) return "";
    if (progress.seconds_left !== null) return `about ${inWords(progress.seconds_left)} left`;
    return progress.estimate_seconds === null ? "estimating the time\u2026" : "";
  }

  #showButton(state, present, epochs) {
    const text = state === "running" && epochs ? `Training ${present} / ${epochs}` : STATES[state] && this.#isRunning ? STATES[state] : "Train";
    const open = element("training-open");
    open.classList.toggle("active", this.#isRunning);
    open.firstChild.textContent = text + " ";
  }

  #showForm({ state, next_output: next, recipes }) {
    const form = element("training-form");
    form.hidden = this.#isRunning;
    // What can be done with a finished model comes first.
    const after = state === "finished" ? null : element("trial");
    if (form.nextElementSibling !== after) element("training").insertBefore(form, after);
    const output = element("training-name-output");
    if (!output.dataset.isOwn && document.activeElement !== output) output.value = next;
    const recipe = element("training-recipe");
    if (recipe.children.length) return;
    for (const { name, description, epochs } of recipes) {
      const option = node("option", `${name}: ${description}`);
      option.value = name;
      option.dataset.epochs = epochs;
      recipe.append(option);
    }
    const showEpochs = () => { element("training-epochs").placeholder = recipe.selectedOptions[0].dataset.epochs; };
    recipe.addEventListener("change", showEpochs);
    showEpochs();
  }

  #showReview({ state, model, review, wrong_pictures: pictures }) {
    element("review").hidden = !review;
    // Rows that stay the same keep the focus.
    const text = JSON.stringify([state, model, review, pictures]);
    if (this.#review === text || !review) return;
    this.#review = text;
    const parts = [["What works", review.works], ["What does not", review.fails], ["Which pictures to take next", review.next]];
    element("review-parts").replaceChildren(...parts.filter(([, lines]) => lines.length).flatMap(([heading, lines]) => {
      const list = document.createElement("ul");
      list.append(...lines.map((line) => node("li", line)));
      return [node("h3", heading), list];
    }));
    element("review-wrong").hidden = !review.wrong.length;
    element("review-pictures").replaceChildren(...review.wrong.map((wrong, at) => this.#wrongPicture(wrong, pictures[at])));
  }

  #wrongPicture({ id, error }, index) {
    const item = document.createElement("li");
    if (index === null) {
      item.append(node("span", `${id}: ${error}`));
      return item;
    }
    const choice = node("button", "", "error");
    choice.type = "button";
    choice.title = "Show this picture";
    const picture = document.createElement("img");
    picture.src = `pictures/${index}/thumbnail`;
    picture.alt = "";
    choice.append(picture, node("b", this.#page.pictureName(index)), node("span", error));
    choice.addEventListener("click", () => {
      element("training").close();
      this.#page.showPicture(index);
    });
    item.append(choice);
    return item;
  }
}
