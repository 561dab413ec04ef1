// Administrators manage webhooks, and people save views and download entries, in Chromium.

const assert = require("node:assert/strict");
const http = require("node:http");

const HOSTILE = "\"'><img src=x onerror=hacked()><script>hacked()</script>\u202e{{x}}";
const SHOWN = "<script>hacked()</script>⟨U+202E⟩{{x}}";

/** A receiver that refuses everything, with a text that would do harm if it were more than text. */
async function receiver() {
  const server = http.createServer((request, response) => {
    request.resume();
    request.on("end", () => response.writeHead(400).end(HOSTILE + "long".repeat(300)));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return server;
}

/** Loads the page again until it has this. */
async function reloadUntil(page, selector) {
  const end = Date.now() + 60_000;
  while ((await page.locator(selector).count()) === 0) {
    assert.ok(Date.now() < end, `${selector} does not come`);
    await page.reload();
  }
}

/**
 * Nothing is wider than the window, in any of three widths, and `check` finds nothing in this part of
 * the page. What a menu covers is no part of it.
 */
async function look(page, what, part, check, hasScripts) {
  for (const width of [390, 820, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${what}: ${over} pixels too wide at ${width}`);
    const lefts = await page.locator(".popup:visible").evaluateAll((all) => all.map((one) => one.getBoundingClientRect().left));
    assert.ok(lefts.every((left) => left >= 0), `${what}: a menu is cut off at ${width}`);
    if (hasScripts && width !== 820) await check(page, `${what} at ${width}`, part);
  }
  assert.equal(await page.locator("main img, main script").count(), 0, what);
}

/** Adds a webhook after a mistake, and gives the name of its page. */
async function add(page, url, hasScripts, see) {
  await page.click("nav[aria-label=Pages] >> text=Webhooks");
  await see("no webhooks");
  await page.fill("[name=name]", "siem");
  await page.fill("[name=event_types]", "audit.hold.*\naudit.view.*");
  await page.fill("[name=url]", "https://127.0.0.1/hooks");
  if (hasScripts) {
    await page.waitForSelector("#url-wrong:has-text('127.0.0.1')");
    assert.equal(await page.getAttribute("[name=url]", "aria-invalid"), "true");
    assert.equal(await page.textContent("#name-wrong"), "");
  }
  await page.click("text=Add the webhook");
  assert.match(await page.textContent("#url-wrong"), /127\.0\.0\.1/);
  assert.equal(await page.inputValue("[name=url]"), "https://127.0.0.1/hooks");
  assert.equal(await page.inputValue("[name=event_types]"), "audit.hold.*\naudit.view.*");
  await page.click("text=More settings");
  await see("a mistake");
  await page.fill("[name=url]", url);
  await page.fill("[name=egress]", "loopback");
  await page.check("[name=allow_http]");
  await page.fill("[name=schedule_seconds]", "0");
  await page.fill("[name=headers]", "x-team=blue");
  if (hasScripts) await page.waitForFunction(() => document.getElementById("url-wrong").textContent === "");
  await page.click("text=Add the webhook");
  assert.match(await page.textContent("#secret"), /^whsec_/);
  await see("a secret");
  await page.click("text=Done");
  assert.equal(await page.textContent("h1"), "siem");
}

/** Deliveries with their requests and answers. */
async function lookAtDeliveries(page, record, see) {
  await page.click("text=Send a test");
  assert.match(await page.textContent("[role=status]"), /not delivered/);
  assert.ok((await page.textContent("[role=status] pre")).includes(SHOWN));
  await page.click("text=All webhooks");
  await page.click("td.name a:has-text('siem')");
  await record();
  await reloadUntil(page, "section[aria-label='Dead letters'] td.name a");
  await reloadUntil(page, "section[aria-label='Last attempts'] td.name a");
  await see("a webhook");
  await page.click("section[aria-label='Dead letters'] td.name a >> nth=0");
  assert.ok((await page.textContent(".answer pre")).includes(SHOWN));
  const request = await page.textContent("section[aria-label=Request]");
  assert.ok(request.includes('"event_type":"audit.hold.placed"') && request.includes("(secret)"));
  assert.ok(!request.includes("blue"));
  await see("a delivery");
  await page.click("text=Send again");
  assert.match(await page.textContent("[role=status]"), /will be sent again/);
  await page.click("nav.trail a");
  await page.click(".choice a:has-text('Dead letters')");
  assert.match(page.url(), /\?state=dead_letter$/);
  await see("deliveries");
  await page.click("nav.trail a");
}

/** Settings, secrets and the end of a webhook. */
async function change(page, see) {
  await page.click("text=Change");
  assert.equal(await page.inputValue("[name=headers]"), "x-team=(kept)");
  await page.fill("[name=timeout_ms]", "5000");
  await see("settings");
  await page.click("text=Change the settings");
  assert.match(await page.textContent("main"), /timeout_ms\s*5000/);
  assert.match(await page.textContent("main"), /Requests are signed with this secret/);
  await page.click("summary:has-text('New secret')");
  await see("a question", ".facts dd");
  await page.click("text=Make a new secret");
  assert.match(await page.textContent("#secret"), /^whsec_/);
  await page.click("text=Done");
  assert.match(await page.textContent("main"), /signed with each of these secrets/);
  await page.click("summary:has-text('Sign with the newest only')");
  await see("a question about the older secrets", ".facts dd");
  await page.click("button:has-text('Stop signing with the older secrets')");
  assert.equal(await page.locator("text=Sign with the newest only").count(), 0);
  await page.click("summary:has-text('Remove')");
  await see("the last question", ".head-line");
  await page.click("text=Remove the webhook");
  assert.match(await page.textContent("main"), /There are no webhooks yet/);
}

/** A search is saved under a name, and removed. */
async function saveView(page, base, see) {
  const name = `Failures ${HOSTILE}`.slice(0, 64);
  await page.goto(`${base}?outcome=failure`);
  await page.click("summary:has-text('Views')");
  await page.fill(".views [name=name]", name);
  await page.click("text=Save the view");
  assert.match(page.url(), /\?outcome=failure$/);
  await page.goto(base);
  await page.click("summary:has-text('Views')");
  await see("the menu of views", ".views");
  await page.click(".views li a");
  assert.match(page.url(), /\?outcome=failure$/);
  await page.click("summary:has-text('Views')");
  assert.equal(await page.locator(".views [aria-current]").count(), 1);
  await page.click("text=All views");
  await see("views");
  await page.click("td.act summary");
  await see("a question about a view", "td.act");
  await page.click("text=Remove the view");
  assert.match(await page.textContent("main"), /No views are saved/);
  await see("no views");
}

/** The menu of downloads says what comes. */
async function download(page, base, see) {
  await page.goto(`${base}?outcome=failure`);
  await page.click("summary:has-text('Export')");
  await see("the menu of downloads", ".export");
  const link = page.locator(".export li a:has-text('CSV')");
  assert.match(await link.textContent(), /about \d/);
  const [started] = await Promise.all([page.waitForEvent("download"), link.click()]);
  assert.ok((await link.textContent()).includes(started.suggestedFilename()));
}

/** All of it, by a visitor who is signed in as an administrator. */
module.exports = async function administerMore(page, { base, check, hasScripts, record }) {
  const server = await receiver();
  const see = (what, part = "html") => look(page, what, part, check, hasScripts);
  try {
    const url = `http://127.0.0.1:${server.address().port}/hooks`;
    await add(page, url, hasScripts, see);
    await lookAtDeliveries(page, record, see);
    await change(page, see);
    await saveView(page, base, see);
    await download(page, base, see);
  } finally {
    server.close();
  }
};
