"use strict";
// Draws the maps from the data inside the page. A weight is kept as one byte, 255 times its cube root.
(async () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { words, layers, heads, formulations } = data;
  const n = words.length;
  if (!formulations.length) return;

  const levels = await inflate(data.weights);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const MOST_WORDS = 30, CELL = 15, LONGEST = 11;
  const state = { formulation: 0, layer: 0, head: 0, word: 0, first: 0 };
  const byId = (id) => document.getElementById(id);

  async function inflate(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // One (n, n) map of levels: row i gives its weight to column j.
  function map(formulation, layer = state.layer, head = state.head) {
    const start = ((formulation * layers.length + layer) * heads.length + head) * n * n;
    return levels.subarray(start, start + n * n);
  }
  const weightOf = (level) => (level / 255) ** 3;

  function colorBytes(level) {
    const hex = dark.matches ? data.dark : data.light;
    return [0, 2, 4].map((part) => parseInt(hex.slice(6 * level + part, 6 * level + part + 2), 16));
  }
  let colors = [];
  function readColors() {
    colors = Array.from({ length: 256 }, (_, level) => colorBytes(level));
  }
  const css = (level) => `rgb(${colors[level].join(",")})`;
  // Black or white, whichever stands out more on a tint (relative luminance, as the contrast of the web standards).
  function inkOn(level) {
    const [r, g, b] = colors[level].map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#111" : "#fff";
  }

  function show(weight) {
    if (weight === 0) return "0";
    return weight >= 0.1 ? weight.toFixed(2) : weight >= 0.0005 ? weight.toFixed(3) : "< 0.001";
  }
  const isPiece = (word) => word.startsWith("##");
  const plain = (word) => (isPiece(word) ? "-" + word.slice(2) : word);
  const short = (word) => (plain(word).length > LONGEST ? plain(word).slice(0, LONGEST - 1) + "…" : plain(word));

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }
  function svg(tag, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }
  const press = (button, pressed) => button.setAttribute("aria-pressed", String(pressed));

  function choose(change) {
    Object.assign(state, change);
    draw();
  }

  // The chooser of formulations, the small maps of all heads, the words of the text: made once, updated by draw().
  formulations.forEach((formulation, number) => {
    const button = element("button", { type: "button", textContent: formulation.name, title: formulation.title });
    button.onclick = () => choose({ formulation: number });
    byId("formulations").append(button);
  });

  const thumbnails = [];
  byId("heads").style.gridTemplateColumns = `auto repeat(${heads.length}, minmax(3.2rem, 6rem))`;
  byId("heads").append(element("span"), ...heads.map((head) => element("span", { textContent: head })));
  layers.forEach((layer, row) => {
    byId("heads").append(element("span", { textContent: layer }));
    heads.forEach((head, column) => {
      const canvas = element("canvas", { width: n, height: n });
      const button = element("button", { type: "button", title: `layer ${layer}, head ${head}` }, canvas);
      button.setAttribute("aria-label", `layer ${layer}, head ${head}`);
      button.onclick = () => choose({ layer: row, head: column });
      thumbnails.push({ row, column, canvas, button });
      byId("heads").append(button);
    });
  });

  const textWords = words.map((word, place) => {
    const joined = isPiece(word) || /^[,.;:?!)]$/.test(word);
    const button = element("button", { type: "button", textContent: isPiece(word) ? word.slice(2) : word });
    if (joined) button.className = "piece";
    button.onclick = () => choose({ word: place });
    byId("text").append(joined || place === 0 ? "" : " ", button);
    return button;
  });

  const panels = formulations.map((formulation) => {
    const canvas = svg("svg", { role: "img", "aria-label": `weights of ${formulation.name}` });
    const readout = element("span");
    const caption = element("figcaption", {}, element("code", { textContent: formulation.name }), readout);
    byId("panels").append(element("figure", {}, caption, canvas));
    return { canvas, readout, cross: null };
  });

  function drawHeads() {
    for (const { row, column, canvas, button } of thumbnails) {
      press(button, row === state.layer && column === state.head);
      const context = canvas.getContext("2d");
      const image = context.createImageData(n, n);
      map(state.formulation, row, column).forEach((level, place) => image.data.set([...colors[level], 255], 4 * place));
      context.putImageData(image, 0, 0);
    }
  }

  function drawText() {
    const row = map(state.formulation).subarray(n * state.word, n * (state.word + 1));
    textWords.forEach((button, place) => {
      press(button, place === state.word);
      button.style.background = css(row[place]);
      button.style.color = inkOn(row[place]);
      button.title = `${plain(words[state.word])} → ${plain(words[place])}: ${show(weightOf(row[place]))}`;
    });
    const order = [...row.keys()].sort((a, b) => row[b] - row[a]).filter((place) => row[place] > 0).slice(0, 6);
    const sum = row.reduce((total, level) => total + weightOf(level), 0);
    byId("asks").textContent = order.length
      ? `“${plain(words[state.word])}” gives most weight to (all weights together ${sum.toFixed(2)}):`
      : `“${plain(words[state.word])}” gives no weight to any word.`;
    byId("most").replaceChildren(
      ...order.map((place) => {
        const bar = element("i");
        bar.style.width = `${(100 * weightOf(row[place])) / weightOf(row[order[0]])}%`;
        const value = element("b", { textContent: show(weightOf(row[place])) });
        return element("li", {}, element("span", { textContent: plain(words[place]) }), bar, value);
      }),
    );
  }

  function drawLegend() {
    const whole = byId("legend").clientWidth;
    const width = whole - 24, height = 12;
    const ticks = [0, ...(whole < 400 ? [] : [0.001]), 0.01, 0.05, 0.1, 0.25, 0.5, 1];
    const picture = svg("svg", { viewBox: `-12 0 ${whole} 46`, role: "img", "aria-label": "scale of the weights, 0 to 1" });
    for (let level = 0; level < 256; level += 1) {
      picture.append(svg("rect", { x: (level * width) / 256, y: 2, width: width / 256 + 0.6, height, fill: css(level) }));
    }
    picture.append(svg("rect", { x: 0, y: 2, width, height, class: "frame" }));
    for (const weight of ticks) {
      picture.append(svg("text", { x: width * Math.cbrt(weight), y: 28, "text-anchor": "middle", class: "quiet" }, weight));
    }
    picture.append(svg("text", { x: width / 2, y: 43, "text-anchor": "middle", class: "quiet" }, "weight, on a cube root scale"));
    byId("legend").replaceChildren(picture);
  }

  function layout() {
    const width = panels[0].canvas.parentElement.clientWidth;
    const label = width < 420 ? 66 : 80;
    const count = Math.max(4, Math.min(MOST_WORDS, n, Math.floor((width - label) / CELL)));
    return { width, label, count, cell: (width - label) / count };
  }

  function drawPanels() {
    const { width, label, count, cell } = layout();
    state.first = Math.max(0, Math.min(state.first, n - count));
    byId("window").max = n - count;
    byId("window").value = state.first;
    byId("range").textContent = `${state.first + 1} to ${state.first + count} of ${n}`;
    const shown = Array.from({ length: count }, (_, place) => state.first + place);
    panels.forEach((panel, number) => {
      const levelsHere = map(number);
      const parts = [];
      shown.forEach((word, place) => {
        const middle = label + (place + 0.5) * cell + 4;
        const kind = { class: word === state.word ? "chosen" : "" };
        parts.push(svg("text", { x: label - 6, y: middle, "text-anchor": "end", ...kind }, short(words[word])));
        parts.push(svg("text", { transform: `translate(${middle},${label - 6}) rotate(-90)`, ...kind }, short(words[word])));
      });
      shown.forEach((query, i) =>
        shown.forEach((key, j) => {
          const place = { x: label + j * cell, y: label + i * cell, width: cell + 0.4, height: cell + 0.4 };
          parts.push(svg("rect", { ...place, fill: css(levelsHere[n * query + key]) }));
        }),
      );
      const side = count * cell;
      parts.push(svg("rect", { x: label, y: label, width: side, height: side, class: "frame" }));
      if (shown.includes(state.word)) {
        const y = label + (state.word - state.first) * cell;
        parts.push(svg("rect", { x: label, y, width: side, height: cell, class: "row" }));
      }
      panel.cross = svg("rect", { width: cell, height: cell, class: "cross", visibility: "hidden" });
      panel.canvas.setAttribute("viewBox", `0 0 ${width} ${label + side + 1}`);
      panel.canvas.replaceChildren(...parts, panel.cross);
      panel.canvas.onpointermove = (event) => point(cellAt(event, panel.canvas));
      panel.canvas.onpointerleave = () => point(null);
      panel.canvas.onclick = (event) => {
        const at = cellAt(event, panel.canvas, true);
        if (at) choose({ word: at.query, formulation: number });
      };
    });
    point(null);
  }

  // The cell under the pointer; with `labels` also the row whose label is pointed at.
  function cellAt(event, canvas, labels = false) {
    const { label, count, cell } = layout();
    const box = canvas.getBoundingClientRect();
    const j = Math.floor((event.clientX - box.left - label) / cell);
    const i = Math.floor((event.clientY - box.top - label) / cell);
    const inside = i >= 0 && i < count && j < count && (labels || j >= 0);
    return inside ? { query: state.first + i, key: state.first + Math.max(j, 0) } : null;
  }

  function point(at) {
    const { label, cell } = layout();
    panels.forEach((panel, number) => {
      const here = map(number);
      if (at) {
        panel.cross.setAttribute("x", label + (at.key - state.first) * cell);
        panel.cross.setAttribute("y", label + (at.query - state.first) * cell);
        const weight = show(weightOf(here[n * at.query + at.key]));
        panel.readout.textContent = `${plain(words[at.query])} → ${plain(words[at.key])}: ${weight}`;
      } else {
        panel.readout.textContent = `largest weight of this head: ${show(weightOf(here.reduce((a, b) => Math.max(a, b), 0)))}`;
      }
      panel.cross.setAttribute("visibility", at ? "visible" : "hidden");
    });
  }

  function keepWordInSight() {
    const { count } = layout();
    if (state.word < state.first || state.word >= state.first + count) {
      state.first = Math.max(0, Math.min(n - count, state.word - Math.floor(count / 3)));
    }
  }

  // Begin where there is most to see: with the head whose largest weights are largest, and among the first words with
  // the one that gives most weight to another word of the text.
  function beginWhereThereIsMostToSee() {
    const largest = (levels) => levels.reduce((a, b) => Math.max(a, b), 0);
    const rowOf = (levels, i) => levels.subarray(n * i, n * (i + 1));
    const places = [...words.keys()];
    const best = (things, score) => things.reduce((a, b) => (score(b) > score(a) ? b : a));
    const decided = ({ row, column }) => places.reduce((sum, i) => sum + largest(rowOf(map(0, row, column), i)), 0);
    const { row, column } = best(thumbnails, decided);
    Object.assign(state, { layer: row, head: column });
    const isWord = (place) => /^\p{L}+$/u.test(words[place]);
    const toAnother = (i) => largest(rowOf(map(0), i).filter((_, j) => j !== i && isWord(j)));
    state.word = best(places.slice(0, 12).filter(isWord), toAnother);
  }

  let drawnWord = null;
  function draw() {
    [...byId("formulations").children].forEach((button, number) => press(button, number === state.formulation));
    if (state.word !== drawnWord) keepWordInSight();
    drawnWord = state.word;
    drawHeads();
    drawText();
    drawPanels();
  }

  function drawAll() {
    readColors();
    drawLegend();
    draw();
  }

  byId("window").oninput = () => choose({ first: Number(byId("window").value) });
  dark.addEventListener("change", drawAll);
  let width = document.body.clientWidth;
  addEventListener("resize", () => {
    if (document.body.clientWidth !== width) {
      width = document.body.clientWidth;
      drawLegend();
      draw();
    }
  });
  beginWhereThereIsMostToSee();
  drawAll();
})();
