"use strict";
// Polls state, and events when there are new events. Text is only ever inserted as text, never as HTML.
const POLL_INTERVAL = 500;
const RETRY_DELAY = 3000;
const element = (id) => document.getElementById(id);
const live = element("live");
let isConnected = false;
let eventsTotal = -1;
let isLimitReached = false;
let wasLive = true;
// The names to show for classes, as far as things and events had them.
const labels = new Map();

function openLive() {
  isLimitReached = false;
  live.src = "live?" + Date.now();
}

// The live picture ends if the viewer limit is reached or boxcam was restarted.
live.addEventListener("error", () => {
  if (!live.getAttribute("src")) return;
  isLimitReached = isConnected;
  live.removeAttribute("src");
  setTimeout(() => { if (!document.hidden) openLive(); }, RETRY_DELAY);
});

// A hidden page does not count as a viewer.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) live.removeAttribute("src");
  else { openLive(); }
});

const formatNumber = (value, digits, unit) => value === null ? "–" : value.toFixed(digits) + unit;

function formatDuration(seconds) {
  if (seconds < 60) return seconds.toFixed(0) + " s";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min";
  return (seconds / 3600).toFixed(1) + " h";
}

function learnLabels(things) {
  for (const thing of things) if (thing && thing.label) labels.set(thing.class, thing.label);
}

const labelOf = (name) => labels.get(name) ?? name;

// Each class with the number of its things, as "apple \u00d7 2, banana".
function formatCounts(counts) {
  const names = Object.entries(counts).map(([name, count]) => labelOf(name) + (count > 1 ? " \u00d7 " + count : ""));
  return names.join(", ") || "nothing";
}

function cell(className, text) {
  const span = document.createElement("span");
  span.className = className;
  span.textContent = text;
  return span;
}

function thingRow(thing) {
  const row = document.createElement("li");
  row.append(cell("what", labelOf(thing.class)), " ", cell("secondary", Math.round(thing.confidence * 100) + "%"));
  if (thing.duration_s !== null) row.append(" ", cell("secondary", "for " + formatDuration(thing.duration_s)));
  return row;
}

// Without frames, the last detections stay on the page, marked as old.
function showDetections(state, isOld) {
  element("seen").classList.toggle("old", isOld);
  element("when").textContent = isOld ? "Last detections" : "Detected now";
  learnLabels(state.things);
  element("class").textContent = formatCounts(state.counts);
  element("class").classList.toggle("none", !state.things.length);
  element("things").replaceChildren(...state.things.map(thingRow));
}

function placeRow(name, text) {
  const row = document.createElement("li");
  row.append(cell("what", name), cell("secondary", text));
  return row;
}

function showZones(state) {
  const present = (zone) => {
    const classes = Object.entries(zone.classes).filter(([, count]) => count > 0);
    return formatCounts(Object.fromEntries(classes));
  };
  const crossed = (line) => Object.entries(line).map(([direction, { count }]) => direction + " " + count).join(", ");
  const zones = Object.entries(state.zones ?? {}).map(([name, zone]) => placeRow(name, present(zone)));
  const lines = Object.entries(state.lines ?? {}).map(([name, line]) => placeRow(name, crossed(line)));
  element("zones").hidden = !zones.length && !lines.length;
  element("places").replaceChildren(...zones, ...lines);
}

function showState(state) {
  document.title = state.name + " · boxcam";
  element("name").textContent = state.name;
  element("state").textContent = state.state;
  element("state").className = "pill " + state.state;
  const since = state.seconds_since_frame;
  const isOld = state.state !== "live" && since !== null;
  // The live picture has ended if there was no frame for long.
  const isLive = state.state === "live";
  if (isLive && !wasLive && !document.hidden) openLive();
  wasLive = isLive;
  element("failure").hidden = !state.reason;
  element("failure").textContent = state.reason;
  live.classList.toggle("old", isOld);
  const hasPicture = live.naturalWidth > 0;
  live.hidden = !hasPicture;
  element("waiting").hidden = hasPicture && !isOld;
  element("waiting").textContent = isLimitReached ? "Viewer limit reached; retrying."
    : isOld ? "No frame for " + formatDuration(since) + "." : "Waiting for the first frame.";
  showDetections(state, isOld);
  showZones(state);
  element("fps").textContent = formatNumber(isOld ? null : state.frames_per_second, 1, "");
  element("inference").textContent = since === null || isOld ? "–" : formatNumber(state.inference_ms, 1, " ms");
  element("age").textContent = since === null ? "–"
    : isOld ? formatDuration(since) : formatNumber(state.frame_age_ms, 0, " ms");
  element("dropped").textContent = state.dropped;
  element("version").textContent = state.version;
  element("model").textContent = state.model || "–";
}

// A zone or a line has the name that the options give it.
function eventText(event) {
  if (event.line) return event.event + " " + event.line + ": " + event.direction;
  if (!event.zone) return event.event;
  const verbs = { entered: "entered ", left_zone: "left ", loitering: "loitering in " };
  return (verbs[event.event] ?? event.event + " ") + event.zone;
}

function eventRow(event) {
  const row = document.createElement("li");
  const time = document.createElement("time");
  const date = new Date(event.time);
  if (!Number.isNaN(date.getTime())) {
    time.dateTime = event.time;
    time.textContent = date.toLocaleTimeString();
  }
  const what = cell("what", "");
  if (event.event) {
    row.className = event.event;
    const name = event.detection ? labelOf(event.detection.class) : "?";
    const from = event.from ? " (was " + (event.from_label ?? event.from) + ")" : "";
    const hasEnded = event.event === "left" || event.event === "left_zone";
    const duration = hasEnded ? " after " + formatDuration(event.duration_s) : "";
    what.textContent = name + " " + eventText(event) + from + duration;
  } else {
    row.className = event.reason ? "failure" : "";
    what.textContent = "camera " + event.state + (event.reason ? ": " + event.reason : "");
  }
  row.append(time, what);
  return row;
}

async function showEvents(total) {
  const events = await getJson("events");
  eventsTotal = total;
  learnLabels(events.map((event) => event.detection));
  if (events.length) element("events").replaceChildren(...events.reverse().map(eventRow));
}

async function getJson(path) {
  // Not relative to a URL with a password in it, which fetch refuses.
  const response = await fetch(new URL(path, location.origin + location.pathname), { signal: AbortSignal.timeout(5000) });
  if (!response.ok) throw new Error(response.status);
  return response.json();
}

async function poll() {
  try {
    const state = await getJson("state");
    if (!isConnected) { isConnected = true; eventsTotal = -1; openLive(); }
    showState(state);
    if (state.events_total !== eventsTotal) await showEvents(state.events_total);
  } catch {
    isConnected = false;
    element("state").textContent = "no response";
    element("state").className = "pill disconnected";
    live.classList.add("old");
  }
  setTimeout(poll, POLL_INTERVAL);
}

poll();
