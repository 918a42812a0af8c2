// What pages can do beyond links and forms: keys, copying, live numbers, and search where there is no server.
"use strict";
(() => {
  const rows = () => [...document.querySelectorAll("table.list tbody tr")].filter((row) => !row.hidden);
  let at = -1;
  const go = (step) => {
    const all = rows();
    if (all.length === 0) return;
    document.querySelectorAll("tr.at").forEach((row) => row.classList.remove("at"));
    at = Math.min(Math.max(at + step, 0), all.length - 1);
    all[at].classList.add("at");
    const link = all[at].querySelector("a");
    if (link) link.focus();
  };
  const pages = { o: "overview", b: "buckets", m: "matrix", c: "coverage", a: "campaigns" };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select");
    if (event.key === "Escape" && typing) typing.blur();
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      const search = document.querySelector("input[type=search]");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    } else if (event.key === "j") go(1);
    else if (event.key === "k") go(-1);
    else if (event.key === "?") {
      const help = document.getElementById("keys");
      if (help) help.hidden = !help.hidden;
    } else if (pages[event.key]) {
      const link = document.querySelector(`nav a[data-page=${pages[event.key]}]`);
      if (link) link.click();
    }
  });
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const from = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(from.textContent);
        button.textContent = "copied";
      } catch {
        // No clipboard here: the text is selected, to be copied by hand.
        getSelection().selectAllChildren(from);
      }
    });
  }
  // Pages in a folder have no server to search for them.
  const filter = document.querySelector("input[data-filter]");
  if (filter) {
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of document.querySelectorAll("table.list tbody tr")) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
    });
  }
  // Numbers of running campaigns, every two seconds while somebody looks.
  const live = document.querySelector("[data-live]");
  if (live) {
    const set = (name, value) => {
      for (const place of document.querySelectorAll(`[data-number="${CSS.escape(name)}"]`)) {
        if (place.textContent !== value) place.textContent = value;
      }
    };
    const again = async () => {
      if (document.hidden) return;
      try {
        const answer = await fetch(live.dataset.live, { headers: { accept: "application/json" } });
        if (!answer.ok) return;
        const { numbers } = await answer.json();
        for (const [name, value] of Object.entries(numbers)) set(name, value);
        document.documentElement.dataset.live = String(Date.now());
      } catch {
        // The server is gone: the page stays as it was.
      }
    };
    setInterval(again, 2000);
  }
})();
