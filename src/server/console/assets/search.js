// Completes the line of the search: names of parameters, and values. A combobox with a list, from which
// the arrow keys choose. Tab or a click takes what is chosen; Enter takes it and searches, unless the line
// isn't complete yet. While nothing is chosen, Enter searches for what is written. The line works without
// all this.

/** How many completions are shown. */
const MOST = 12;
/** How many of these are beginnings of event types. */
const MOST_GROUPS = 3;
/** How many words before the caret a completion can take the place of. */
const MOST_WORDS = 5;
/** A text in quotes. The closing quote may be missing. */
const QUOTED = String.raw`"(?:\\[^]|[^"\\])*(?:"|\\?$)`;
/** A term of the line: a word, a text, or a name with its value; spaces in quotes are part of it. */
const TERM = new RegExp(String.raw`(?=\S)!?(?:${QUOTED})?(?:(?:[a-z][\w.-]*)?:(?:${QUOTED})?)?\S*`, "gi");
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

/** The terms of a line, and where each starts and ends. */
function termsOf(line) {
  return [...line.matchAll(TERM)].map(({ 0: text, index: start }) => ({ text, start, end: start + text.length }));
}

/**
 * The parts of the line that a completion can take the place of, the longest first: the whole term at the
 * caret, and that with the words before it, because people write `actor:Ann Lee` without quotes too.
 */
function partsAt(line, caret) {
  const terms = termsOf(line);
  const at = terms.findIndex(({ start, end }) => start < caret && caret <= end);
  if (at < 0) return [{ start: caret, end: caret, text: "" }];
  const partFrom = (first) => {
    const [{ start }, { end }] = [terms[first], terms[at]];
    return { start, end, text: line.slice(start, caret) };
  };
  const isWord = (n) => /^[^!":]+$/.test(terms[n].text);
  const parts = [partFrom(at)];
  for (let n = at; n > 0 && isWord(n) && at - n + 1 < MOST_WORDS && !terms[n - 1].text.includes('"'); n--) {
    parts.unshift(partFrom(n - 1));
  }
  return parts;
}

/** Whether a line can be searched for: no quote is open in it, and no name waits for its value. */
function isComplete(line) {
  const hasOpenQuote = (text) => text.replaceAll(/\\./g, "").split('"').length % 2 === 0;
  return termsOf(line).every(({ text }) => !/^!$|:$/.test(text) && !hasOpenQuote(text));
}

/** A value as it is written in the line. */
function written(value) {
  const literal = /^\\*!/.test(value) ? `\\${value}` : value;
  return /[\s"]/.test(literal) ? `"${literal.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : literal;
}

/** A text for comparing: `account locked` stands for `account.locked` too. */
const plain = (text) => text.toLowerCase().replaceAll(/[\s._-]+/g, " ");

/** The names or values that begin with the text, and then those that contain it. A value may be shown by a name. */
function matching(all, text) {
  const wanted = plain(text);
  const texts = ([value, , shown]) => (shown === undefined ? [plain(value)] : [plain(value), plain(shown)]);
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
  return { text: shown ?? value, note, insert: `${sign}${name}:${written(value)}` };
}

/** What can be written in the place of a part of the line. */
function completions(known, part) {
  const whole = /^(!?)([a-z][\w.-]*):"?(.*)$/is.exec(part);
  if (whole) {
    const [, sign, name, text] = whole;
    return valuesOf(known, name, text).map((one) => optionOf(sign, name, one));
  }
  const [, sign, text] = /^(!?)(.*)$/s.exec(part);
  if (text.includes('"')) return [];
  const names = [...known.names, ...known.details.map((name) => [name, ""])];
  const begin = (name) => `${sign}${name}:`;
  const found = matching(names, text).map(([name, note]) => ({ text: begin(name), note, insert: begin(name) }));
  if (text.length < 2) return found;
  const values = Object.keys(known.values).flatMap((name) => matching(known.values[name], text)
    .map((one) => ({ ...optionOf(sign, name, one), text: `${begin(name)}${one[2] ?? one[0]}` })));
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

/** The completions at the caret, each with the part of the line that it takes the place of. */
function optionsAt(known, line, caret) {
  const found = new Map();
  for (const { start, end, text } of partsAt(line, caret)) {
    for (const one of completions(known, text)) {
      const isThere = one.insert === line.slice(start, end) || found.has(one.insert);
      if (!isThere) found.set(one.insert, { ...one, start, end });
    }
  }
  return [...found.values()].slice(0, MOST);
}

/** Shows what can be written; where no term is, nothing, unless that is asked for. */
async function open(isAskedFor) {
  const { value, selectionStart: caret } = input;
  const known = await load();
  if (input.value !== value || document.activeElement !== input) return;
  close();
  if (!isAskedFor && partsAt(value, caret).at(-1).text === "") return;
  options = optionsAt(known, value, caret);
  if (options.length === 0) return;
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

/** Writes a completion, with a space after it. After the name of a parameter come its values. */
function take(at) {
  const { insert, start, end } = options[at];
  const isName = insert.endsWith(":");
  const hasSpace = /^\s/.test(input.value.slice(end));
  input.setRangeText(isName ? insert : `${insert} `, start, hasSpace && !isName ? end + 1 : end, "end");
  close();
  if (isName) open(true);
}

/** Writes a completion and searches, if the line is complete then. */
function takeAndSearch(at) {
  take(at);
  if (isComplete(input.value)) form.requestSubmit();
}

function press(event) {
  const isOpen = options.length > 0;
  const keys = {
    ArrowDown: () => (isOpen ? choose(active + 1) : open(true)),
    ArrowUp: isOpen && (() => choose(active < 0 ? options.length - 1 : active - 1)),
    Enter: active >= 0 && (() => takeAndSearch(active)),
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
  list.setAttribute("aria-label", "Suggestions");
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
