// Makes the pages nicer to watch; every page is whole without it.
//
// A page that says so (`data-refresh` on its main part) is asked for again every few seconds, and its main part takes
// the place of the one that is there. Nothing is replaced while somebody is at work in it.
"use strict";

(() => {
  const main = document.getElementById("main");
  const said = document.getElementById("said");
  if (!main || !main.dataset.refresh) return;

  let isPaused = false;
  let isAsking = false;
  // Read out when it changes, not each time that numbers do.
  let says = main.dataset.says || "";

  const place = () => document.getElementById("refresh");

  // The button that stops it all, in the place of the link for those without a script.
  function control() {
    const line = place();
    if (!line) return;
    const link = line.querySelector("a");
    if (link) link.remove();
    const button = document.createElement("button");
    button.type = "button";
    button.className = "plain";
    button.id = "pause";
    button.textContent = isPaused ? "Go on" : "Pause";
    button.addEventListener("click", () => {
      isPaused = !isPaused;
      button.textContent = isPaused ? "Go on" : "Pause";
      if (said) said.textContent = isPaused ? "Paused." : "Going on.";
    });
    line.append(" ", button);
  }

  // A field that is being filled, or a text that is being marked.
  function isAtWork() {
    const active = document.activeElement;
    const isField = active && main.contains(active) && /^(INPUT|SELECT|TEXTAREA)$/.test(active.tagName);
    const marked = document.getSelection();
    return isField || Boolean(marked && !marked.isCollapsed && main.contains(marked.anchorNode));
  }

  function replace(next) {
    const open = [...main.querySelectorAll("details[open]")].map((one) => one.id);
    const active = document.activeElement;
    const focused = active && main.contains(active) ? active.id : "";
    const scrolled = [...main.querySelectorAll(".wide")].map((one) => one.scrollLeft);

    main.replaceChildren(...next.childNodes);

    for (const id of open) {
      const details = id && document.getElementById(id);
      if (details) details.open = true;
    }
    [...main.querySelectorAll(".wide")].forEach((one, index) => { one.scrollLeft = scrolled[index] || 0; });
    control();
    const again = focused && document.getElementById(focused);
    if (again) again.focus({ preventScroll: true });

    const saysNow = next.dataset.says || "";
    if (saysNow !== says && said) said.textContent = saysNow;
    says = saysNow;
    if (next.dataset.refresh) main.dataset.refresh = next.dataset.refresh;
    else delete main.dataset.refresh;
  }

  async function refresh() {
    if (!main.dataset.refresh || isPaused || isAsking || document.hidden || isAtWork()) return;
    isAsking = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = page.getElementById("main");
      // Somebody may have begun meanwhile.
      if (next && !isPaused && !isAtWork()) replace(next);
    } catch {
      // The process may be about to start again: the next time tells.
    } finally {
      isAsking = false;
    }
  }

  control();
  setInterval(refresh, Math.max(1, Number(main.dataset.refresh)) * 1000);
})();
