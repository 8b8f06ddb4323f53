// Sends the model to a board. The password is only in its field, and goes to this machine's server.
import { request } from "./client.js";

const element = (id) => document.getElementById(id);

export class Board {
  constructor() {
    element("board").addEventListener("submit", (event) => { event.preventDefault(); this.#send(false); });
    element("board-back").addEventListener("click", () => {
      if (element("board").reportValidity()) this.#send(true);
    });
  }

  update({ model }) {
    element("board").hidden = !model;
  }

  async #send(isBack) {
    const answer = element("board-answer");
    const buttons = ["board-send", "board-back"].map(element);
    for (const button of buttons) button.disabled = true;
    answer.className = "secondary";
    answer.textContent = isBack ? "Asking the board\u2026" : "Sending\u2026";
    try {
      const fields = { address: element("board-address").value, password: element("board-password").value, go_back: isBack };
      const installed = await request("board", fields);
      const use = isBack ? "It uses the model of its own file again" : "It uses the model from the next frame on, until its next start";
      answer.className = "good";
      answer.textContent = `${use}: ${installed.model}, ${installed.golden_examples} golden examples agree within ${installed.max_difference}.`;
    } catch (error) {
      answer.className = "bad";
      answer.textContent = error.message + ".";
    }
    for (const button of buttons) button.disabled = false;
  }
}
