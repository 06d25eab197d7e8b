document.querySelectorAll("table.sortable").forEach(table => {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const rising = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const key = row => row.cells[column].dataset.value ?? "";
    const number = head.dataset.kind === "number";
    const rows = [...table.tBodies[0].rows].sort((one, two) => {
      const a = key(one), b = key(two);
      if (a === "" || b === "") return (a === "") - (b === "");
      return (rising ? 1 : -1) * (number ? a - b : a.localeCompare(b, undefined, {numeric: true}));
    });
    table.tBodies[0].append(...rows);
  }));
});
