"use strict";
(() => {
  const form = document.getElementById("filter");
  const find = document.getElementById("find");
  const split = document.getElementById("split");
  const found = document.getElementById("found");
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

  // What a label's search sees is worked out once; a report may hold thousands of pictures.
  const items = [...document.querySelectorAll("[data-label]")].map((element) => ({
    element,
    text: plain(element.dataset.label),
    split: element.dataset.split,
  }));
  const labels = items.filter((item) => item.element.closest("#label-table"));
  const sections = [...document.querySelectorAll("section:has(> .nothing)")];
  const blocks = [...document.querySelectorAll("article, .pair, #aside > .sheet, #conflicts > .sheet")];

  const apply = () => {
    const wanted = plain(find.value.trim());
    const part = split ? split.value : "";
    for (const item of items) {
      const outside = part !== "" && item.split !== undefined && item.split !== part;
      item.element.hidden = outside || !item.text.includes(wanted);
    }
    for (const block of blocks) {
      const figures = [...block.querySelectorAll("figure")];
      // Of a pair, both are shown or none.
      const shown = figures.some((figure) => !figure.hidden);
      if (block.classList.contains("pair") && shown) figures.forEach((figure) => { figure.hidden = false; });
      block.hidden = figures.length > 0 && !shown;
    }
    for (const heading of document.querySelectorAll("#aside > h3")) heading.hidden = heading.nextElementSibling.hidden;
    for (const section of sections) {
      const shown = [...section.querySelectorAll("[data-label]")].some((element) => !element.hidden);
      section.querySelector(".nothing").hidden = shown;
    }
    const count = labels.filter((item) => !item.element.hidden).length;
    found.textContent = wanted === "" ? "" : `${count} of ${labels.length} labels`;
  };

  let waiting = 0;
  find.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, 80);
  });
  if (split) split.addEventListener("change", apply);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });

  const table = document.getElementById("label-table");
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, column, numeric) => {
    const text = row.cells[column].textContent.trim();
    return numeric ? Number(text.replaceAll(",", "")) : text;
  };
  heads.forEach((head, column) => {
    if (head.classList.contains("bars")) return;
    const numeric = head.classList.contains("number");
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sorted = head.getAttribute("aria-sort");
      const rising = sorted ? sorted === "descending" : !numeric;  // the largest first, or from A to Z
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const sign = rising ? 1 : -1;
      const body = table.tBodies[0];
      const rows = [...body.rows].map((row) => [value(row, column, numeric), row]);
      rows.sort(([a], [b]) => sign * (numeric ? a - b : a.localeCompare(b)));
      body.append(...rows.map(([, row]) => row));
    });
  });

  form.hidden = false;
  apply();
})();
