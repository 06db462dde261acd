// Fields above the table of properties that leave only the rows asked for. Without scripts the table is simply whole.
(() => {
  "use strict";

  const element = (name, properties, ...children) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  };

  for (const box of document.querySelectorAll(".atlas-properties")) {
    const table = box.querySelector("table");
    const heads = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    const rows = [...table.querySelectorAll("tbody tr")].map((row) => ({
      row,
      cells: [...row.cells].map((cell) => cell.textContent.trim()),
    }));
    const conditions = [];

    const search = element("input", { type: "search", placeholder: "name or cost", ariaLabel: "name or cost" });
    conditions.push((cells) => {
      const wanted = search.value.trim().toLowerCase();
      return [cells[0], cells.at(-1)].some((cell) => cell.toLowerCase().includes(wanted));
    });
    const fields = [search];

    for (const head of ["family", "result"]) {
      const column = heads.indexOf(head);
      const kind = (cell) => (cell.startsWith("for ") ? "approximate" : cell);
      const values = [...new Set(rows.map(({ cells }) => kind(cells[column])))];
      const select = element("select", { ariaLabel: head }, element("option", { value: "" }, `every ${head}`));
      select.append(...values.map((value) => element("option", { value }, value)));
      conditions.push((cells) => !select.value || kind(cells[column]) === select.value);
      fields.push(select);
    }

    heads.forEach((head, column) => {
      if (!rows.every(({ cells }) => ["yes", "–"].includes(cells[column]))) return;
      const tick = element("input", { type: "checkbox" });
      conditions.push((cells) => !tick.checked || cells[column] === "yes");
      fields.push(element("label", {}, tick, ` ${head}`));
    });

    const count = element("output", {});
    const update = () => {
      let shown = 0;
      for (const { row, cells } of rows) {
        row.hidden = !conditions.every((holds) => holds(cells));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = `${shown} of ${rows.length}`;
    };
    const form = element("form", { className: "atlas-filter" }, ...fields, count);
    form.addEventListener("input", update);
    form.addEventListener("submit", (event) => event.preventDefault());
    box.prepend(form);
    update();
  }
})();
