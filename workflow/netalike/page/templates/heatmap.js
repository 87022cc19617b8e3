// A heatmap that the pointer and the arrow keys read, with a table that says the same.
netalike.heatmap = (library, place, pick) => {
  const { element, escaped, looks, OPTIONS, inWords, roomIn, widthOf } = netalike;
  const SIZE = 11; // pixels of the letters of the axes
  let spec = null;
  let at = null;

  const roomFor = (names) => Math.max(30, ...names.map((name) => widthOf(name, SIZE))) + 16;
  const layoutOf = () => {
    const side = roomFor(spec.y);
    const below = roomFor(spec.x);
    const free = roomIn(place.parentElement) - side - 16;
    // a finger needs more room than a pointer: what is wider than the window scrolls in its own box
    const least = matchMedia("screen and ((pointer: coarse) or (max-width: 600px))").matches ? 20 : 11;
    const cell = Math.max(least, Math.min(42, free / spec.x.length));
    const axis = { type: "category", showgrid: false, zeroline: false, fixedrange: true, tickfont: { size: SIZE }, ticks: "outside", ticklen: 4, tickcolor: "rgba(0,0,0,0)" };
    // names stand at every cell, which Plotly would thin out
    const every = (names) => ({ tickmode: "array", tickvals: names.map((_, i) => i), ticktext: names.map(escaped) });
    return {
      ...looks(), plot_bgcolor: "#aab2bd", margin: { l: side, r: 16, t: 62, b: below },
      width: Math.max(side + 16 + cell * spec.x.length, Math.min(320, roomIn(place.parentElement))),
      height: Math.max(120, cell * spec.y.length) + 62 + below,
      hoverlabel: { align: "left", font: { size: 12.5 } },
      xaxis: { ...axis, ...every(spec.x), tickangle: 90 }, yaxis: { ...axis, ...every(spec.y), autorange: "reversed" },
    };
  };
  // where the figure is wider than the window, its key stays in sight
  const keyOf = (layout) => {
    const window = roomIn(place.parentElement);
    if (layout.width > window) return { x: 0, xref: "container", len: Math.min(300, window - 10) };
    return { x: 0, len: Math.max(150, Math.min(300, layout.width - layout.margin.l - 16)) };
  };
  const traceOf = (layout) => ({
    type: "heatmap", z: spec.z, x: spec.x.map((_, i) => i), y: spec.y.map((_, i) => i), ...spec.scale, xgap: 1, ygap: 1,
    text: spec.words.map((line) => line.map((lines) => lines.map(escaped).join("<br>"))),
    hovertemplate: "%{text}<extra></extra>", hoverongaps: true,
    colorbar: {
      orientation: "h", thickness: 11, outlinewidth: 0, xanchor: "left", y: 1, yanchor: "bottom", ypad: 6,
      lenmode: "pixels", ...keyOf(layout),
      title: { text: escaped(spec.title), side: "top", font: { size: 12 } }, tickfont: { size: 11 },
    },
  });
  const hover = () => library.Fx.hover(place, { xval: at[1], yval: at[0] }, "xy");
  const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const within = (number, count) => Math.max(0, Math.min(count - 1, number));
  place.addEventListener("keydown", (event) => {
    if (!spec || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in STEPS) {
      const [down, right] = STEPS[event.key];
      at = at ? [within(at[0] + down, spec.y.length), within(at[1] + right, spec.x.length)] : [0, 0];
      hover();
      pick(...at);
    } else if (event.key === "Escape") {
      at = null;
      library.Fx.unhover(place);
    } else return;
    event.preventDefault();
  });

  const numberOf = (value) => (value === null ? "" : inWords(value, 3));
  const tableOf = () => {
    const table = element("table", undefined, { class: "matrix" });
    const head = element("tr");
    head.append(element("td"), ...spec.x.map((name) => element("th", name, { scope: "col" })));
    table.append(element("thead"), element("tbody"));
    table.tHead.append(head);
    spec.y.forEach((name, i) => {
      const row = element("tr");
      row.append(element("th", name, { scope: "row" }));
      spec.z[i].forEach((value, j) => row.append(element("td", numberOf(value), { class: "number", title: spec.words[i][j].join("\n") })));
      table.tBodies[0].append(row);
    });
    return table;
  };
  const draw = (given) => {
    if (given) { spec = given; at = null; }
    const layout = layoutOf();
    library.react(place, [traceOf(layout)], layout, OPTIONS);
    place.removeAllListeners("plotly_click");
    place.on("plotly_click", (event) => { at = [event.points[0].y, event.points[0].x]; pick(...at); });
  };
  return { draw, tableOf };
};

// A folded table is made when it is opened, and again when the figure beside it changes.
netalike.folded = (details, make) => {
  const fill = () => { if (details.open) details.querySelector(".scroll").replaceChildren(make()); };
  details.addEventListener("toggle", fill);
  window.addEventListener("beforeprint", fill);
  return fill;
};
