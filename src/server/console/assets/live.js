// New entries: the page says how many have come, and the live tail shows them at the top of the table.
// Nothing moves under the hand: someone who has scrolled down, or whose focus is in the table, is told
// how many wait.

/** How many rows the table keeps. */
const MOST = 500;
/** After how many milliseconds a page begins to look for new entries. */
const LOOK = 3000;
/** The parameters of the page that the stream doesn't take. */
const OWN = ["range", "split", "columns", "facet", "newer", "search", "start_date", "end_date"];
const KNOWN = ["info", "warning", "error", "critical", "success", "failure", "unknown"];
const HIDDEN = /[\p{Cc}\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

const button = document.querySelector("[data-live]");
const body = document.querySelector(".table tbody");
const template = document.getElementById("row");
const home = button?.dataset.live.replace(/stream$/, "");
let source = null;
let isLive = false;
let waiting = [];
/** The cursor of the last event; at first, that of the page. */
let after = button?.dataset.after;

/** The parameters of the filter. */
function filter() {
  const params = new URLSearchParams(location.search);
  for (const name of OWN) params.delete(name);
  return params;
}

/** A text as the server shows it: a character that hides or turns others appears as its number. */
function shown(text) {
  const number = (c) => c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return String(text).replace(HIDDEN, (c) => `\u27e8U+${number(c)}\u27e9`);
}

/** Links a cell to the entries that have the value too; removes the link if there is no value. */
function link(row, name, value, text) {
  const cell = row.querySelector(`[data-of=${name}]`);
  const about = row.querySelector(`[data-of=${name}] + .go`);
  if (!value) { cell.remove(); about?.remove(); return; }
  const params = filter();
  const literal = /^\\*!/.test(value) ? `\\${value}` : value;
  params.append(name, literal);
  cell.href = `?${params}`;
  cell.firstElementChild.textContent = shown(text || value);
  if (!about) return;
  about.href = `${home}${name}?${new URLSearchParams([[name, literal]])}`;
  about.setAttribute("aria-label", `About ${shown(text || value)}`);
}

function mark(row, kind, word) {
  const place = row.querySelector(`.${kind}`);
  if (KNOWN.includes(word)) {
    place.classList.add(word);
    place.querySelector("use").setAttribute("href", `#i-${word === "success" ? "plain" : word}`);
  }
  place.querySelector(".word").textContent = shown(word);
}

/** The template has the sign of an entry without an outcome too. */
function markOutcome(row, word) {
  row.querySelector(word ? ".out > .muted" : ".out > .result").remove();
  if (word) mark(row, "result", word);
}

function rowOf(entry) {
  const row = template.content.firstElementChild.cloneNode(true);
  const day = { month: "short", day: "numeric", timeZone: "UTC" };
  const time = row.querySelector("time");
  time.dateTime = entry.timestamp;
  time.title = entry.timestamp;
  row.querySelector(".day").textContent = new Date(entry.timestamp).toLocaleDateString("en", day);
  row.querySelector(".clock").textContent = entry.timestamp.slice(11, 19);
  row.querySelector(".open").href = `${home}entry/${entry.id}${location.search}`;
  const { actor = {}, resource = {} } = entry;
  mark(row, "severity", entry.severity);
  markOutcome(row, entry.outcome?.type);
  link(row, "event_type", entry.event_type);
  link(row, "actor", actor.id ?? actor.name ?? actor.type, actor.name);
  link(row, "resource", resource.id ?? resource.name, resource.name);
  link(row, "ip_address", entry.ip_address);
  row.querySelector(".resource .muted").textContent = shown(resource.type ?? "");
  row.querySelector(".description bdi").textContent = shown(entry.description ?? "");
  row.classList.add("new");
  return row;
}

/** Shows the entries that wait, the newest at the top. */
function show() {
  body.prepend(...waiting.reverse().map(rowOf));
  waiting = [];
  while (body.rows.length > MOST) body.lastElementChild.remove();
  document.dispatchEvent(new Event("audit-rows"));
  tell();
}

/** Says how many entries wait. A click shows them: in the live tail here, else on the page made anew. */
function tell() {
  let pill = document.querySelector(".waiting");
  if (waiting.length === 0) { pill?.remove(); return; }
  if (!pill) {
    pill = document.createElement("div");
    pill.className = "waiting";
    pill.setAttribute("role", "status");
    const choice = document.createElement("button");
    choice.type = "button";
    choice.className = "button primary";
    choice.addEventListener("click", () => {
      scrollTo({ top: 0 });
      if (isLive) show(); else location.reload();
    });
    pill.append(choice);
    document.querySelector("[data-live]").after(pill);
  }
  pill.firstChild.textContent = waiting.length < MOST ? `${waiting.length} new` : `${MOST} or more new`;
}

/** Takes the entries that have come. The page may have some of them already. */
function take(event) {
  after = event.lastEventId;
  const id = (link) => link.pathname.split("/").pop();
  const known = new Set([...document.querySelectorAll(".table .open")].map(id));
  const found = JSON.parse(event.data).entries.filter((entry) => !known.has(entry.id));
  waiting = [...waiting, ...found].slice(-MOST);
  if (isLive && scrollY < 80 && !body.contains(document.activeElement)) show(); else tell();
  // More of them are not counted.
  if (!isLive && waiting.length === MOST) stop();
}

/** Follows the log from where the page, or the last event, ended. */
function follow() {
  if (source) return;
  const params = filter();
  if (after) params.set("cursor", after);
  source = new EventSource(`${button.dataset.live}?${params}`);
  source.addEventListener("entries", take);
  source.addEventListener("progress", (event) => { after = event.lastEventId; });
  source.addEventListener("end", end);
  source.addEventListener("error", () => { if (source?.readyState === EventSource.CLOSED) end(); });
}

function stop() {
  source?.close();
  source = null;
}

function switchLive(on) {
  isLive = on;
  button.setAttribute("aria-pressed", String(on));
  button.textContent = on ? "Live: pause" : "Live";
  if (!on) return;
  follow();
  if (waiting.length > 0) show();
}

/** The server has ended the stream. */
function end() {
  stop();
  switchLive(false);
}

// Only the page with the newest entries can go on.
const params = new URLSearchParams(location.search);
if (button && !["cursor", "newer", "end_date"].some((name) => params.has(name))) {
  if (body) {
    button.hidden = false;
    button.addEventListener("click", () => switchLive(!isLive));
  }
  // A visitor who has just a quick look needs no news, and a page that nobody sees needs no connection.
  const look = () => { if (!document.hidden && (isLive || waiting.length < MOST)) follow(); };
  setTimeout(look, LOOK);
  document.addEventListener("visibilitychange", () => { if (document.hidden) stop(); else look(); });
}
