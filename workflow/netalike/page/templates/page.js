(() => {
  const { element, byId, thousands, inWords, collator, MAGMA, BLUE_RED, escaped, looks, OPTIONS, load, redraw } = netalike;

  // ---- the table, unpacked -------------------------------------------------------------------------------------
  const packed = JSON.parse(document.getElementById("table-data").textContent);
  const total = packed.n;

  const unpack = (column) => {
    if (column.list) return column.list;
    const items = new Array(total);
    let at = 0;
    for (let i = 0; i < column.runs.length; i += 2) {
      items.fill(column.runs[i], at, at + column.runs[i + 1]);
      at += column.runs[i + 1];
    }
    return items;
  };

  const columns = packed.columns.map((column) => ({
    name: column.name,
    texts: column.texts || null,
    numeric: Boolean(column.numeric) || !column.texts,
    items: unpack(column),
  }));
  const byName = new Map(columns.map((column) => [column.name, column]));
  const textOf = (column, row) => (column.texts ? column.texts[column.items[row]] : column.items[row]);
  const cell = (name, row) => (byName.has(name) ? textOf(byName.get(name), row) : "");

  // ---- sorting: each text has a rank, so that rows compare by numbers --------------------------------------------
  const ranks = (column) => {
    if (column.ranks) return column.ranks;
    if (!column.texts) return (column.ranks = column.items);
    const compare = column.numeric
      ? (a, b) => Number(column.texts[a]) - Number(column.texts[b])
      : (a, b) => collator.compare(column.texts[a], column.texts[b]);
    const rank = new Array(column.texts.length);
    column.texts.map((_, code) => code).sort(compare).forEach((code, place) => {
      rank[code] = column.texts[code] === "" ? null : place;
    });
    return (column.ranks = column.items.map((code) => rank[code]));
  };
  const sorted = (rows, column, direction) => {
    const sign = direction === "descending" ? -1 : 1;
    // a missing value is last in both directions: it is neither the smallest nor the largest
    const keys = Float64Array.from(ranks(column), (rank) => (rank === null ? Infinity : sign * rank));
    return Uint32Array.from(rows).sort((a, b) => keys[a] - keys[b] || a - b);
  };

  // ---- filtering -----------------------------------------------------------------------------------------------
  const state = { filters: new Map(), text: "", sort: null, direction: "ascending", page: 0, rows: [] };

  const hasPairs = (text, wanted) => {
    const pairs = new Set(text.split(";"));
    return wanted.split(";").every((pair) => pairs.has(pair));
  };
  const matches = (name, text, wanted) => {
    if (name === "status" && wanted === "undefined") return text !== "ok";
    if (name === "condition" && wanted !== "") return hasPairs(text, wanted);
    return text === wanted;
  };
  const accepted = (column, test) => column.texts.map(test);
  const filterOf = (name, wanted) => {
    const sides = (name === "network" ? ["network_a", "network_b"] : [name]).map((side) => byName.get(side));
    if (sides.some((side) => !side)) return () => false;
    if (!sides[0].texts) return (row) => wanted.includes(String(sides[0].items[row]));
    const allowed = sides.map((side) => accepted(side, (text) => wanted.some((one) => matches(name, text, one))));
    return (row) => sides.some((side, i) => allowed[i][side.items[row]]);
  };
  const searchFor = (word) => {
    const named = columns.filter((column) => column.texts);
    const allowed = named.map((column) => accepted(column, (text) => text.toLowerCase().includes(word)));
    return (row) => named.some((column, i) => allowed[i][column.items[row]]);
  };
  const select = () => {
    const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
    const tests = [...[...state.filters].map(([name, wanted]) => filterOf(name, wanted)), ...words.map(searchFor)];
    const rows = [];
    for (let row = 0; row < total; row += 1) if (tests.every((test) => test(row))) rows.push(row);
    state.rows = state.sort ? sorted(rows, byName.get(state.sort), state.direction) : rows;
    const last = Math.max(0, Math.ceil(state.rows.length / pageSize()) - 1);
    state.page = Math.min(state.page, last);
  };

  // ---- drawing the table ---------------------------------------------------------------------------------------
  const table = byId("measurements");
  const isEmpty = (column) => (column.texts ? column.texts.every((text) => text === "") : column.items.every((x) => x === null));
  const shownColumns = columns.filter((column) => !isEmpty(column) || column.name === "value");
  const pageSize = () => Number(byId("page-size").value);
  const spoken = (name) => name.replace(/_/g, " ");

  const drawHead = () => {
    const row = element("tr");
    for (const column of shownColumns) {
      const head = element("th", undefined, { scope: "col", "aria-sort": "none", "data-column": column.name });
      if (column.numeric) head.className = "number";
      const button = element("button", spoken(column.name), { type: "button" });
      button.addEventListener("click", () => sortBy(column.name));
      head.append(button);
      row.append(head);
    }
    table.tHead.replaceChildren(row);
  };
  const sortBy = (name) => {
    const again = state.sort === name && state.direction === "ascending";
    state.sort = name;
    state.direction = again ? "descending" : "ascending";
    state.page = 0;
    update();
  };
  const markSort = () => {
    for (const head of table.tHead.rows[0].cells) {
      head.setAttribute("aria-sort", head.dataset.column === state.sort ? state.direction : "none");
    }
  };
  const drawCell = (column, row) => {
    const content = textOf(column, row);
    const made = element("td");
    if (column.numeric) made.className = "number";
    if (column.name === "value" && content === null) {
      made.append(element("span", "undefined", { class: "undefined", title: cell("status", row) }));
    } else if (column.name === "status") {
      made.textContent = content;
      if (content !== "ok") made.className = "reason";
    } else {
      made.textContent = column.texts ? content : inWords(content);
      if (made.textContent.length > 40) made.title = made.textContent;
    }
    return made;
  };
  const drawBody = () => {
    const first = state.page * pageSize();
    const rows = Array.from(state.rows.slice(first, first + pageSize()), (row) => {
      const made = element("tr");
      made.append(...shownColumns.map((column) => drawCell(column, row)));
      return made;
    });
    if (!rows.length) {
      const none = element("tr");
      none.append(element("td", "No row matches these filters.", { colspan: String(shownColumns.length) }));
      rows.push(none);
    }
    table.tBodies[0].replaceChildren(...rows);
    drawPager(first);
  };
  const drawPager = (first) => {
    const n = state.rows.length;
    const end = Math.min(first + pageSize(), n);
    const of = n === total ? `${thousands(total)} rows` : `${thousands(n)} matching rows (of ${thousands(total)})`;
    byId("shown").textContent = n ? `${thousands(first + 1)} to ${thousands(end)} of ${of}` : `0 of ${thousands(total)} rows match`;
    byId("page-number").textContent = `${thousands(state.page + 1)} / ${thousands(Math.max(1, Math.ceil(n / pageSize())))}`;
    byId("previous").disabled = state.page === 0;
    byId("next").disabled = end >= n;
  };

  // ---- filters: the form, the chips and the address say the same ------------------------------------------------
  const form = byId("filters");
  const selects = [...form.querySelectorAll("select")];
  const optionsOf = (name) => {
    if (name === "status") return ["ok", "undefined"];
    const sides = name === "network" ? ["network_a", "network_b"] : [name];
    const texts = sides.flatMap((side) => (byName.has(side) ? byName.get(side).texts : []));
    return [...new Set(texts)].filter((text) => text !== "").sort(collator.compare);
  };
  const fillSelects = () => {
    for (const chooser of selects) {
      chooser.append(element("option", "all", { value: "" }));
      for (const text of optionsOf(chooser.dataset.column)) chooser.append(element("option", text, { value: text }));
    }
  };
  const chooserFor = (name, wanted) => selects.find((chooser) =>
    chooser.dataset.column === name && wanted.length === 1 && optionsOf(name).includes(wanted[0]));
  const showFilters = () => {
    for (const chooser of selects) chooser.value = "";
    byId("filter-text").value = state.text;
    const chips = [];
    for (const [name, wanted] of state.filters) {
      const chooser = chooserFor(name, wanted);
      if (chooser) { chooser.value = wanted[0]; continue; }
      const words = `${spoken(name)}: ${wanted.map((one) => one || "empty").join(" or ")}`;
      const chip = element("button", `${words} ✕`, { type: "button", "aria-label": `Remove the filter ${words}` });
      chip.addEventListener("click", () => { state.filters.delete(name); state.page = 0; update(); });
      chips.push(chip);
    }
    byId("chips").replaceChildren(...chips);
  };
  const addressOf = (filters, text) => {
    const query = new URLSearchParams();
    for (const [name, wanted] of filters) for (const one of wanted) query.append(name, one);
    if (text) query.set("q", text);
    const words = query.toString();
    return words ? `#rows?${words}` : "#rows";
  };
  const writeAddress = () => {
    if (!location.hash.startsWith("#rows") && !state.filters.size && !state.text) return;
    try { history.replaceState(null, "", addressOf(state.filters, state.text)); } catch { /* an address is a convenience */ }
  };
  const readAddress = () => {
    const [place, query] = [location.hash.slice(0, 5), location.hash.slice(6)];
    if (place !== "#rows" || !query) return false;
    const given = new URLSearchParams(query);
    state.text = given.get("q") || "";
    state.filters = new Map([...new Set(given.keys())].filter((name) => name !== "q").map((name) => [name, given.getAll(name)]));
    state.page = 0;
    return true;
  };
  const update = (address = true) => {
    select();
    showFilters();
    markSort();
    drawBody();
    if (address) writeAddress();
  };
  const followAddress = () => {
    if (!readAddress()) return;
    update(false);
    byId("rows").scrollIntoView();
  };

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => { state.filters = new Map(); state.text = ""; state.page = 0; update(); });
  for (const chooser of selects) {
    chooser.addEventListener("change", () => {
      if (chooser.value) state.filters.set(chooser.dataset.column, [chooser.value]);
      else state.filters.delete(chooser.dataset.column);
      state.page = 0;
      update();
    });
  }
  let waiting = 0;
  byId("filter-text").addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { state.text = event.target.value; state.page = 0; update(); }, 120);
  });
  byId("page-size").addEventListener("change", () => { state.page = 0; update(); });
  byId("previous").addEventListener("click", () => { state.page -= 1; update(); });
  byId("next").addEventListener("click", () => { state.page += 1; update(); });
  window.addEventListener("hashchange", followAddress);

  drawHead();
  fillSelects();
  readAddress();
  update(false);
  if (location.hash.startsWith("#rows?")) byId("rows").scrollIntoView();
  const hiddenNames = columns.filter((column) => !shownColumns.includes(column)).map((column) => spoken(column.name));
  if (hiddenNames.length && total) byId("empty-columns").textContent = `Empty in every row, and so not shown: ${hiddenNames.join(", ")}.`;

  // ---- the explorer of layer pairs ------------------------------------------------------------------------------
  const explorer = byId("explorer");
  if (!explorer) return;
  const PANEL = ["paper", "experiment", "dataset", "split", "n_samples", "condition", "seed", "step"];
  const chooser = { panel: byId("explorer-panel"), pair: byId("explorer-pair"), measure: byId("explorer-measure") };
  let tree = null;
  let library = null;

  const branch = (map, key, make) => { if (!map.has(key)) map.set(key, make()); return map.get(key); };
  const codeOf = (name, row) => (byName.has(name) ? byName.get(name).items[row] : 0);
  const plant = () => {
    const panels = new Map();
    const found = new Map(); // codes of a row's names, to the rows of its measure: texts are put together once each
    const names = [...PANEL, "network_a", "network_b", "quantity", "estimator"];
    for (let row = 0; row < total; row += 1) {
      if (!cell("layer_a", row) || !cell("layer_b", row) || !cell("network_b", row)) continue;
      branch(found, names.map((name) => codeOf(name, row)).join(), () => {
        const panel = branch(panels, JSON.stringify(PANEL.map((name) => cell(name, row))), () => new Map());
        const pair = branch(panel, `${cell("network_a", row)} × ${cell("network_b", row)}`, () => new Map());
        return branch(pair, [cell("quantity", row), cell("estimator", row)].filter(Boolean).join(", "), () => []);
      }).push(row);
    }
    return panels;
  };
  const panelWords = (key) => {
    const [paper, experiment, dataset, split, n, condition, seed, step] = JSON.parse(key);
    const parts = [paper, experiment, [dataset, split].filter(Boolean).join(" "), n && `n = ${thousands(Number(n))}`, condition];
    return [...parts, seed && `seed ${seed}`, step && `step ${step}`].filter(Boolean).join(" · ").replace(/_/g, " ");
  };
  const fill = (target, keys, words = (key) => key) => {
    const before = target.value;
    target.replaceChildren(...keys.map((key) => element("option", words(key), { value: key })));
    if (keys.includes(before)) target.value = before;
  };
  // a network compared with itself says little: start with two that differ
  const firstPair = (pairs) => pairs.find((pair) => pair.split(" × ")[0] !== pair.split(" × ")[1]) || pairs[0];
  const chosen = () => tree.get(chooser.panel.value).get(chooser.pair.value).get(chooser.measure.value);
  const refill = () => {
    fill(chooser.panel, [...tree.keys()], panelWords);
    const pairs = [...tree.get(chooser.panel.value).keys()];
    const kept = pairs.includes(chooser.pair.value);
    fill(chooser.pair, pairs);
    if (!kept) chooser.pair.value = firstPair(pairs);
    fill(chooser.measure, [...tree.get(chooser.panel.value).get(chooser.pair.value).keys()]);
    draw();
  };

  const matrixOf = (rows) => {
    const names = (side) => [...new Set(rows.map((row) => cell(side, row)))];
    const [a, b] = [names("layer_a"), names("layer_b")];
    const blank = () => a.map(() => b.map(() => null));
    const matrix = { a, b, values: blank(), words: blank(), rows: blank(), undefined: [] };
    for (const row of rows) {
      const [i, j, value] = [a.indexOf(cell("layer_a", row)), b.indexOf(cell("layer_b", row)), cell("value", row)];
      matrix.values[i][j] = value;
      matrix.rows[i][j] = row;
      matrix.words[i][j] = value === null ? cell("status", row) : inWords(value);
      if (value === null) matrix.undefined.push(cell("status", row));
    }
    return matrix;
  };
  const scaleOf = (values) => {
    const known = values.flat().filter((value) => value !== null);
    const [low, high] = [Math.min(0, ...known), Math.max(1, ...known)];
    if (low < -0.05) return { colorscale: BLUE_RED, zmin: -Math.max(high, -low), zmax: Math.max(high, -low) };
    return { colorscale: MAGMA, zmin: 0, zmax: high };
  };
  const layoutFor = (matrix, names) => {
    const longest = Math.max(...matrix.a.map((name) => name.length), 4);
    const width = explorer.clientWidth;
    const room = Math.max(160, Math.min(width, 1000) - 7 * longest - 150);
    const cellSize = Math.max(9, Math.min(46, room / matrix.b.length));
    const axis = { type: "category", automargin: true, showgrid: false, zeroline: false, ticks: "", fixedrange: true };
    return {
      autosize: true, height: Math.max(300, Math.min(1100, cellSize * matrix.a.length + 7 * Math.max(...matrix.b.map((n) => n.length)) + 110)),
      width: Math.min(width, cellSize * matrix.b.length + 7 * longest + 170),
      margin: { l: 10, r: 10, t: 12, b: 10 },
      ...looks(), plot_bgcolor: "#aab2bd",
      xaxis: { ...axis, tickangle: matrix.b.length > 6 ? 90 : "auto", title: { text: escaped(names[1]), standoff: 8 } },
      yaxis: { ...axis, autorange: "reversed", title: { text: escaped(names[0]), standoff: 8 } },
    };
  };
  const draw = () => {
    const rows = chosen();
    const matrix = matrixOf(rows);
    const names = [cell("network_a", rows[0]), cell("network_b", rows[0])];
    const layout = layoutFor(matrix, names);
    const plot = byId("explorer-plot");
    plot.style.minHeight = `${layout.height}px`; // before the library is there, so that nothing below it moves later
    describe(matrix, names);
    byId("explorer-rows").onclick = (event) => { event.preventDefault(); showRows(rows[0], []); };
    if (library) paint(plot, matrix, layout);
  };
  const paint = (plot, matrix, layout) => {
    const trace = {
      type: "heatmap", z: matrix.values, x: matrix.b.map(escaped), y: matrix.a.map(escaped), ...scaleOf(matrix.values),
      text: matrix.words.map((line) => line.map((word) => escaped(word || "not measured"))), hoverongaps: true, xgap: 1, ygap: 1,
      hovertemplate: "%{y} (rows)<br>%{x} (columns)<br><b>%{text}</b><extra></extra>",
      colorbar: { thickness: 14, outlinewidth: 0, title: { text: escaped(chooser.measure.value), side: "right" } },
    };
    library.react(plot, [trace], layout, OPTIONS);
    plot.removeAllListeners("plotly_click");
    plot.on("plotly_click", (event) => {
      const [i, j] = event.points[0].pointIndex || event.points[0].pointNumber;
      showRows(matrix.rows[i][j], ["layer_a", "layer_b"]);
    });
  };
  const describe = (matrix, names) => {
    const gaps = matrix.undefined.length;
    const why = gaps ? ` ${gaps} undefined, grey: ${[...new Set(matrix.undefined)].slice(0, 3).join("; ")}.` : "";
    const words = `${names[0]} (rows) × ${names[1]} (columns), ${matrix.a.length} × ${matrix.b.length} layers.${why}`;
    byId("explorer-status").textContent = words;
    byId("explorer-plot").setAttribute("aria-label", `Heatmap of ${chooser.measure.value}: ${words}`);
  };
  const showRows = (row, more) => {
    if (row === null || row === undefined) return;
    const names = [...PANEL, "network_a", "network_b", "quantity", "estimator", ...more];
    const filters = new Map(names.map((name) => [name, [cell(name, row)]]).filter(([, [text]]) => text !== ""));
    location.hash = addressOf(filters, "");
  };

  const open = async () => {
    try {
      library = await load(explorer.dataset.library);
      draw();
    } catch (error) {
      byId("explorer-status").textContent = `The explorer needs ${error.message} beside this page; it was not found. The table below holds the same numbers.`;
    }
  };
  tree = plant();
  refill();
  for (const one of Object.values(chooser)) one.addEventListener("change", refill);
  redraw(() => { if (explorer.clientWidth) draw(); }); // it is not on paper
  // the library is several megabytes: it is read only when the explorer comes near the window
  new IntersectionObserver((entries, observer) => {
    if (entries.some((entry) => entry.isIntersecting)) { observer.disconnect(); open(); }
  }, { rootMargin: "300px" }).observe(explorer);
})();
