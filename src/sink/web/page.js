"use strict";
// Asks for /state twice a second, and for /events when there are new ones. Text only ever goes in as text.
const POLL = 500;
const RETRY = 3000;
const at = (id) => document.getElementById(id);
const live = at("live");
let answered = false;
let known = -1;
let full = false;

function look() {
  full = false;
  live.src = "/live?" + Date.now();
}

// An address that no longer answers with pictures: all places are taken, or the program was started anew.
live.addEventListener("error", () => {
  if (!live.getAttribute("src")) return;
  full = answered;
  live.removeAttribute("src");
  setTimeout(() => { if (!document.hidden) look(); }, RETRY);
});

// Who does not look takes no place and costs no work.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) live.removeAttribute("src");
  else { look(); }
});

const number = (value, digits, unit) => value === null ? "–" : value.toFixed(digits) + unit;

function span(seconds) {
  if (seconds < 60) return seconds.toFixed(0) + " s";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min";
  return (seconds / 3600).toFixed(1) + " h";
}

// While no frame comes nobody knows what is there; what was there last is still worth something.
function showSeen(seen, isOld) {
  at("seen").classList.toggle("old", isOld);
  at("when").textContent = isOld ? "Seen last" : "Seen now";
  at("class").textContent = seen ? seen.class : "nothing";
  at("class").classList.toggle("none", !seen);
  const words = seen ? [Math.round(seen.confidence * 100) + "% sure"] : [];
  if (seen && seen.duration_s !== null) words.push("for " + span(seen.duration_s));
  at("more").textContent = words.join(", ") || "\u00a0";
}

function showState(state) {
  document.title = state.name + " · boxcam";
  at("name").textContent = state.name;
  at("state").textContent = state.state;
  at("state").className = "pill " + state.state;
  const since = state.seconds_since_frame;
  const isOld = state.state !== "live" && since !== null;
  at("trouble").hidden = !state.reason;
  at("trouble").textContent = state.reason;
  live.classList.toggle("old", isOld);
  const hasPicture = live.naturalWidth > 0;
  live.hidden = !hasPicture;
  at("waiting").hidden = hasPicture && !isOld;
  at("waiting").textContent = full ? "All places for the live picture are taken; another try in a moment."
    : isOld ? "No frame for " + span(since) + "." : "Waiting for the first picture.";
  showSeen(state.seen, isOld);
  at("fps").textContent = number(isOld ? null : state.frames_per_second, 1, "");
  at("inference").textContent = since === null || isOld ? "–" : number(state.inference_ms, 1, " ms");
  at("age").textContent = since === null ? "–" : isOld ? span(since) : number(state.frame_age_ms, 0, " ms");
  at("dropped").textContent = state.dropped;
  at("version").textContent = state.version;
  at("model").textContent = state.model || "–";
}

function eventRow(event) {
  const row = document.createElement("li");
  const time = document.createElement("time");
  const date = new Date(event.time);
  if (!Number.isNaN(date.getTime())) {
    time.dateTime = event.time;
    time.textContent = date.toLocaleTimeString();
  }
  const what = document.createElement("span");
  what.className = "what";
  if (event.event) {
    row.className = event.event;
    const name = event.detection ? event.detection.class : "?";
    const from = event.from ? " (was " + event.from + ")" : "";
    const stay = event.event === "left" ? " after " + span(event.duration_s) : "";
    what.textContent = name + " " + event.event + from + stay;
  } else {
    row.className = event.reason ? "trouble" : "";
    what.textContent = "camera " + event.state + (event.reason ? ": " + event.reason : "");
  }
  row.append(time, what);
  return row;
}

async function showEvents(total) {
  const events = await ask("/events");
  known = total;
  if (events.length) at("events").replaceChildren(...events.reverse().map(eventRow));
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(5000) });
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}

async function poll() {
  try {
    const state = await ask("/state");
    if (!answered) { answered = true; known = -1; look(); }
    showState(state);
    if (state.events_total !== known) await showEvents(state.events_total);
  } catch {
    answered = false;
    at("state").textContent = "no answer";
    at("state").className = "pill lost";
    live.classList.add("old");
  }
  setTimeout(poll, POLL);
}

poll();
