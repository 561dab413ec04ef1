// Completes the line of the search: names of parameters, and values. A combobox with a list, from which
// the arrow keys choose; Enter or Tab takes what is chosen. The line works without it.

/** How many completions are shown. */
const MOST = 12;
/** How many of these are beginnings of event types. */
const MOST_GROUPS = 3;
const form = document.querySelector("[data-suggestions]");
const input = form?.querySelector("[name=search]");
const list = document.createElement("ul");
let loading = null;
let options = [];
let active = -1;

/** The names and values, asked for once. Without them nothing is suggested. */
function load() {
  const nothing = { names: [], details: [], values: {} };
  loading ??= fetch(`${form.dataset.suggestions}${location.search}`)
    .then((answer) => (answer.ok ? answer.json() : nothing))
    .catch(() => nothing);
  return loading;
}

/** The piece of the line that ends at the caret, and where it starts. */
function pieceAt(line, caret) {
  let start = 0;
  let isQuoted = false;
  for (let at = 0; at < caret; at++) {
    if (isQuoted && line[at] === "\\") at++;
    else if (line[at] === '"') isQuoted = !isQuoted;
    else if (!isQuoted && /\s/.test(line[at])) start = at + 1;
  }
  return { start, text: line.slice(start, caret) };
}

/** A value as it is written in the line. */
function written(value) {
  const literal = /^\\*!/.test(value) ? `\\${value}` : value;
  return /[\s"]/.test(literal) ? `"${literal.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : literal;
}

/** The names or values that begin with the text, and then those that contain it. A value may be shown by a name. */
function matching(all, text) {
  const wanted = text.toLowerCase();
  const texts = ([value, , shown]) => [value, shown ?? value].map((one) => one.toLowerCase());
  const begins = (one) => texts(one).some((known) => known.startsWith(wanted));
  const has = (one) => texts(one).some((known) => known.includes(wanted));
  return [...all.filter(begins), ...all.filter((one) => has(one) && !begins(one))];
}

/** `auth.*` for each beginning that several event types have. */
function groups(types) {
  const counts = new Map();
  for (const [type] of types) {
    const parts = type.split(".");
    for (let n = 1; n < parts.length; n++) {
      const group = `${parts.slice(0, n).join(".")}.*`;
      counts.set(group, (counts.get(group) ?? 0) + 1);
    }
  }
  return [...counts].filter(([, count]) => count > 1).map(([group, count]) => [group, `${count} types`]);
}

function valuesOf(known, name, text) {
  const values = known.values[name] ?? [];
  const beginnings = name === "event_type" ? matching(groups(values), text) : [];
  return [...beginnings.slice(0, MOST_GROUPS), ...matching(values, text)];
}

function optionOf(sign, name, [value, count, shown]) {
  const note = typeof count === "number" ? (count > 0 ? count.toLocaleString("en") : "") : count;
  return { text: shown ?? value, note, insert: `${sign}${name}:${written(value)} ` };
}

/** What can be written in the place of a piece. */
function completions(known, piece) {
  const whole = /^(!?)([a-z][\w.-]*):"?(.*)$/is.exec(piece);
  if (whole) {
    const [, sign, name, text] = whole;
    return valuesOf(known, name, text).map((one) => optionOf(sign, name, one));
  }
  const [, sign, text] = /^(!?)(.*)$/s.exec(piece);
  if (text.includes('"')) return [];
  const names = [...known.names, ...known.details.map((name) => [name, ""])];
  const found = matching(names, text).map(([name, note]) => ({ text: `${name}:`, note, insert: `${sign}${name}:` }));
  if (text.length < 2) return found;
  const values = Object.keys(known.values).flatMap((name) => matching(known.values[name], text)
    .map((one) => ({ ...optionOf(sign, name, one), text: `${name}:${one[2] ?? one[0]}` })));
  return [...found, ...values];
}

function close() {
  options = [];
  active = -1;
  list.hidden = true;
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
}

function itemOf({ text, note }, at) {
  const item = document.createElement("li");
  item.id = `completion-${at}`;
  item.setAttribute("role", "option");
  item.setAttribute("aria-selected", "false");
  const name = document.createElement("bdi");
  name.textContent = text;
  const more = document.createElement("span");
  more.className = "muted small";
  more.textContent = note;
  item.append(name, more);
  // The caret stays in the line.
  item.addEventListener("mousedown", (event) => { event.preventDefault(); take(at); });
  return item;
}

/** Shows what can be written; of an empty piece nothing, unless that is asked for. */
async function open(isAskedFor) {
  const { value, selectionStart: caret } = input;
  const known = await load();
  if (input.value !== value || document.activeElement !== input) return;
  const piece = pieceAt(value, caret);
  close();
  if (piece.text === "" && !isAskedFor) return;
  const found = completions(known, piece.text).filter((one) => one.insert.trim() !== piece.text);
  if (found.length === 0) return;
  options = found.slice(0, MOST).map((one) => ({ ...one, start: piece.start, end: caret }));
  list.replaceChildren(...options.map(itemOf));
  list.hidden = false;
  input.setAttribute("aria-expanded", "true");
}

function choose(at) {
  list.children[active]?.setAttribute("aria-selected", "false");
  active = (at + options.length) % options.length;
  const item = list.children[active];
  item.setAttribute("aria-selected", "true");
  item.scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", item.id);
}

/** Writes a completion. After the name of a parameter come its values. */
function take(at) {
  const { insert, start, end } = options[at];
  input.setRangeText(insert, start, end, "end");
  close();
  if (insert.endsWith(":")) open(true);
}

function press(event) {
  const isOpen = options.length > 0;
  const keys = {
    ArrowDown: () => (isOpen ? choose(active + 1) : open(true)),
    ArrowUp: isOpen && (() => choose(active < 0 ? options.length - 1 : active - 1)),
    Enter: active >= 0 && (() => take(active)),
    Tab: active >= 0 && !event.shiftKey && (() => take(active)),
    Escape: isOpen && close,
  };
  const act = Object.hasOwn(keys, event.key) && keys[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  event.preventDefault();
  event.stopPropagation();
  act();
}

if (input) {
  list.id = "completions";
  list.className = "completions";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Completions");
  form.append(list);
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", list.id]]) {
    input.setAttribute(name, value);
  }
  close();
  input.addEventListener("focus", load);
  input.addEventListener("input", () => open(false));
  input.addEventListener("blur", close);
  input.addEventListener("keydown", press);
}
