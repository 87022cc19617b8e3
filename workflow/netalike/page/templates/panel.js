(() => {
  const { element, byId, inWords, MAGMA, BLUE_RED, escaped, looks, OPTIONS, load, redraw, sortable, heatmap, folded } = netalike;
  const holder = byId("panel-data");
  const data = JSON.parse(holder.textContent);
  const { networks, measures, pairs } = data;

  // ---- tables ----------------------------------------------------------------------------------------------------
  const keyOf = (row, _, column) => {
    const cell = row.cells[column];
    if (cell.dataset.key === undefined) return cell.textContent.trim();
    return cell.dataset.key === "" ? null : Number(cell.dataset.key);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    sortable([...table.tHead.rows[0].cells], [...body.rows], keyOf, (rows) => body.append(...rows));
  }
  if (!byId("pairs")) return;

  // ---- words -----------------------------------------------------------------------------------------------------
  const number = (value) => inWords(value, 4);
  const interval = (low, high, over) => {
    const of = over ? ` over ${over}` : "";
    return low === null || high === null ? "no interval" : `95 % interval${of} ${number(low)} to ${number(high)}`;
  };
  const broken = (text, width = 58) => text.split(" ").reduce((lines, word) => {
    const last = lines[lines.length - 1];
    if (last && last.length + word.length < width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
    return lines;
  }, []);
  const layers = (n) => (n === null ? "of whole networks" : `mean of ${n} pair${n === 1 ? "" : "s"} of layers`);
  const rowsOf = (filters) => {
    const query = new URLSearchParams({ experiment: holder.dataset.experiment, ...filters });
    return `${holder.dataset.rows}#rows?${query}`;
  };
  const show = (output, lines, filters) => {
    output.replaceChildren(element("strong", lines[0]), ` ${lines.slice(1).join(" · ")} `, element("a", "Its row of the table", { href: rowsOf(filters) }));
  };
  const choose = (select) => {
    for (const family of new Set(measures.map((measure) => measure.family))) {
      const group = element("optgroup", undefined, { label: family });
      measures.forEach((measure, i) => {
        if (measure.family === family) group.append(element("option", measure.label, { value: String(i) }));
      });
      select.append(group);
    }
  };

  // ---- pairs of networks -----------------------------------------------------------------------------------------
  const form = { measure: byId("pairs-measure"), shown: byId("pairs-shown"), networks: byId("pairs-networks"), range: byId("pairs-range") };
  const isControl = (name) => name.includes("@") || name === "noise";
  const wordsOf = (measure, pair) => {
    const [a, b, relation] = pairs[pair];
    const value = measure.value[pair];
    const why = measure.why[pair];
    const lines = value === null ? broken(why || "not measured") : [`${measure.label} ${number(value)}`, interval(measure.low[pair], measure.high[pair], measure.over)];
    if (measure.standardised[pair] !== null) lines.push(`standardised ${number(measure.standardised[pair])}`);
    return [`${networks[a]} × ${networks[b]}`, ...lines, ...(value === null ? [] : [layers(measure.n[pair])]), data.relations[relation]];
  };
  const matrixOf = (measure) => {
    const names = networks.filter((name) => form.networks.value === "all" || !isControl(name));
    const place = new Map(names.map((name, i) => [name, i]));
    const blank = (make) => names.map(() => names.map(make));
    const matrix = { names, z: blank(() => null), words: blank(() => ["not compared"]), pairs: blank(() => null), values: [], gaps: 0 };
    pairs.forEach(([a, b], pair) => {
      const [i, j] = [place.get(networks[a]), place.get(networks[b])];
      if (i === undefined || j === undefined) return;
      const value = measure[form.shown.value][pair];
      const words = wordsOf(measure, pair);
      for (const [row, column] of [[i, j], [j, i]]) {
        matrix.z[row][column] = value;
        matrix.words[row][column] = words;
        matrix.pairs[row][column] = pair;
      }
      if (value === null) matrix.gaps += 1;
      else matrix.values.push(value);
    });
    return matrix;
  };
  const scaleOf = (measure, values) => {
    if (form.shown.value === "standardised") {
      const most = Math.max(1, ...values.map(Math.abs));
      return { colorscale: BLUE_RED, zmin: -most, zmax: most };
    }
    const whole = form.range.value === "whole";
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const low = whole && measure.range[0] !== null ? Math.min(measure.range[0], least) : least;
    const high = whole && measure.range[1] !== null ? Math.max(measure.range[1], most) : most;
    if (!values.length || low === high) return { colorscale: MAGMA, zmin: low - 0.5 || 0, zmax: high + 0.5 || 1, reversescale: measure.distance };
    if (whole && low < -0.5) return { colorscale: BLUE_RED, zmin: -Math.max(high, -low), zmax: Math.max(high, -low) };
    return { colorscale: MAGMA, zmin: low, zmax: high, reversescale: measure.distance };
  };
  const chosenMeasure = () => measures[Number(form.measure.value)];
  let matrix = null;
  const pairsSpec = () => {
    const measure = chosenMeasure();
    matrix = matrixOf(measure);
    const gaps = matrix.gaps ? ` ${matrix.gaps} have no number, grey.` : "";
    const direction = measure.distance ? "A distance: the smaller, the more alike; lighter is more alike." : "The larger, the more alike.";
    byId("pairs-status").textContent = `${measure.label}, ${matrix.values.length + matrix.gaps} pairs.${gaps} ${direction}`;
    const title = form.shown.value === "value" ? measure.label : `${measure.label}, standardised: larger is more alike`;
    return { x: matrix.names, y: matrix.names, z: matrix.z, words: matrix.words, scale: scaleOf(measure, matrix.values), title };
  };
  const pickPair = (i, j) => {
    const pair = matrix.pairs[i][j];
    if (pair === null) { byId("pairs-picked").textContent = `${matrix.names[i]} × ${matrix.names[j]}: not compared`; return; }
    const [a, b] = pairs[pair];
    show(byId("pairs-picked"), matrix.words[i][j], {
      quantity: form.shown.value === "value" ? "pair_similarity" : "pair_standardised", estimator: chosenMeasure().key,
      network_a: networks[a], network_b: networks[b],
    });
  };

  // ---- pairs of measures -----------------------------------------------------------------------------------------
  const correlations = new Map(data.correlations.flatMap((entry) => [[`${entry[0]},${entry[1]}`, entry], [`${entry[1]},${entry[0]}`, entry]]));
  const known = measures.map((_, i) => i).filter((i) => data.correlations.some(([a, b]) => a === i || b === i));
  const correlationWords = (i, j) => {
    const names = `${measures[i].label} × ${measures[j].label}`;
    const entry = correlations.get(`${i},${j}`);
    if (i === j && !entry) return [names, "the same measure: 1"];
    if (!entry) return [names, "not computed"];
    const [, , value, low, high, n, why] = entry;
    if (value === null) return [names, ...broken(why)];
    return [names, `rank correlation ${number(value)}`, interval(low, high, "networks"), ...(n ? [`${n} pairs of networks`] : [])];
  };
  const correlationOf = (i, j) => {
    const entry = correlations.get(`${i},${j}`);
    if (entry) return entry[2];
    return i === j ? 1 : null;
  };
  const agreementSpec = () => {
    const labels = known.map((i) => measures[i].label);
    byId("agreement-status").textContent = `${known.length} measures, by kind: ${[...new Set(known.map((i) => measures[i].family))].join(", ")}.`;
    return {
      x: labels, y: labels, title: "rank correlation (Spearman)", scale: { colorscale: BLUE_RED, zmin: -1, zmax: 1 },
      z: known.map((i) => known.map((j) => correlationOf(i, j))), words: known.map((i) => known.map((j) => correlationWords(i, j))),
    };
  };
  const pickCorrelation = (i, j) => {
    const entry = correlations.get(`${known[i]},${known[j]}`);
    const lines = correlationWords(known[i], known[j]);
    if (!entry) { byId("agreement-picked").textContent = lines.join(": "); return; }
    show(byId("agreement-picked"), lines, {
      quantity: "rank_correlation", condition: `measure_a=${measures[entry[0]].key};measure_b=${measures[entry[1]].key}`,
    });
  };

  // ---- the map ---------------------------------------------------------------------------------------------------
  const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8a8a8a"];
  const SYMBOLS = ["circle", "diamond", "square", "triangle-up", "cross", "star", "hexagon"];
  const mapped = byId("map-measure");
  const groupsOf = (points) => {
    const groups = new Map();
    for (const [place, x, y, group] of points) {
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push({ name: networks[place], x, y });
    }
    return groups;
  };
  const drawMap = (library, box) => {
    const measure = measures[Number(mapped.value)];
    const map = measure.map;
    const stress = map && map.stress !== null ? ` Stress ${inWords(map.stress, 2)}.` : "";
    byId("map-status").textContent = map ? `${measure.label}, ${map.points.length} networks.${stress}` : `${measure.label} has no map: it needs a value for every pair.`;
    const groups = groupsOf(map ? map.points : []);
    const traces = [...groups].map(([name, points], i) => ({
      type: "scatter", mode: "markers", name: escaped(name), x: points.map((point) => point.x), y: points.map((point) => point.y),
      text: points.map((point) => escaped(point.name)), hovertemplate: "%{text}<extra></extra>",
      marker: { size: 11, symbol: SYMBOLS[i % SYMBOLS.length], color: COLOURS[i % COLOURS.length], line: { width: 1, color: netalike.colour("--ground") } },
    }));
    const width = Math.min(netalike.roomIn(box.parentElement), 760);
    const axis = { zeroline: false, showticklabels: false, showgrid: true, gridcolor: netalike.colour("--line"), fixedrange: true };
    library.react(box, traces, {
      ...looks(), plot_bgcolor: "rgba(0,0,0,0)", width, height: Math.min(560, width) + 24 * Math.ceil(groups.size / Math.max(1, Math.floor(width / 210))),
      margin: { l: 8, r: 8, t: 8, b: 8 }, xaxis: axis, yaxis: { ...axis, scaleanchor: "x" }, showlegend: true,
      legend: { orientation: "h", y: -0.03, yanchor: "top", x: 0, font: { size: 11 } },
    }, OPTIONS);
  };
  const mapTable = () => {
    const table = element("table");
    table.append(element("thead"), element("tbody"));
    table.tHead.append(element("tr"));
    table.tHead.rows[0].append(...["network", "x", "y", "group"].map((name) => element("th", name, { scope: "col" })));
    const map = measures[Number(mapped.value)].map;
    for (const [place, ...at] of map ? map.points : []) {
      const row = element("tr");
      row.append(element("td", networks[place]), ...at.map((x) => (typeof x === "number" ? element("td", inWords(x, 3), { class: "number" }) : element("td", x))));
      table.tBodies[0].append(row);
    }
    return table;
  };

  // ---- drawing ---------------------------------------------------------------------------------------------------
  const start = (library) => {
    const drawings = [];
    const connect = (name, pick, spec, controls) => {
      const figure = heatmap(library, byId(`${name}-plot`), pick);
      const refill = folded(byId(`${name}-table`), figure.tableOf);
      const renew = () => { figure.draw(spec()); byId(`${name}-picked`).replaceChildren(); refill(); };
      for (const control of controls) control.addEventListener("change", renew);
      renew();
      drawings.push(() => figure.draw());
    };
    connect("pairs", pickPair, pairsSpec, Object.values(form));
    if (byId("agreement")) connect("agreement", pickCorrelation, agreementSpec, []);
    const refill = folded(byId("map-table"), mapTable);
    const renew = () => { drawMap(library, byId("map-plot")); refill(); };
    mapped.addEventListener("change", renew);
    renew();
    drawings.push(() => drawMap(library, byId("map-plot")));
    redraw(() => drawings.forEach((draw) => draw()));
  };
  choose(form.measure);
  choose(mapped);
  const first = measures.findIndex((measure) => measure.map);
  mapped.value = String(Math.max(0, first));
  if (first < 0) byId("map").hidden = true;
  load(holder.dataset.library).then(start).catch((error) => {
    byId("pairs-status").textContent = `The interactive figures did not draw (${error.message}): they need assets/plotly.min.js beside the page. The tables and figures below hold the same numbers.`;
  });
})();
