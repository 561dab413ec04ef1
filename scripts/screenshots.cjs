// Pictures of the console's pages, or Lighthouse's points for them.
// Arguments: `pictures` or `lighthouse`, the console's URL, a token, the target folder.

const fs = require("node:fs");
const path = require("node:path");

const [what, base, token, target] = process.argv.slice(2);
const { chromium } = require(path.join(target, "node/node_modules/playwright-core"));
const PORT = 9333;
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
  "--disable-background-networking", "--disable-component-update", `--remote-debugging-port=${PORT}`,
];
const WIDTHS = [1440, 820, 390];

/** The pages, by name: their addresses, below the console's. */
const PAGES = {
  entries: "",
  failures: "?outcome=failure",
  nothing: "?actor=nobody",
  problem: "?severty=error",
  actor: "/actor?actor=user-6",
  resource: "/resource?resource=db-password",
  views: "/views",
  catalogue: "/catalogue",
  health: "/health",
  tokens: "/admin/tokens",
  settings: "/admin/settings",
  webhooks: "/admin/webhooks",
  webhook: "/admin/webhooks/siem",
  "webhook-settings": "/admin/webhooks/siem/settings",
  deliveries: "/admin/webhooks/siem/deliveries",
};

/** Where Debian has the browser. */
function browserPath() {
  const places = process.env.PATH.split(":").map((place) => path.join(place, "chromium"));
  return places.find((place) => fs.existsSync(place));
}

async function signIn(page) {
  await page.goto(base);
  await page.fill("#token", token);
  await page.click("button.primary");
  await page.waitForSelector(".table");
}

/** The addresses of pages that have others' ids in them. */
async function found(page) {
  // The delivery first: the demo's are listed for some seconds only.
  const places = { delivery: [PAGES.deliveries, "td a"], entry: ["?event_type=user.updated", ".table a.open"] };
  const pages = {};
  for (const [name, [list, link]] of Object.entries(places)) {
    await page.goto(base + list);
    const href = await page.getAttribute(link, "href");
    pages[name] = href.replace(/^.*\/audit/, "");
  }
  return { ...pages, ...PAGES };
}

async function pictures(browser) {
  const to = path.join(target, "screenshots");
  fs.mkdirSync(to, { recursive: true });
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({ colorScheme, reducedMotion: "reduce" });
    const page = await context.newPage();
    const take = async (name) => {
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 900 });
        await page.screenshot({ path: path.join(to, `${name}-${colorScheme}-${width}.png`), fullPage: name !== "entries" });
      }
    };
    await page.goto(base);
    await take("sign-in");
    await signIn(page);
    for (const [name, address] of Object.entries(await found(page))) {
      await page.goto(base + address);
      await page.waitForLoadState("networkidle");
      await take(name);
    }
    await context.close();
  }
  console.log(`${to}: ${fs.readdirSync(to).length} pictures`);
}

/** Each page on a desktop and on a telephone, which Lighthouse plays with a slow network and a slow processor. */
async function lighthouse(context) {
  const core = path.join(target, "lighthouse/node_modules/lighthouse/core");
  const { default: judge } = await import(path.join(core, "index.js"));
  const { default: desktop } = await import(path.join(core, "config/desktop-config.js"));
  const page = await context.newPage();
  await signIn(page);
  const cookies = (await context.cookies()).map(({ name, value }) => `${name}=${value}`);
  const flags = {
    port: PORT,
    onlyCategories: ["performance", "accessibility", "best-practices"],
    extraHeaders: { Cookie: cookies.join("; ") },
    logLevel: "error",
  };
  console.log("page         device    performance, accessibility, best practices");
  for (const [name, address] of Object.entries(await found(page))) {
    // Lighthouse doesn't judge answers with an error.
    if (name === "problem") continue;
    for (const [device, config] of [["desktop", desktop], ["telephone", undefined]]) {
      const { lhr } = await judge(base + address, flags, config);
      const points = Object.values(lhr.categories).map(({ score }) => Math.round(score * 100));
      console.log(name.padEnd(12), device.padEnd(9), points.join(" "));
      if (points.some((one) => one < 95)) process.exitCode = 1;
    }
  }
}

(async () => {
  if (what === "lighthouse") {
    const profile = fs.mkdtempSync(path.join(require("node:os").tmpdir(), "lighthouse-"));
    const context = await chromium.launchPersistentContext(profile, { executablePath: browserPath(), args: FLAGS });
    try {
      await lighthouse(context);
    } finally {
      await context.close();
      fs.rmSync(profile, { recursive: true });
    }
    return;
  }
  const browser = await chromium.launch({ executablePath: browserPath(), args: FLAGS });
  try {
    await pictures(browser);
  } finally {
    await browser.close();
  }
})();
