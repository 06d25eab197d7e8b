(() => {
  const root = document.currentScript.previousElementSibling, data = JSON.parse(root.querySelector("script").textContent);
  const middle = Math.floor(data.layers.length / 2);
  const state = {layer: data.layers[middle], scale: null, query: 0, before: null};
  const scalesOf = layer => Object.keys(data.neighbours[layer]);
  state.scale = data.scales.find(scale => scalesOf(state.layer).includes(scale));
  const W = 560, H = 260, LEFT = 44, BOTTOM = 34, TOP = 10, RIGHT = 10;
  const x = layer => LEFT + data.layers.indexOf(layer) * (W - LEFT - RIGHT) / Math.max(1, data.layers.length - 1);
  const y = value => H - BOTTOM - value * (H - BOTTOM - TOP);
  const svgNS = "http://www.w3.org/2000/svg";

  function element(tag, attributes = {}, children = []) {
    const made = ["svg", "path", "circle", "text", "line", "title"].includes(tag) ? document.createElementNS(svgNS, tag)
      : document.createElement(tag);
    Object.entries(attributes).forEach(([name, value]) => typeof value === "function" ? made[name] = value
      : made.setAttribute(name, value));
    made.append(...children);
    return made;
  }

  function select(change) {
    state.before = "query" in change ? null : {layer: state.layer, scale: state.scale};
    Object.assign(state, change);
    if (!scalesOf(state.layer).includes(state.scale)) state.scale = scalesOf(state.layer)[0];
    draw();
  }

  const pressed = action => ({onclick: action, onkeydown: event => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); action(); } }});

  function curves() {
    const marks = [0, .25, .5, .75, 1].flatMap(value => [
      element("line", {x1: LEFT, x2: W - RIGHT, y1: y(value), y2: y(value), class: "rule"}),
      element("text", {x: LEFT - 6, y: y(value) + 4, "text-anchor": "end"}, [String(value)])]);
    const step = Math.ceil(data.layers.length / 14);
    data.layers.forEach((layer, place) => place % step || marks.push(
      element("text", {x: x(layer), y: H - BOTTOM + 16, "text-anchor": "middle"}, [String(place)])));
    marks.push(element("text", {x: W / 2, y: H - 3, "text-anchor": "middle"}, ["layer"]),
      element("text", {x: LEFT + 6, y: TOP + 14}, [data.label]));
    const order = data.scales.filter(scale => scale !== state.scale).concat(state.scale);
    order.filter(scale => data.curves[scale]).forEach(scale => {
      const chosen = scale === state.scale, points = data.layers.filter(layer => layer in data.curves[scale]);
      marks.push(element("path", {class: chosen ? "curve chosen" : "curve", d: points.map((layer, place) =>
        (place ? "L" : "M") + x(layer) + " " + y(data.curves[scale][layer])).join("")}));
      points.forEach(layer => {
        const here = chosen && layer === state.layer, told = `${layer}, scale ${scale}: ${data.curves[scale][layer]}`;
        marks.push(element("circle", {cx: x(layer), cy: y(data.curves[scale][layer]), r: here ? 7 : 4, tabindex: 0,
          role: "button", "aria-label": told, "data-layer": layer, "data-scale": scale,
          class: here ? "here" : chosen ? "chosen" : "", ...pressed(() => select({layer, scale}))},
          [element("title", {}, [told])]));
      });
    });
    return element("svg", {viewBox: `0 0 ${W} ${H}`, role: "group", "aria-label": data.label}, marks);
  }

  function picture(number, kind, action) {
    const side = 44, row = Math.floor(number / data.columns), column = number % data.columns;
    const name = data.classes ? data.names[data.classes[number]] ?? String(data.classes[number]) : "";
    const attributes = {class: "picture " + kind, title: name, "data-number": number, style:
      `background-image:url(${root.dataset.sprite});background-size:${data.columns * side}px;` +
      `background-position:${-column * side}px ${-row * side}px`};
    return action ? element("button", {type: "button", "aria-label": `image ${number} ${name}`, ...attributes,
      onclick: action}) : element("span", attributes);
  }

  function neighbours({layer, scale}) {
    const query = data.queries[state.query];
    const found = data.neighbours[layer][scale][state.query].map(number => picture(number, !data.classes ? "" :
      data.classes[number] === data.classes[query] ? "same" : "other"));
    return element("div", {class: "neighbours"}, [element("div", {class: "name"}, [`${layer}, scale ${scale}`]),
      picture(query, "query"), ...found]);
  }

  function draw() {
    const scales = data.scales.map(scale => element("button", {type: "button", "aria-pressed": scale === state.scale,
      ...(scalesOf(state.layer).includes(scale) ? {} : {disabled: ""}), onclick: () => select({scale})}, [scale]));
    const queries = data.queries.map((number, place) => picture(number, place === state.query ? "query" : "",
      () => select({query: place})));
    const rows = [neighbours(state), ...(state.before ? [neighbours(state.before)] : [])];
    root.replaceChildren(element("div", {class: "controls"}, ["scale ", ...scales]), curves(),
      element("div", {class: "rows"}, rows), element("div", {class: "queries"}, queries));
  }
  draw();
})();
