// Filters of gallery and board, and pictures in place of explorers. No library, nothing from elsewhere.
function filters(form) {
  const items = [...document.querySelectorAll(form.dataset.filters)];
  const words = items.map(item => item.textContent.toLowerCase() + " " + (item.querySelector("img")?.alt.toLowerCase() ?? ""));
  const apply = () => {
    const values = Object.fromEntries(new FormData(form));
    let shown = 0;
    items.forEach((item, number) => {
      const fits = Object.entries(values).every(([name, value]) => !value
        || (name === "words" ? value.toLowerCase().split(/\s+/).every(word => words[number].includes(word))
          : (item.dataset[name] ?? "").split("|").includes(value)));
      item.hidden = !fits;
      shown += fits;
    });
    form.querySelector("output").textContent = `${shown} of ${items.length}`;
    document.querySelectorAll("[data-picture-of]").forEach(one => {
      one.hidden = !one.dataset.pictureOf.split("|").includes(values.about);
    });
    const asked = new URLSearchParams(Object.entries(values).filter(([, value]) => value)).toString();
    history.replaceState(null, "", location.pathname + (asked ? `?${asked}` : "") + location.hash);
    if (values.about || shown <= 3) items.forEach(item => { if (!item.hidden && item.tagName === "DETAILS") item.open = true; });
  };
  new URLSearchParams(location.search).forEach((value, name) => {
    if (form.elements[name]) form.elements[name].value = value;
  });
  form.addEventListener("input", apply);
  form.addEventListener("submit", event => event.preventDefault());
  apply();
  if (location.search) form.querySelector("output").scrollIntoView();
}

function open() {
  const item = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!item || item.tagName !== "DETAILS") return;
  item.open = true;
  item.hidden = false;
  item.scrollIntoView();
}

function states(box) {
  const picture = box.querySelector("img"), all = JSON.parse(box.querySelector("script").textContent);
  box.addEventListener("change", () => {
    const chosen = [...box.querySelectorAll("input:checked")].map(input => input.value).join("-");
    const state = all.find(one => one.state === chosen);
    picture.src = box.dataset.folder + state.file;
    picture.alt = state.alt;
  });
}

document.querySelectorAll("form[data-filters]").forEach(filters);
document.querySelectorAll(".states").forEach(states);
addEventListener("hashchange", open);
open();
