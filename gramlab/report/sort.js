for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.disabled = false;
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const number = head.dataset.kind === "number";
      const value = (row) => {
        const text = row.cells[column].dataset.value ?? row.cells[column].textContent;
        return number ? Number(text) : text;
      };
      const order = (a, b) =>
        number ? value(a) - value(b) : value(a).localeCompare(value(b), "en", { numeric: true });
      const rows = [...body.rows].sort((a, b) => (falling ? order(b, a) : order(a, b)));
      body.append(...rows);
    });
  });
}
