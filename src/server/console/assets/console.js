// Themes, keys and zones of time, which make the console quicker to use. Reading works without.

/** Keeps a choice in a cookie, which the server reads: so no page is shown in the other theme first. */
function keep(name, value) {
  const path = document.querySelector(".brand").getAttribute("href");
  document.cookie = `${name}=${value}; path=${path}; max-age=31536000; samesite=strict`;
}

/** The themes in turn: as the system has it, light, dark. */
function switchThemes() {
  const button = document.querySelector("[data-theme-switch]");
  if (!button) return;
  const root = document.documentElement;
  const names = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };
  const show = () => { button.textContent = names[root.dataset.theme]; };
  button.addEventListener("click", () => {
    const themes = Object.keys(names);
    root.dataset.theme = themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length];
    keep("audit-theme", root.dataset.theme);
    show();
  });
  show();
  button.hidden = false;
}

/** Closes a menu when something else is clicked, and by Escape. */
function closeMenus() {
  const close = (except) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu !== except) menu.open = false;
    }
  };
  document.addEventListener("click", (event) => close(event.target.closest("details.menu")));
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(null); });
}

/** Buttons that copy the text of an element. */
function copyTexts() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
}

/** Keys: `/` to search, `j` and `k` from entry to entry, `?` for help, Escape out of all. */
function listenToKeys() {
  const move = (by) => {
    const all = [...document.querySelectorAll(".open")];
    const at = all.indexOf(document.activeElement);
    const next = all[at < 0 ? 0 : Math.min(Math.max(at + by, 0), all.length - 1)];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };
  const follow = (selector) => document.querySelector(selector)?.click();
  const isEntry = () => document.querySelector("[data-back]") !== null;
  const keys = {
    "/": () => document.querySelector("[name=search]")?.focus(),
    "?": () => document.getElementById("keys")?.showModal(),
    j: () => (isEntry() ? follow("[rel=next]") : move(1)),
    k: () => (isEntry() ? follow("[rel=prev]") : move(-1)),
    Escape: () => follow("[data-back]"),
  };
  const help = document.querySelector("[data-help]");
  if (help) {
    help.hidden = false;
    help.addEventListener("click", keys["?"]);
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog")) {
      if (event.key === "Escape" && event.target.name === "search") event.target.blur();
      return;
    }
    const act = keys[event.key];
    if (act) { event.preventDefault(); act(); }
  });
}

/** Says more of what the pointer is on: a time exactly, in the zone of the browser, and how long ago it
    was; and what a click on a value does. */
function tellMore() {
  const local = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "long" });
  const ago = new Intl.RelativeTimeFormat("en");
  const units = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
  document.addEventListener("mouseover", (event) => {
    const value = event.target.closest(".table .value:not([title])");
    if (value) value.title = `Only ${value.textContent}`;
    const time = event.target.closest("time[title]");
    if (!time) return;
    const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
    const [length, unit] = units.find(([length]) => Math.abs(seconds) >= length) ?? units.at(-1);
    time.title = `${time.dateTime}\n${local.format(new Date(time.dateTime))}\n${ago.format(Math.trunc(seconds / length), unit)}`;
  });
}

/** Times in UTC, or in the zone of the browser: a click on the head of their column changes that. */
function switchZones() {
  const head = document.querySelector("th.time");
  if (!head) return;
  const day = new Intl.DateTimeFormat("en", { month: "short", day: "numeric" });
  const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const short = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const isLocal = () => localStorage.getItem("audit-zone") === "local";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "zone";
  button.title = "Show times in UTC or in the zone of this browser";
  head.replaceChildren(button);
  const show = () => {
    button.textContent = isLocal() ? "Time (local)" : "Time (UTC)";
    for (const time of document.querySelectorAll("time[data-form]")) {
      const at = new Date(time.dateTime);
      time.dataset.utc ??= time.textContent;
      const days = time.dataset.form === "moment" ? `${day.format(at)}, ` : "";
      const hours = time.dataset.form === "second" ? clock : short;
      time.textContent = isLocal() ? days + hours.format(at) : time.dataset.utc;
    }
    for (const time of document.querySelectorAll("time:has(.clock)")) {
      const [days, hours] = [time.querySelector(".day"), time.querySelector(".clock")];
      time.dataset.utc ??= `${days.textContent}|${hours.textContent}`;
      const [utcDay, utcClock] = time.dataset.utc.split("|");
      const at = new Date(time.dateTime);
      const year = utcDay.includes(",") ? `, ${at.getFullYear()}` : "";
      days.textContent = isLocal() ? day.format(at) + year : utcDay;
      hours.textContent = isLocal() ? clock.format(at) : utcClock;
    }
  };
  button.addEventListener("click", () => {
    localStorage.setItem("audit-zone", isLocal() ? "utc" : "local");
    show();
  });
  document.addEventListener("audit-rows", show);
  show();
}

switchThemes();
closeMenus();
copyTexts();
listenToKeys();
tellMore();
switchZones();
