// Opens pages in one browser and says what is wrong with them: a process of Node.js that reads one JSON object and
// prints one. {modules, browser, profile, pages: [file], widths, whole: [name], shots: [{page, width, scheme, file, height}]}
const fs = require("fs");
const path = require("path");

const asked = JSON.parse(fs.readFileSync(0, "utf8"));
const { chromium } = require(path.join(asked.modules, "playwright-core"));
const axe = fs.readFileSync(path.join(asked.modules, "axe-core", "axe.min.js"), "utf8");

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

async function look(page, file, width, scheme) {
  const problems = [];
  const name = (some) => some.map((each) => ({ page: path.basename(file), width, scheme, problem: each }));
  await page.emulateMedia({ colorScheme: scheme });
  await page.setViewportSize({ width, height: 900 });
  const wide = await page.evaluate(() => {
    const root = document.documentElement;
    if (root.scrollWidth <= root.clientWidth) return [];
    const over = [...document.querySelectorAll("body *")].filter((each) => {
      return each.getBoundingClientRect().right > root.clientWidth + 1 && !each.closest(".scrolls, pre, nav, svg");
    });
    return [`${root.scrollWidth} pixels wide`, ...over.slice(0, 3).map((each) => each.outerHTML.slice(0, 120))];
  });
  if (wide.length) problems.push(["scrolls", ...wide]);
  // A run of axe-core takes most of the time, and in it the contrast of colors, which depends on no width. So that is
  // looked at once for each scheme; and of a page whose parts others have too, one run is made in all.
  const whole = (asked.whole || []).includes(path.basename(file));
  const full = `${width} ${scheme}` === (scheme === "light" ? `${Math.min(...asked.widths)} light` : `${Math.max(...asked.widths)} dark`);
  if (!whole && !(full && scheme === (asked.pages.indexOf(file) % 2 ? "light" : "dark"))) return name(problems);
  const found = await page.evaluate((rules) => {
    // What is folded is looked at once, unfolded: to find out of each of its elements that it is hidden takes long.
    const folded = [["details:not([open]) > :not(summary)"]];
    return window.axe.run({ include: [["html"]], exclude: folded }, { resultTypes: ["violations"], rules });
  }, full ? {} : { "color-contrast": { enabled: false } });
  for (const each of found.violations) {
    problems.push(["axe", each.id, ...each.nodes.slice(0, 3).map((node) => `${node.html.slice(0, 160)} ${node.failureSummary}`)]);
  }
  return name(problems);
}

async function main() {
  const context = await chromium.launchPersistentContext(asked.profile, {
    executablePath: asked.browser, headless: true, args: FLAGS,
  });
  const problems = [];
  const counts = {};
  for (const file of asked.pages) {
    // The page as it is, with its own policy: what it asks for, and what it says.
    const plain = await context.newPage();
    const requests = [];
    const name = path.basename(file);
    plain.on("request", (each) => requests.push(each.url()));
    plain.on("console", (each) => problems.push({ page: name, problem: ["console", each.type(), each.text()] }));
    plain.on("pageerror", (each) => problems.push({ page: name, problem: ["error", String(each)] }));
    await plain.goto(`file://${file}`, { waitUntil: "load" });
    const others = requests.filter((each) => each !== `file://${file}` && !each.startsWith("data:"));
    if (others.length) problems.push({ page: name, problem: ["requests", ...others] });
    counts[name] = await plain.evaluate(() => ({
      sections: document.querySelectorAll("main > section").length,
      images: document.querySelectorAll("svg[role=img]").length,
      scripts: document.scripts.length,
    }));
    await plain.evaluate(axe);
    for (const scheme of ["light", "dark"]) {
      for (const width of asked.widths) problems.push(...(await look(plain, file, width, scheme)));
    }
    // Everything that can be opened, opened.
    await plain.evaluate(() => document.querySelectorAll("details").forEach((each) => { each.open = true; }));
    if ((asked.whole || []).includes(name)) problems.push(...(await look(plain, file, Math.min(...asked.widths), "light")));
    await plain.close();
  }
  for (const shot of asked.shots || []) {
    const page = await context.newPage();
    await page.emulateMedia({ colorScheme: shot.scheme });
    await page.setViewportSize({ width: shot.width, height: shot.height || 900 });
    await page.goto(`file://${shot.page}`, { waitUntil: "load" });
    if (shot.top) await page.evaluate((at) => window.scrollTo(0, at), shot.top);
    await page.screenshot({ path: shot.file, fullPage: !shot.height, animations: "disabled" });
    await page.close();
  }
  await context.close();
  process.stdout.write(JSON.stringify({ problems, counts }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
