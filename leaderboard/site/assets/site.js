// Sorting, filtering and search of the tables, and the choice of light or dark. Every page is complete without it.
"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  function sortable(head, place, table) {
    const button = document.createElement("button");
    const small = head.querySelector("small");
    button.type = "button";
    button.append(...[...head.childNodes].filter((node) => node !== small && node.nodeName !== "BR"));
    head.prepend(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const numbers = head.dataset.sort === "number";
      const first = numbers ? "descending" : "ascending";
      const next = { [first]: first === "ascending" ? "descending" : "ascending" }[head.getAttribute("aria-sort")] || first;
      all("th[aria-sort]", table).forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      const key = (row) => {
        const cell = row.children[place];
        if (!numbers) return cell.textContent.trim();
        return cell.dataset.value === "" ? null : Number(cell.dataset.value);
      };
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null); // unknown ones stay at the end
        return sign * (numbers ? a - b : a.localeCompare(b, "en"));
      });
      body.append(...rows.map(([, row]) => row));
    });
  }

  function filters(form) {
    const tables = all("section.table");
    const apply = () => {
      const wanted = Object.fromEntries(new FormData(form));
      const words = (wanted.search || "").toLowerCase().split(/\s+/).filter(Boolean);
      const most = wanted.parameters ? Number(wanted.parameters) : Infinity;
      let shown = 0;
      tables.forEach((section) => {
        section.hidden = Boolean(wanted.table) && section.id !== wanted.table;
        const kept = new Set();
        all("table.rows tbody tr", section).forEach((row) => {
          const text = `${row.cells[0].textContent} ${row.dataset.architecture}`.toLowerCase();
          const isControl = row.closest("details.controls") !== null;
          const visible = isControl || (
            words.every((word) => text.includes(word)) &&
            ["decoding", "track", "watched"].every((key) => !wanted[key] || row.dataset[key] === wanted[key]) &&
            (most === Infinity || (row.dataset.parameters !== "" && Number(row.dataset.parameters) <= most)) &&
            (!wanted.ranked || row.dataset.ranked === "yes"));
          row.hidden = !visible;
          if (visible) kept.add(row.dataset.row);
          if (visible && !isControl && !section.hidden) shown += 1;
        });
        all(".series[data-row]", section).forEach((series) => {
          series.style.display = kept.has(series.dataset.row) ? "" : "none";
        });
      });
      form.querySelector(".count").value = `${shown} imitator${shown === 1 ? "" : "s"} shown`;
    };
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    const follow = () => {
      const named = tables.find((section) => `#${section.id}` === location.hash);
      if (named) form.elements.table.value = named.id;
      apply();
    };
    window.addEventListener("hashchange", follow);
    follow();
  }

  function linked(section) {
    const choose = (place, on) => all("[data-row]", section).forEach((each) => {
      if (each.dataset.row === place) each.classList.toggle("chosen", on);
    });
    all("[data-row]", section).forEach((each) => {
      for (const [event, on] of [["pointerenter", true], ["pointerleave", false], ["focusin", true], ["focusout", false]]) {
        each.addEventListener(event, () => choose(each.dataset.row, on));
      }
    });
  }

  function pairs(form) {
    const apply = () => {
      const { one, other } = Object.fromEntries(new FormData(form));
      all("table.pairs tbody tr").forEach((row) => {
        const names = [row.dataset.one, row.dataset.other];
        row.hidden = ![one, other].every((name) => !name || names.includes(name));
      });
      all(".series[data-row]").forEach((series) => {
        const name = series.dataset.row.split("/").pop();
        series.style.display = !(one || other) || [one, other].includes(name) ? "" : "none";
      });
    };
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    apply();
  }

  function theme(button) {
    const root = document.documentElement;
    const stored = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
    if (stored === "light" || stored === "dark") root.dataset.theme = stored;
    button.hidden = false;
    button.addEventListener("click", () => {
      const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
      root.dataset.theme = now === "dark" ? "light" : "dark";
      try { localStorage.setItem("theme", root.dataset.theme); } catch { /* of a file, or private: not kept */ }
    });
  }

  all("table.rows").forEach((table) => all("thead th", table).forEach((head, place) => sortable(head, place, table)));
  all("section.table").forEach(linked);
  all("form.filters").forEach(filters);
  all("form.pairs").forEach(pairs);
  all("button.theme").forEach(theme);
})();
