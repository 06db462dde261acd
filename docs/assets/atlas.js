// The table of the atlas: search and order. The map: what a formulation is tied to, arrow keys, and a tap that asks first.
"use strict";

(() => {
  const table = document.querySelector(".atlas-table");
  const form = document.querySelector(".atlas-search");
  const lines = [...table.tBodies[0].rows];
  const map = document.querySelector(".atlas-map svg");
  const told = document.querySelector(".atlas-told");
  const points = new Map([...map.querySelectorAll(".atlas-point")].map((point) => [point.dataset.name, point]));
  const ties = [...map.querySelectorAll("path")];
  const SHOWN = 12;

  // --- search

  const plain = (text) => text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, ""); // Schütze is found by Schutze
  const contents = new Map(lines.map((line) => [line, plain(`${line.textContent} ${line.dataset.more}`)]));
  const cell = (line, name) => line.querySelector(`.atlas-${name}`).textContent;

  function search() {
    const words = plain(form.elements.words.value).split(/\s+/).filter(Boolean);
    const { family, runs } = form.elements;
    let found = 0;
    for (const line of lines) {
      line.hidden =
        (family.value && cell(line, "family") !== family.value) ||
        (runs.value && cell(line, "runs") !== runs.value) ||
        !words.every((word) => contents.get(line).includes(word));
      points.get(line.dataset.name).classList.toggle("atlas-left-out", line.hidden);
      found += !line.hidden;
    }
    form.querySelector(".atlas-count").textContent = `${found} of ${lines.length}`;
  }

  // --- order

  function sortBy(head) {
    const column = head.cellIndex;
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    const text = (line) => line.cells[column].textContent;
    lines.sort((one, other) => (descending ? -1 : 1) * compare(text(one), text(other)));
    table.tBodies[0].append(...lines);
  }

  function prepareTable() {
    for (const head of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      button.addEventListener("click", () => sortBy(head));
      head.replaceChildren(button);
    }
    form.addEventListener("input", search);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    search();
  }

  // --- map

  function link(point) {
    const made = document.createElement("a");
    made.href = point.getAttribute("href");
    made.append(Object.assign(document.createElement("code"), { textContent: point.dataset.name }));
    return made;
  }

  const label = map.querySelector(".atlas-label").cloneNode();
  label.classList.add("atlas-chosen");

  function show(point) {
    const { name, title } = point.dataset;
    for (const other of map.querySelectorAll(".atlas-near")) other.classList.remove("atlas-near");
    const near = new Map();
    for (const tie of ties) {
      const { one, other, laws } = tie.dataset;
      if (one !== name && other !== name) continue;
      near.set(one === name ? other : one, Number(laws));
      tie.classList.add("atlas-near");
    }
    for (const other of [name, ...near.keys()]) points.get(other).classList.add("atlas-near");
    map.classList.add("atlas-asked");
    const [x, y] = middle(point);
    label.setAttribute("x", x);
    label.setAttribute("y", y - 14);
    label.textContent = name;
    map.append(label);
    const most = [...near].sort((one, other) => other[1] - one[1]).map(([other]) => link(points.get(other)));
    told.replaceChildren(link(point), `: ${title}. `, near.size ? "Laws tie it to " : "No law ties it to another one yet.");
    most.slice(0, SHOWN).forEach((other, index) => told.append(index ? ", " : "", other));
    if (near.size) told.append(most.length > SHOWN ? ` and ${most.length - SHOWN} more.` : ".");
  }

  function middle(point) {
    const circle = point.querySelector("circle");
    return [circle.cx.baseVal.value, circle.cy.baseVal.value];
  }

  // The nearest point that lies more in this direction than to the side of it.
  function nextTo(point, [right, down]) {
    const [x, y] = middle(point);
    let best = point;
    let least = Infinity;
    for (const other of points.values()) {
      const [dx, dy] = [middle(other)[0] - x, middle(other)[1] - y];
      const ahead = dx * right + dy * down;
      const aside = Math.abs(dx * down) + Math.abs(dy * right);
      if (ahead <= aside || ahead + 2 * aside >= least) continue;
      least = ahead + 2 * aside;
      best = other;
    }
    return best;
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function prepareMap() {
    const box = map.parentElement;
    box.scrollLeft = (box.scrollWidth - box.clientWidth) / 2;
    // One stop of the tab key; the arrows go from there.
    const first = points.get("softmax_attention");
    for (const point of points.values()) point.setAttribute("tabindex", point === first ? "0" : "-1");
    let pointer = "mouse";
    map.addEventListener("pointerdown", (event) => (pointer = event.pointerType));
    map.addEventListener("keydown", (event) => {
      const point = event.target.closest(".atlas-point");
      if (!point || !(event.key in ARROWS)) return;
      event.preventDefault();
      const next = nextTo(point, ARROWS[event.key]);
      point.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
    for (const point of points.values()) {
      point.addEventListener("focus", () => show(point));
      point.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && show(point));
    }
    // A finger is wider than a point: it asks for the nearest one, whose link then stands below.
    map.addEventListener("click", (event) => {
      if (pointer === "mouse" || event.detail === 0) return;
      if (event.target.closest(".atlas-title")) return;
      event.preventDefault();
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.getScreenCTM().inverse());
      const away = (point) => Math.hypot(middle(point)[0] - at.x, middle(point)[1] - at.y);
      show([...points.values()].reduce((one, other) => (away(other) < away(one) ? other : one)));
    });
  }

  prepareTable();
  prepareMap();
})();
