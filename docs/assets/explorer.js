// The explorer: weights of real heads, made by the reference and packed by docs/generator/explorer.py.
"use strict";

(() => {
  const root = document.getElementById("explorer");
  const form = root.querySelector("form");
  const { dial: dials, layer: layers, head: heads, stop: slider } = form.elements;
  const { words } = EXPLORER;
  const n = words.length;
  const rows = EXPLORER.layers * EXPLORER.heads * n;
  const LEVELS = 255;
  const SUM_UNIT = 2 ** -11;
  const CELL = 20;
  const MARGIN = 76;
  const views = new Map(); // slug -> promise of the unpacked weights
  let plain;

  // --- data

  async function unpacked(text, stops, low) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    const content = await new Response(stream).arrayBuffer();
    const levels = accumulated(new Uint8Array(content, 0, rows * n * stops), stops);
    const sums = accumulated(new Int16Array(content.slice(rows * n * stops)), stops);
    return {
      weight: (row, column, stop) => {
        const level = levels[(row * n + column) * stops + stop];
        if (level === 0) return 0;
        return low + ((1 - low) * (level - 1)) / (LEVELS - 1) || Number.MIN_VALUE; // small, but no exact zero
      },
      sum: (row, stop) => sums[row * stops + stop] * SUM_UNIT,
    };
  }

  // The file holds the steps from stop to stop; the arrays wrap around as the packing did.
  function accumulated(steps, stops) {
    for (let at = 0; at < steps.length; at++) if (at % stops) steps[at] += steps[at - 1];
    return steps;
  }

  // A script can be loaded where a page opened from disk may not fetch a file.
  function loaded(slug) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = `atlas/explorer/${slug}.js`;
      script.onload = () => resolve(EXPLORER.data[slug]);
      script.onerror = () => reject(new Error(`${script.src} is missing`));
      document.head.append(script);
    });
  }

  function view({ slug, stops, low }) {
    if (!views.has(slug)) views.set(slug, loaded(slug).then((text) => unpacked(text, stops.length, low)));
    return views.get(slug);
  }

  // --- what is chosen

  const chosen = () => EXPLORER.dials[dials.selectedIndex];
  const asking = () => Number(form.elements.word.value);
  const rowOf = (word) => (layers.selectedIndex * EXPLORER.heads + heads.selectedIndex) * n + word;

  function turnTo(dial) {
    dials.selectedIndex = EXPLORER.dials.indexOf(dial);
    slider.max = dial.stops.length - 1;
    slider.value = dial.start;
    root.querySelector("#explorer-parameter").textContent = dial.parameter;
    const says = root.querySelector(".explorer-says");
    says.replaceChildren(`${dial.says} `, element("a", { href: dial.page }, dial.name), ": ");
    says.append(element("code", {}, dial.formula));
  }

  // --- what is shown

  function element(name, attributes = {}, ...content) {
    const made = name.startsWith("svg:")
      ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
      : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...content);
    return made;
  }

  function fill() {
    dials.append(...EXPLORER.dials.map((dial) => element("option", {}, dial.title)));
    for (const [select, count] of [[layers, EXPLORER.layers], [heads, EXPLORER.heads]]) {
      select.append(...Array.from({ length: count }, (_, index) => element("option", {}, String(index))));
    }
    layers.selectedIndex = EXPLORER.start.layer;
    heads.selectedIndex = EXPLORER.start.head;
    words.forEach((word, index) => {
      const radio = element("input", { type: "radio", name: "word", value: index });
      radio.checked = index === EXPLORER.start.word;
      form.querySelector("fieldset").append(element("label", {}, radio, element("span", {}, word)), " ");
      const bar = element("td", {}, element("div", { class: "explorer-track" },
        element("div", { class: "explorer-bar" }), element("div", { class: "explorer-mark" })));
      root.querySelector("tbody").append(element("tr", {},
        element("th", { scope: "row" }, word), element("td", { class: "explorer-number" }), bar));
    });
    drawFrame();
  }

  function drawFrame() {
    const map = root.querySelector("svg");
    const size = MARGIN + n * CELL;
    map.setAttribute("viewBox", `0 0 ${size} ${size}`);
    for (let i = 0; i < n; i++) {
      const middle = MARGIN + (i + 0.5) * CELL;
      map.append(element("svg:text", { x: MARGIN - 6, y: middle, class: "explorer-query" }, words[i]));
      const turned = `translate(${middle} ${MARGIN - 6}) rotate(-90)`;
      map.append(element("svg:text", { transform: turned, class: "explorer-key" }, words[i]));
      for (let j = 0; j < n; j++) {
        const place = { x: MARGIN + j * CELL, y: MARGIN + i * CELL, width: CELL, height: CELL };
        map.append(element("svg:rect", { ...place, class: "explorer-cell", "data-row": i }));
      }
    }
    map.append(element("svg:rect", { x: MARGIN, width: n * CELL, height: CELL, class: "explorer-frame" }));
  }

  function draw(dial, { weight, sum }) {
    const stop = Number(slider.value);
    const value = String(dial.stops[stop]).replace("-", "−");
    const word = asking();
    const row = rowOf(word);
    root.querySelector("#explorer-value").textContent = value;
    slider.setAttribute("aria-valuetext", `${dial.parameter} ${value}`);
    root.querySelector("caption").textContent = `What “${words[word]}” reads`;
    const place = (at) => `${(100 * (at - dial.low)) / (1 - dial.low)}%`;
    root.querySelectorAll("tbody tr").forEach((line, column) => {
      const here = weight(row, column, stop);
      line.querySelector(".explorer-number").textContent = shown(here);
      const bar = line.querySelector(".explorer-bar");
      bar.style.left = place(Math.min(here, 0));
      bar.style.width = `${(100 * Math.abs(here)) / (1 - dial.low)}%`;
      bar.classList.toggle("explorer-negative", here < 0);
      line.querySelector(".explorer-mark").style.left = place(plain.weight(row, column, 0));
    });
    root.classList.toggle("explorer-signed", dial.low < 0);
    const colors = EXPLORER.colors[dial.low < 0 ? "signed" : "weights"];
    root.querySelectorAll(".explorer-cell").forEach((cell, at) => {
      const share = (weight(rowOf(Math.floor(at / n)), at % n, stop) - dial.low) / (1 - dial.low);
      cell.setAttribute("fill", colors[Math.round(share * (colors.length - 1))]);
    });
    root.querySelector(".explorer-frame").setAttribute("y", MARGIN + word * CELL);
    root.querySelector(".explorer-sum").textContent = `The weights add up to ${shown(sum(row, stop))}.`;
    root.dataset.shown = `${dial.slug} ${stop}`;
  }

  // An exact zero is told from a small weight.
  function shown(number) {
    return number === 0 ? "0" : number.toFixed(2).replace("-", "−");
  }

  function update() {
    const dial = chosen();
    // The reader may have chosen another one by the time the weights are there.
    const drawIfStill = (data) => dial === chosen() && draw(dial, data);
    return view(dial).then(drawIfStill).catch(giveUp);
  }

  function giveUp(problem) {
    root.querySelector(".explorer-says").textContent = `The explorer cannot show this: ${problem.message}`;
  }

  function follow() {
    const dial = EXPLORER.dials.find(({ slug }) => `#${slug}` === location.hash);
    if (!dial) return;
    turnTo(dial);
    update();
    scrollTo(0, 0);
  }

  async function start() {
    fill();
    turnTo(EXPLORER.dials[0]);
    plain = await unpacked(EXPLORER.plain, 1, 0);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", ({ target }) => {
      if (target === dials) turnTo(chosen());
      update();
    });
    root.querySelector("svg").addEventListener("click", ({ target }) => {
      if (target.dataset.row === undefined) return;
      form.elements.word.value = target.dataset.row;
      update();
    });
    addEventListener("hashchange", follow);
    await update();
    follow();
  }

  start().catch(giveUp);
})();
