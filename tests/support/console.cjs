// Uses the console with Chromium as a person does; an error on stderr is a failed test.
// Arguments: where node_modules is, the console's URL, a token, a one-time code.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const seen = require("./console_seen.cjs");

const administerMore = require("./console_admin.cjs");

const [node, base, token, code] = process.argv.slice(2);
const { chromium } = require(path.join(node, "node_modules/playwright-core"));
const axe = fs.readFileSync(path.join(node, "node_modules/axe-core/axe.min.js"), "utf8");
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
  "--disable-background-networking", "--disable-component-update",
];

/** Where a program is. */
function program(name) {
  const places = process.env.PATH.split(":").map((place) => path.join(place, name));
  return places.find((place) => fs.existsSync(place));
}

/** A browser's window without a history; what goes wrong in it is noted. */
async function open(browser, options) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  const page = await context.newPage();
  page.problems = [];
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => page.problems.push(String(error)));
  page.on("console", (message) => {
    if (/Content Security Policy|Refused/.test(message.text())) page.problems.push(message.text());
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !url.startsWith("data:")) page.problems.push(`asked for ${url}`);
  });
  return page;
}

/** No rule of accessibility is broken in a part of the page, in either theme. */
async function check(page, what, part = "html") {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.evaluate(axe);
    const { violations } = await page.evaluate((within) => globalThis.axe.run(within, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"] }), part);
    const found = violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((n) => n.html.slice(0, 200) + " — " + n.failureSummary.replaceAll("\n", " ").slice(0, 200)).join(" | ")}`);
    assert.deepEqual(found, [], `${what} in ${colorScheme}`);
  }
}

async function signIn(page) {
  await page.goto(`${base}/?actor=user-1`);
  assert.equal(page.url(), `${base}?actor=user-1`);
  await page.goto(base);
  assert.equal(await page.title(), "Sign in · Audit log");
  await page.fill("#token", "ta_00000000_wrong");
  await page.click("button.primary");
  assert.match(await page.textContent("[role=alert]"), /isn't valid/);
  await page.fill("#token", token);
  await page.click("button.primary");
  await page.waitForSelector(".table");
}

const rows = (page) => page.locator(".table tbody tr").count();
const heading = (page) => page.textContent(".histogram h2");
const description = (page) => page.textContent(".table td.description >> nth=0");

/** What works in every browser. */
async function useEverywhere(page, hasScripts) {
  await signIn(page);
  assert.equal(await rows(page), 50);
  assert.equal(await heading(page), "123 entries");
  if (hasScripts) await check(page, "entries");

  // A facet, its exclusion, and the chip that takes it away.
  await page.click("aside a.value:has-text('failure')");
  assert.equal(await heading(page), "24 entries");
  assert.match(page.url(), /\?outcome=failure$/);
  await page.click(".chip a");
  await page.hover("aside li:has-text('auth.login.failed')");
  await page.click("aside a[aria-label='Exclude auth.login.failed']");
  assert.equal(await heading(page), "99 entries");

  // A line, with its error and its result.
  await page.fill("[name=search]", "actr:ann");
  await page.press("[name=search]", "Enter");
  assert.match(await page.textContent("#search-problem"), /actr: there is no such parameter/);
  assert.equal(await page.inputValue("[name=search]"), "actr:ann");
  if (hasScripts) await check(page, "an error");
  await page.fill("[name=search]", 'actor:user-1 "succeeded"');
  await page.click(".search button");
  assert.equal(await heading(page), "16 entries");
  await page.fill("[name=search]", "actor:nobody");
  await page.click(".search button");
  assert.match(await page.textContent(".found .state"), /Nothing matches/);
  if (hasScripts) await check(page, "nothing");
  await page.click("text=Remove all conditions");

  // Pages, and an entry.
  const newest = await description(page);
  await page.click("[rel=next]");
  assert.notEqual(await description(page), newest);
  await page.click("[rel=prev]");
  assert.equal(await description(page), newest);
  await page.fill("[name=search]", "event_type:auth.*");
  await page.click(".search button");
  const described = (await page.locator(".table td.description").allTextContents()).slice(0, 3);
  await page.click(".table .open >> nth=1");
  assert.match(await page.textContent("h1"), /auth\.login/);
  assert.ok((await page.textContent("#json")).includes(described[1]));
  await page.click("[rel=next]");
  assert.ok((await page.textContent("#json")).includes(described[2]));
  await page.click("text=Back to the entries");
  assert.equal(await rows(page), 50);

  // A range, by its menu.
  await page.click(".range summary");
  await page.click("text=Last 7 days");
  assert.match(page.url(), /range=7d/);

  // Columns, by theirs.
  await page.click("summary:has-text('Columns')");
  await page.uncheck("[name=columns][value=address]");
  await page.click(".popup:visible button");
  assert.match(page.url(), /event_type=auth\.\*&range=7d&columns=severity/);
  assert.equal(await page.locator("th.address").isVisible(), false);
  assert.equal(await page.locator("th.actor").isVisible(), true);

  // Hostile texts are texts.
  await page.goto(`${base}?event_type=profile.changed`);
  await page.click(".table .open");
  const text = await page.textContent("main");
  assert.ok(text.includes("<script>hacked()</script>⟨U+202E⟩⟨U+0007⟩{{x}}"));
  assert.ok(text.includes("changed"));
  assert.equal(await page.locator("main img, main script").count(), 0);
  const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(tooWide <= 0, `${tooWide} pixels too wide`);
  if (hasScripts) await check(page, "an entry");

  // On a telephone.
  await page.setViewportSize({ width: 390, height: 800 });
  for (const place of [page.url(), `${base}?event_type=profile.changed`, base]) {
    await page.goto(place);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(over <= 0, `${place}: ${over} pixels too wide`);
    if (hasScripts) await check(page, `${place} on a telephone`);
  }

  await page.click("text=Sign out");
  assert.equal(await page.title(), "Sign in · Audit log");
  assert.match(await page.textContent("[role=status]"), /You are signed out/);
  if (hasScripts) await check(page, "signed out");
  await page.reload();
  assert.equal(await page.locator("[role=status]").count(), 0, "it is said once");
  await page.goto(base);
  assert.equal(await page.locator("#token").count(), 1);
  if (hasScripts) await check(page, "sign in");
}

/** What scripts make quicker. */
async function useScripts(page) {
  await page.goto(`${base}/sign-in?code=${code}`);
  await check(page, "a link");
  await page.click("button.primary");
  await page.waitForSelector(".table");
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.name), "search");
  await page.keyboard.press("Escape");
  await page.keyboard.press("?");
  assert.ok(await page.locator("#keys").isVisible());
  await check(page, "help");
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("j");
  const second = await page.getAttribute(".table .open >> nth=1", "href");
  await page.keyboard.press("Enter");
  await page.waitForURL(`**${second}`);
  await page.keyboard.press("Escape");
  await page.waitForSelector(".table");

  await page.click("[data-theme-switch]");
  await page.click("[data-theme-switch]");
  await page.reload();
  assert.equal(await page.getAttribute("html", "data-theme"), "dark");

  // The live tail shows an entry that comes now, first.
  await page.click("[data-live]");
  await place("hold-1");
  await page.waitForSelector("tr.new:has-text('audit.hold.placed')");
  assert.match(await page.textContent(".table tbody tr >> nth=0"), /audit\.hold\.placed/);
  // Further down, it says how many wait.
  await page.evaluate(() => scrollTo(0, 500));
  await place("hold-2");
  await page.waitForSelector(".waiting:has-text('1 new')");
  await page.click(".waiting");
  assert.equal(await page.locator("tr.new").count(), 2);
  await page.click("[data-live]");
  assert.equal(await page.getAttribute("[data-live]", "aria-pressed"), "false");
  // A row that came so is the same as one of the server.
  const first = async () => (await page.locator(".table tbody tr >> nth=0").allInnerTexts())[0].replace(/\s+/g, " ");
  const live = await first();
  await page.reload();
  assert.equal(await first(), live);
}

/** What administrators see and change. */
async function administer(page, hasScripts) {
  await page.goto(base);
  await page.fill("#token", token);
  await page.click("button.primary");
  const goTo = async (name) => {
    await page.click(`nav[aria-label=Pages] >> text=${name}`);
    assert.equal(await page.title(), `${name} · Audit log`);
    const tooWide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(tooWide <= 0, `${name}: ${tooWide} pixels too wide`);
    if (hasScripts) await check(page, name);
  };
  await goTo("Catalogue");
  await page.fill("[name=search]", "auth.login.failed");
  await page.press("[name=search]", "Enter");
  await page.click("td.name a");
  assert.match(page.url(), /event_type=auth\.login\.failed/);
  await goTo("Health");
  assert.match(await page.textContent(".good"), /no problem/);

  // A token is shown once, can't be made of what is wrong, and is revoked.
  const name = `made ${hasScripts ? "with" : "without"} scripts`;
  await goTo("Tokens");
  await page.click(".fold summary");
  await page.fill("[name=name]", name);
  await page.fill("[name=expires]", "2001-01-01");
  await page.click("text=Create the token");
  assert.match(await page.textContent("#expires-wrong"), /it is past/);
  assert.equal(await page.inputValue("[name=name]"), name);
  await page.fill("[name=expires]", "");
  await page.click("text=Create the token");
  assert.match(await page.textContent("#secret"), /^ta_[0-9a-f]{8}_.{43}$/);
  if (hasScripts) await check(page, "a token");
  await page.click("text=Done");
  const row = page.locator(`tr:has-text("${name}")`);
  await row.locator("summary").click();
  if (hasScripts) await check(page, "a question");
  await row.locator("form button").click();
  await page.waitForSelector(`.rows:not(:has-text("${name}"))`);

  await goTo("Settings");
  await page.click("text=Place a hold");
  await page.fill("[name=name]", "case-17");
  if (hasScripts) await check(page, "a hold");
  await page.click("text=Place the hold");
  await page.click("tr:has-text('case-17') summary");
  await page.click("tr:has-text('case-17') form button");
  await page.waitForSelector(".found:not(:has-text('case-17'))");
}

/** Places a hold, which is an entry. */
async function place(name) {
  const answer = await fetch(`${base}/holds`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ name, end_date: "2020-01-01" }),
  });
  assert.equal(answer.status, 201, await answer.text());
}

async function main() {
  const browser = await chromium.launch({ executablePath: program("chromium"), args: FLAGS });
  try {
    for (const javaScriptEnabled of [true, false]) {
      const page = await open(browser, { javaScriptEnabled });
      await useEverywhere(page, javaScriptEnabled);
      assert.deepEqual(page.problems, []);
    }
    const page = await open(browser, {});
    await useScripts(page);
    assert.deepEqual(page.problems, []);
    for (const javaScriptEnabled of [true, false]) {
      const page = await open(browser, { javaScriptEnabled });
      await signIn(page);
      await seen.follow(page, base, javaScriptEnabled && check);
      await seen.find(page, base, javaScriptEnabled && check);
      assert.deepEqual(page.problems, []);
    }
    const far = await open(browser, { timezoneId: "Asia/Kathmandu" });
    await signIn(far);
    await seen.complete(far, base, check);
    await seen.select(far, base, check);
    await seen.wait(far, base, check, place);
    assert.deepEqual(far.problems, []);
    for (const javaScriptEnabled of [true, false]) {
      const page = await open(browser, { javaScriptEnabled });
      await administer(page, javaScriptEnabled);
      const record = () => place(`of-a-webhook-${javaScriptEnabled}`);
      await administerMore(page, { base, check, hasScripts: javaScriptEnabled, record });
      assert.deepEqual(page.problems, []);
    }
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
