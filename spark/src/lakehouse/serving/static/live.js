"use strict";

// Airflow's frame may neither open a window nor move the one around it. A link of the surrounding page may.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[target]");
  if (!link || window.parent === window || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const outside = window.parent.document.createElement("a");
  outside.href = link.href;
  outside.rel = link.rel;
  if (link.target === "_blank") outside.target = "_blank";
  event.preventDefault();
  outside.click();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const text = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(text);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

// A part that has changed is replaced, and only that: what is scrolled, open or focused stays so.
const LONGEST_PAUSE = 60;
let failures = 0;

// As it came: what a person has opened since is no change of ours.
const came = new Map([...document.querySelectorAll("[data-live]")].map((part) => [part.id, part.innerHTML]));

function replace(part, fresh) {
  if (came.get(part.id) === fresh.innerHTML) return;
  came.set(part.id, fresh.innerHTML);
  const scrolled = [...part.querySelectorAll(".scroll[id]")].map((each) => [each.id, each.scrollLeft]);
  const open = [...part.querySelectorAll("details[open][id]")].map((each) => each.id);
  const focused = part.contains(document.activeElement) ? document.activeElement.id || document.activeElement.getAttribute("href") : null;
  part.innerHTML = fresh.innerHTML;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  for (const [id, left] of scrolled) { const box = document.getElementById(id); if (box) box.scrollLeft = left; }
  if (focused) (document.getElementById(focused) ?? part.querySelector(`a[href="${CSS.escape(focused)}"]`))?.focus({ preventScroll: true });
}

function take(fresh) {
  const main = document.querySelector("main"), other = fresh.querySelector("main");
  const ids = (root) => [...root.querySelectorAll("[data-live]")].map((each) => each.id).join();
  if (ids(main) === ids(other)) {
    for (const part of main.querySelectorAll("[data-live]")) replace(part, other.querySelector(`#${part.id}`));
  } else {
    main.innerHTML = other.innerHTML;
    for (const part of main.querySelectorAll("[data-live]")) came.set(part.id, part.innerHTML);
  }
  if (other.dataset.refresh) main.dataset.refresh = other.dataset.refresh;
  else delete main.dataset.refresh;
  document.title = fresh.title;
}

function tell(words) {
  const line = document.getElementById("stale");
  line.textContent = words;
  line.hidden = !words;
}

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) throw new Error(answer.status === 401 ? "the session has ended" : `the answer was ${answer.status}`);
      take(new DOMParser().parseFromString(await answer.text(), "text/html"));
      failures = 0;
      tell("");
    } catch (error) {
      if (!failures) tell(`Not up to date since ${new Date().toLocaleTimeString()}: ${error.message}.`);
      failures += 1;
    }
  }
  plan();
}

function plan() {
  const seconds = Number(document.querySelector("main").dataset.refresh);
  if (seconds) setTimeout(refresh, 1000 * Math.min(LONGEST_PAUSE, seconds * 2 ** failures));
}

plan();
