"use strict";
// Looks at pages as a person does: logs in by the form, follows the menu, takes pictures, and reads what is wrong in them.
// A job comes as JSON on stdin, a report goes as JSON to stdout.

const fs = require("fs");
const job = JSON.parse(fs.readFileSync(0, "utf8"));
const { chromium } = require(job.playwright);

const PATIENCE = 20_000;
// What Chromium itself says of the frame that Airflow makes, and of a page that was asked for without a session.
const KNOWN = /allow-scripts and allow-same-origin|status of 401/;

async function logIn(page) {
  await page.locator('input[name="username"]').fill(job.user);
  await page.locator('input[name="password"]').fill(job.password);
  await page.locator('button[type="submit"]').click();
}

/** Texts whose contrast with what is behind them is below 4.5 (3 for large ones), each once. */
function faint() {
  const parts = (text) => text.match(/[\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((each) => (each / 255 <= 0.04045 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const [r, g, b, a = 1] = parts(getComputedStyle(each).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [0, 0, 0] : [255, 255, 255];
  };
  const found = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || element.closest("svg, script") || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [one, other] = [light(parts(style.color)), light(behind(element))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) found.add(`${texts.currentNode.data.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return [...found];
}

async function frameOf(page) {
  const frame = await (await page.waitForSelector("iframe", { timeout: PATIENCE })).contentFrame();
  await frame.waitForSelector("main h1", { timeout: PATIENCE });
  return frame;
}

async function journey(browser, told) {
  const stranger = await browser.newContext();
  await stranger.addCookies([{ name: "_token", value: "a.b.c", url: job.base }]);
  const wrong = await stranger.newPage();
  await wrong.goto(`${job.base}/lakehouse/`);
  await wrong.waitForSelector('input[name="password"]', { timeout: PATIENCE });
  told.wrongCookie = new URL(wrong.url()).pathname;
  await stranger.close();

  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "light" });
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && !KNOWN.test(message.text()) && told.errors.push(`${page.url()}: ${message.text()}`));
  page.on("pageerror", (error) => told.errors.push(`${page.url()}: ${error}`));
  page.on("request", (request) => new URL(request.url()).origin !== job.base && /^http/.test(request.url()) && told.elsewhere.push(request.url()));
  await page.goto(`${job.base}/lakehouse/queries`);
  await page.waitForSelector('input[name="password"]', { timeout: PATIENCE });
  await picture(page, page, { name: "login" }, told);
  await logIn(page);
  await page.waitForURL("**/lakehouse/queries", { timeout: PATIENCE });
  told.landed = new URL(page.url()).pathname;

  await page.goto(job.base);
  await page.getByRole("link", { name: "Lakehouse", exact: true }).click({ timeout: PATIENCE });
  let frame = await frameOf(page);
  told.menu = await frame.locator("h1").innerText();
  told.runs = await frame.locator("table.runs tbody tr").allInnerTexts();
  await page.evaluate(() => localStorage.setItem("theme", "dark"));
  told.theme = await frame.waitForFunction(() => getComputedStyle(document.documentElement).colorScheme === "dark").then(() => "dark");
  await page.evaluate(() => localStorage.removeItem("theme"));

  const [console_] = await Promise.all([
    context.waitForEvent("page", { timeout: PATIENCE }),
    frame.getByText("MinIO console").click(),
  ]);
  await console_.waitForURL(/^http/, { timeout: PATIENCE });
  told.console = new URL(console_.url()).origin;
  await console_.close();

  await frame.locator(`table.runs a[href$="/runs/${job.run}"]`).click();
  await frame.waitForSelector("#ledger", { timeout: PATIENCE });
  told.deep = new URL(page.url()).pathname;
  told.ledger = await frame.locator("table.ledger tbody tr").allInnerTexts();
  await page.goto(`${job.base}/lakehouse/runs/${encodeURIComponent(job.run)}`);
  await page.getByText("Run in Airflow").click();
  await page.waitForURL("**/dags/**", { timeout: PATIENCE });
  told.airflow = new URL(page.url()).pathname;
  await page.getByRole("link", { name: "Tables", exact: true }).click({ timeout: PATIENCE });
  frame = await frameOf(page);
  told.tab = new URL(frame.url()).pathname;
  await frame.getByText("Run in Airflow").click();
  await page.waitForURL((url) => url.pathname === told.airflow, { timeout: PATIENCE });
  told.refreshed = await refreshed(page);
  return page;
}

/** What is left of a person's place on the page of a run at work, once its figures have changed by themselves. */
async function refreshed(page) {
  await page.setViewportSize({ width: 390, height: 600 });
  await page.goto(`${job.base}/lakehouse/runs/${encodeURIComponent(job.atWork)}`);
  const before = await page.locator("dl.facts dd").first().innerText();
  await page.evaluate(() => {
    document.querySelector("#rules").mark = "still the same element";
    document.querySelector("#more").open = true;
    document.querySelector("#ledger-scroll").scrollLeft = 60;
    scrollTo(0, 120);
  });
  await page.waitForFunction((was) => document.querySelector("dl.facts dd").innerText !== was, before, { timeout: PATIENCE });
  return page.evaluate(() => [
    document.querySelector("#rules").mark,
    document.querySelector("#more").open,
    document.querySelector("#ledger-scroll").scrollLeft,
    scrollY,
  ]);
}

/** A screenshot, seen by another page: how bright it is on the whole (0 to 1), and the same as WebP. */
async function develop([png, quality]) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
  const brush = canvas.getContext("2d");
  brush.drawImage(image, 0, 0);
  const { data } = brush.getImageData(0, 0, image.width, image.height);
  let sum = 0;
  for (let at = 0; at < data.length; at += 4) sum += data[at] + data[at + 1] + data[at + 2];
  return { brightness: sum / (data.length / 4) / 765, webp: canvas.toDataURL("image/webp", quality).split(",")[1] };
}

async function picture(page, view, { name, height = 800 }, told) {
  for (const width of [1280, 390]) for (const scheme of ["light", "dark"]) {
    await page.setViewportSize({ width, height: width === 390 ? 844 : height });
    await page.emulateMedia({ colorScheme: scheme });
    await page.waitForTimeout(job.out ? 500 : 100);
    const framed = view !== page;
    const wide = await view.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    const hidden = await view.evaluate(() => Math.max(0, ...[...document.querySelectorAll(".scroll:has(.runs)")].map((each) => each.scrollWidth - each.clientWidth)));
    const png = await page.screenshot({ animations: "disabled" });
    const { brightness, webp } = await told.studio.evaluate(develop, [png.toString("base64"), 0.7]);
    told.pictures.push({ name, width, scheme, framed, wide, hidden, brightness, faint: framed ? await view.evaluate(faint) : [] });
    if (job.out && (framed || width > 390)) fs.writeFileSync(`${job.out}/${name}-${width}-${scheme}.webp`, Buffer.from(webp, "base64"));
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.emulateMedia({ colorScheme: "light" });
}

async function main() {
  const told = { errors: [], elsewhere: [], pictures: [] };
  const browser = await chromium.launch({ executablePath: job.chromium, args: ["--no-sandbox"] });
  try {
    told.studio = await browser.newPage();
    const page = await journey(browser, told);
    for (const each of job.pages) {
      await page.goto(new URL(each.path, job.base).href);
      for (const [field, value] of Object.entries(each.fill ?? {})) await page.locator(field).fill(value, { timeout: PATIENCE });
      const view = each.framed ? await frameOf(page) : page;
      for (const name of each.clicks ?? []) await page.getByRole("button", { name, exact: true }).first().click({ timeout: PATIENCE });
      await view.getByText(new RegExp(each.says, "i")).first().waitFor({ timeout: PATIENCE });
      await picture(page, view, each, told);
    }
  } finally {
    await browser.close();
  }
  process.stdout.write(JSON.stringify({ ...told, studio: undefined }));
}

main().catch((error) => { process.stderr.write(String(error.stack)); process.exit(1); });
