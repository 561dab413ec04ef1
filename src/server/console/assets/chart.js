// The bars over time: dragging selects a range of them, and the arrow keys go from one to the next.

const drawing = document.querySelector(".drawing");
const svg = drawing?.querySelector("svg");
const bars = [...(svg?.querySelectorAll("a") ?? [])];
/** Where the bars begin and the last one ends, in seconds since 1970. */
const times = svg?.dataset.times.split(" ").map(Number) ?? [];
/** The width of a bar in the units of the drawing. */
const WIDTH = 10;
/** The letters of an instant up to the minute, or to the second if bars begin at seconds. */
const EXACT = times.slice(1, -1).some((time) => time % 60 !== 0) ? 19 : 16;
/** The parameters that a range takes the place of. */
const REPLACED = ["range", "start_date", "end_date", "cursor", "newer"];

/** The number of the bar at this place of the screen. */
function barAt(x) {
  const { left, width } = svg.getBoundingClientRect();
  const count = times.length - 1;
  return Math.min(Math.max(Math.floor(((x - left) / width) * count), 0), count - 1);
}

const instant = (seconds) => new Date(seconds * 1000).toISOString();

/** Leads to the page with this range. */
function go(first, last) {
  const params = new URLSearchParams(location.search);
  for (const name of REPLACED) params.delete(name);
  params.set("start_date", instant(times[first]));
  params.set("end_date", instant(times[last + 1]));
  location.search = params;
}

/** Selects a range by dragging. */
function drag() {
  let from = null;
  let chosen = null;
  const band = document.createElementNS(svg.namespaceURI, "rect");
  band.setAttribute("class", "band");
  band.setAttribute("height", "100");
  const picked = document.createElement("div");
  picked.className = "picked";
  picked.setAttribute("aria-hidden", "true");
  const end = () => {
    from = null;
    chosen = null;
    band.remove();
    picked.remove();
  };
  const show = (x) => {
    const [first, last] = [barAt(from), barAt(x)].sort((a, b) => a - b);
    chosen = [first, last];
    band.setAttribute("x", first * WIDTH);
    band.setAttribute("width", (last - first + 1) * WIDTH);
    const [start, stop] = [times[first], times[last + 1]].map((time) => instant(time).slice(0, EXACT).replace("T", " "));
    picked.textContent = `${start} – ${stop.slice(0, 10) === start.slice(0, 10) ? stop.slice(11) : stop} UTC`;
  };
  // A click comes after a drag. It must not follow the link of a bar.
  let hasDragged = false;
  svg.addEventListener("click", (event) => { if (hasDragged) event.preventDefault(); });
  // Neither a link is dragged, nor does one get the focus.
  for (const name of ["dragstart", "mousedown"]) svg.addEventListener(name, (event) => event.preventDefault());
  svg.addEventListener("pointerdown", (event) => {
    hasDragged = false;
    if (event.isPrimary && event.button === 0) from = event.clientX;
  });
  svg.addEventListener("pointermove", (event) => {
    if (event.buttons === 0) end();
    if (from === null || (!chosen && Math.abs(event.clientX - from) < 6)) return;
    if (!chosen) {
      svg.setPointerCapture(event.pointerId);
      svg.append(band);
      drawing.append(picked);
    }
    show(event.clientX);
  });
  svg.addEventListener("pointerup", () => {
    if (chosen) { hasDragged = true; go(...chosen); }
    end();
  });
  svg.addEventListener("pointercancel", end);
  addEventListener("keydown", (event) => { if (event.key === "Escape") end(); });
}

/** One bar can be reached by Tab, and from there the others. */
function listenToArrows() {
  bars.at(-1)?.setAttribute("tabindex", "0");
  svg.addEventListener("keydown", (event) => {
    const at = bars.indexOf(document.activeElement);
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: bars.length - 1 }[event.key];
    if (at < 0 || !bars[next]) return;
    event.preventDefault();
    bars[at].setAttribute("tabindex", "-1");
    bars[next].setAttribute("tabindex", "0");
    bars[next].focus();
  });
}

if (svg) {
  drag();
  listenToArrows();
}
