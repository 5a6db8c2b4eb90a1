// Chromium, one line of JSON in per request, one out. A request opens a page in a
// browser context of its own name (cookies and storage stay with the name), waits
// for what `script` (an async function body) returns there, and says what the page
// logged and sent. `frame` runs the script in the page's first frame.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const contexts = new Map();

async function contextOf(name, gpc) {
  if (!contexts.has(name)) {
    const context = await browser.newContext();
    if (gpc) {
      await context.addInitScript(() => Object.defineProperty(
        Navigator.prototype, "globalPrivacyControl", { get: () => true }));
    }
    contexts.set(name, context);
  }
  return contexts.get(name);
}

async function visit({ url, context, gpc, script, frame }) {
  const page = await (await contextOf(context, gpc)).newPage();
  const sent = [], logged = [];
  page.on("request", (r) => r.method() !== "GET" && sent.push({
    method: r.method(), url: r.url(), body: r.postData() }));
  page.on("console", (m) => logged.push(m.text()));
  page.on("pageerror", (e) => logged.push(String(e)));
  try {
    await page.goto(url, { waitUntil: "load" });
    const where = frame ? page.frames()[1] : page;
    const value = script ? await where.evaluate(`(async () => { ${script} })()`) : null;
    await page.waitForTimeout(200); // what is still on its way
    return { value, sent, logged };
  } finally {
    await page.close();
  }
}

const lines = createInterface({ input: process.stdin });
for await (const line of lines) {
  let answer;
  try {
    answer = await visit(JSON.parse(line));
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
await browser.close();
