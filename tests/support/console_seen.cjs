// What people see of an actor, of a resource and around an entry; the completion of the search, a range
// by dragging, and new entries. `console.cjs` runs this, with its own helpers.

const assert = require("node:assert/strict");

const rows = (page) => page.locator(".table tbody tr").count();
const heading = (page) => page.textContent(".histogram h2");

/** No page is wider than the window. */
async function fits(page, what) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(over <= 0, `${what}: ${over} pixels too wide`);
}

/** At three widths; at the narrowest and the widest also for those who see less, in both themes. */
async function look(page, check, what) {
  for (const width of [390, 820, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    await fits(page, `${what} at ${width}`);
    if (width !== 820) await check(page, `${what} at ${width}`);
  }
}

/** Pages that work without scripts too. */
async function follow(page, base, check) {
  // From the table to the actor, from there to the entries with an address, to one, and back to the actor.
  await page.goto(`${base}?event_type=auth.*`);
  await page.locator(".table td.actor .go").first().click({ force: true });
  assert.match(page.url(), /\/actor\?actor=user-\d$/);
  assert.match(await page.title(), /^user-\d · Actor · Audit log$/);
  assert.equal(await heading(page), "20 entries");
  assert.equal(await rows(page), 20);
  assert.equal(await page.locator("th.actor").isVisible(), false);
  if (check) await look(page, check, "an actor");
  await page.click("aside a.value:has-text('192.0.2.8')");
  assert.equal(await heading(page), "16 entries");
  assert.match(page.url(), /actor=user-\d&ip_address=192\.0\.2\.8&range=30d$/);
  await page.click(".table .open >> nth=3");
  assert.equal(await page.locator(".around li").count(), 7);
  assert.match(await page.textContent(".around [aria-current]"), /this entry/);
  assert.match(await page.textContent(".around li >> nth=0"), /earlier.*same actor/s);
  if (check) await look(page, check, "around an entry");
  const later = await page.textContent(".around li >> nth=4");
  await page.click(".around li >> nth=4 >> a");
  assert.ok(later.includes((await page.textContent("h1")).trim()));
  await page.click("text=About this actor");
  assert.equal(await heading(page), "20 entries");
  await page.click(".range summary");
  await page.click("text=Last hour");
  assert.match(page.url(), /\/actor\?actor=user-\d&range=1h$/);
  assert.equal(await heading(page), "20 entries");

  // Hostile texts are texts here too.
  await page.goto(`${base}?event_type=profile.changed`);
  for (const what of ["actor", "resource"]) {
    const about = await page.locator(`.table td.${what} .go`).getAttribute("href");
    await page.goto(new URL(about, page.url()).href);
    assert.ok((await page.textContent(".subject")).includes("<script>hacked()</script>⟨U+202E⟩"));
    assert.equal(await page.locator("main img, main script").count(), 0);
    await fits(page, `a hostile ${what}`);
    if (check) await check(page, `a hostile ${what}`);
    await page.goBack();
  }

  // Of one that isn't there.
  await page.goto(`${base}/resource?resource=nothing`);
  assert.match(await page.textContent(".state"), /No resource with this id or name was found/);
  if (check) await check(page, "an unknown resource");
  await page.goto(`${base}/actor`);
  assert.match(await page.textContent("main"), /give one id or name/);
}

/** More values of a field, and texts of several words; without scripts too. */
async function find(page, base, check) {
  await page.goto(base);
  const values = page.locator("#facet-ip_address li");
  assert.equal(await values.count(), 8);
  await page.click("#facet-ip_address p a");
  assert.match(page.url(), /\?facet=ip_address#facet-ip_address$/);
  assert.ok((await values.count()) > 24);
  if (check) await look(page, check, "an opened field");
  await page.click("#facet-ip_address a:has-text('192.0.2.105')");
  assert.equal(await heading(page), "1 entry");
  assert.match(page.url(), /\?ip_address=192\.0\.2\.105&facet=ip_address$/);
  await page.goBack();
  await page.click("text=Fewer values");
  assert.equal(await values.count(), 8);

  // "Sign-in 5 failed" has both words, and not beside each other.
  await page.fill("[name=search]", "sign-in failed");
  await page.click(".search button");
  assert.match(await page.textContent("#search-words"), /have them next to each other/);
  assert.match(await page.textContent(".found .state"), /Nothing matches/);
  if (check) await look(page, check, "several words");
  await page.click("#search-words a");
  assert.equal(await heading(page), "120 entries");
  assert.equal(await page.locator("#search-words").count(), 0);
}

/** The line of the search is completed, by keys and by the pointer. */
async function complete(page, base, check) {
  await page.goto(base);
  const options = () => page.locator(".completions [role=option]").allTextContents();
  const line = () => page.inputValue("[name=search]");
  await page.focus("[name=search]");
  await page.keyboard.type("act");
  await page.waitForSelector(".completions li");
  assert.deepEqual((await options()).slice(0, 3).map((one) => one.split(":")[0]), ["actor", "actor_type", "action"]);
  await check(page, "completions");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.getAttribute("[name=search]", "aria-activedescendant"), "completion-0");
  assert.equal(await page.getAttribute("#completion-0", "aria-selected"), "true");
  await page.keyboard.press("Tab");
  assert.equal(await line(), "actor:");
  await page.keyboard.type("USER-3");
  await page.waitForSelector(".completions li:has-text('user-3')");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Tab");
  assert.equal(await line(), "actor:user-3 ");
  assert.equal(page.url(), base, "Tab takes, and does not search");
  // Groups of event types, by the pointer; an exclusion stays one.
  await page.keyboard.type("!event_type:auth");
  await page.waitForSelector(".completions li:has-text('auth.login.*')");
  await page.click(".completions li:has-text('auth.login.*')");
  assert.equal(await line(), "actor:user-3 !event_type:auth.login.* ");
  // Escape closes the list, and only then leaves the line.
  await page.keyboard.type("sev");
  await page.waitForSelector(".completions li");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".completions").isVisible(), false);
  assert.equal(await page.evaluate(() => document.activeElement.name), "search");
  await completeWholeTerms(page);
  await search(page, base);
}

