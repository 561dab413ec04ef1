// Forms that are checked by the server while they are filled in. Without scripts, they are checked
// when they are sent.

/** How long nobody types before a form is checked, in milliseconds. */
const PAUSE = 400;

/** Shows the mistake in a field that was filled in, and in no other. */
function mark(form, touched, wrong) {
  for (const slot of form.querySelectorAll(".wrong")) {
    const name = slot.id.replace(/-wrong$/, "");
    const is = wrong.field !== null && (wrong.field === name || wrong.field.startsWith(`${name}.`));
    const input = form.elements.namedItem(name);
    slot.textContent = is && touched.has(name) ? wrong.problem : "";
    if (slot.textContent) input?.setAttribute("aria-invalid", "true");
    else input?.removeAttribute("aria-invalid");
  }
}

/** Asks the server for the first mistake in a form; the newest answer counts. */
function checkAsOneTypes(form) {
  const touched = new Set();
  let timer;
  let asked = 0;
  const check = async () => {
    const number = ++asked;
    const body = new URLSearchParams(new FormData(form));
    const answer = await fetch(form.dataset.check, { method: "POST", body }).catch(() => null);
    if (number === asked && answer?.ok) mark(form, touched, await answer.json());
  };
  const later = (event) => {
    if (!event.target.name) return;
    touched.add(event.target.name);
    clearTimeout(timer);
    timer = setTimeout(check, PAUSE);
  };
  form.addEventListener("input", later);
  form.addEventListener("change", later);
}

document.querySelectorAll("form[data-check]").forEach(checkAsOneTypes);