/** A completion takes the place of the whole term at the caret, and of the words before it if these belong to it. */
async function completeWholeTerms(page) {
  const line = () => page.inputValue("[name=search]");
  const take = async (text) => {
    const option = page.locator(".completions li").filter({ has: page.getByText(text, { exact: true }) });
    await option.waitFor();
    await option.click();
  };
  for (const [typed, option, expected] of [
    ["login failed", "event_type:auth.login.failed", "event_type:auth.login.failed "],
    ["lost !login failed", "!event_type:auth.login.failed", "lost !event_type:auth.login.failed "],
    ["actor:user 3", "user-3", "actor:user-3 "],
    ["lost user-3", "actor:user-3", "lost actor:user-3 "],
    ['"lost key" user-3', "actor:user-3", '"lost key" actor:user-3 '],
  ]) {
    await page.fill("[name=search]", "");
    await page.keyboard.type(typed);
    await take(option);
    assert.equal(await line(), expected);
  }
  // What is after the caret belongs to the term too, with its quotes.
  await page.fill("[name=search]", 'outcome:success actor:"user 3" severity:info');
  await page.locator("[name=search]").evaluate((input) => input.setSelectionRange(27, 27));
  await page.keyboard.press("ArrowDown");
  await take("user-4");
  assert.equal(await line(), "outcome:success actor:user-4 severity:info");
  assert.equal(await page.locator("[name=search]").evaluate((input) => input.selectionStart), 29);
}

/** Enter searches at once, also when it takes a completion. */
async function search(page, base) {
  const options = ".completions li";
  await page.fill("[name=search]", "");
  await page.keyboard.type("actor:user-1 outcome:fail");
  await page.waitForSelector(`${options}:has-text('failure')`);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForURL("**?actor=user-1&outcome=failure");
  // What isn't chosen is sent as it is written.
  await page.fill("[name=search]", "");
  await page.keyboard.type("succ");
  await page.waitForSelector(options);
  await page.keyboard.press("Enter");
  await page.waitForURL("**?q=succ");
  // A name waits for its value.
  await page.goto(base);
  for (const [typed, option] of [["outc", "outcome:"], ["actor: severity:warn", "warning"]]) {
    await page.fill("[name=search]", "");
    await page.keyboard.type(typed);
    await page.waitForSelector(`${options}:has-text('${option}')`);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    assert.ok((await page.inputValue("[name=search]")).includes(option));
    assert.equal(page.url(), base);
  }
}

/** A range of the bars is selected. */
async function select(page, base, check) {
  await page.goto(base);
  const box = await page.locator(".drawing svg").boundingBox();
  const at = await page.locator(".drawing svg").evaluate((svg) => svg.dataset.times.split(" ").map(Number));
  assert.ok(at.length > 12 && at[2] - at[1] < 60, `${at} are seconds`);
  assert.match(await page.textContent(".histogram > p"), /the range has no entries before/);
  await check(page, "a young log");
  const middle = box.y + box.height / 2;
  await page.mouse.move(box.x + box.width - 3, middle);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.9, middle, { steps: 4 });
  await page.mouse.move(box.x + box.width * 0.6, middle, { steps: 4 });
  assert.match(await page.textContent(".picked"), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d – .*\d\d:\d\d:\d\d UTC$/);
  await page.mouse.up();
  await page.waitForURL(/\?start_date=.*&end_date=/);
  const times = new URL(page.url()).searchParams;
  const share = (new Date(times.get("end_date")) - new Date(times.get("start_date"))) / 1000 / (at.at(-1) - at[0]);
  assert.ok(share > 0.35 && share < 0.55, `${share} of the bars`);
  assert.equal(await page.locator(".picked").count(), 0);
  // A click is a click still, and Escape gives a drag up.
  await page.goto(base);
  await page.mouse.move(box.x + box.width - 3, middle);
  await page.mouse.down();
  await page.mouse.move(box.x + 9, middle, { steps: 3 });
  await page.keyboard.press("Escape");
  await page.mouse.up();
  assert.equal(page.url(), base);
  // By keys: the last bar, and from there to others.
  await page.locator(".drawing a").last().focus();
  await page.keyboard.press("Home");
  assert.equal(await page.locator(".drawing a").first().getAttribute("tabindex"), "0");
  await page.keyboard.press("Enter");
  await page.waitForURL(/\?start_date=.*&end_date=/);
}

/** A page that stays open says what is new, and moves nothing. */
async function wait(page, base, check, place) {
  await page.goto(base);
  const before = await page.locator(".table .open").first().getAttribute("href");
  await place("seen-1");
  await place("seen-2");
  await page.waitForSelector(".waiting:has-text('2 new')");
  assert.equal(await page.locator(".table .open").first().getAttribute("href"), before);
  await check(page, "new entries");
  await page.click(".waiting button");
  await page.waitForFunction((old) => document.querySelector(".table .open")?.getAttribute("href") !== old, before);
  assert.match(await page.textContent(".table tbody tr >> nth=0"), /audit\.hold\.placed/);

  // Times: in another zone, and in words.
  const clock = () => page.textContent(".table time .clock >> nth=0");
  const utc = await clock();
  await page.click(".zone");
  assert.notEqual(await clock(), utc);
  await page.hover(".table time >> nth=0");
  assert.match(await page.getAttribute(".table time >> nth=0", "title"), /Z\n.*\n(\d+ (second|minute)s? ago|in 0 seconds)/);
  await page.click(".zone");
  assert.equal(await clock(), utc);
}

module.exports = { complete, find, follow, select, wait };
