"use strict";
// What the scripts of several pages share.
const netalike = (() => {
  const element = (name, text, attributes) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    return made;
  };
  const byId = (id) => document.getElementById(id);
  const thousands = (number) => number.toLocaleString("en-US");
  const inWords = (number, digits = 6) => (number === null ? "" : String(Number(number.toPrecision(digits))).replace("-", "−"));
  const collator = new Intl.Collator("en", { numeric: true });

  // ---- figures ---------------------------------------------------------------------------------------------------
  const MAGMA = ["#000004", "#180f3d", "#440f76", "#721f81", "#9e2f7f", "#cd4071", "#f1605d", "#fd9668", "#feca8d", "#fcfdbf"]
    .map((colour, i, all) => [i / (all.length - 1), colour]);
  const BLUE_RED = [[0, "#2369bd"], [0.25, "#93a9cc"], [0.5, "#fafafa"], [0.75, "#d19a99"], [1, "#a9373b"]];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // Plotly reads its texts as HTML
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const looks = () => ({ paper_bgcolor: "rgba(0,0,0,0)", font: { family: "system-ui, sans-serif", size: 12, color: colour("--ink") } });
  const OPTIONS = { displaylogo: false, responsive: false, displayModeBar: "hover" };
  const load = (address) => new Promise((resolve, reject) => {
    const script = element("script", undefined, { src: address });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error(address));
    document.head.append(script);
  });
  // room that a figure has: on paper, what fits an A4 page
  const paper = matchMedia("print");
  let printing = false;
  const roomIn = (place) => (printing || paper.matches ? Math.min(place.clientWidth, 680) : place.clientWidth);
  // colours and room change with the theme, the window, and for paper
  const redraw = (draw) => {
    let waiting = 0;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
    paper.addEventListener("change", draw);
    window.addEventListener("beforeprint", () => { printing = true; draw(); });
    window.addEventListener("afterprint", () => { printing = false; draw(); });
    window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(draw, 150); });
  };
  const pen = document.createElement("canvas").getContext("2d");
  const widthOf = (text, size) => { pen.font = `${size}px system-ui, sans-serif`; return pen.measureText(text).width; };

  // ---- tables whose columns sort ---------------------------------------------------------------------------------
  const compare = (a, b) => (typeof a === "number" ? a - b : collator.compare(a, b));
  const missing = (key) => key === null || key === "";
  // `items` are rows, or bodies of several rows, which `place` takes in their new order
  const sortable = (heads, items, keyOf, place) => {
    const sortBy = (head, column) => {
      const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
      const sign = direction === "ascending" ? 1 : -1;
      const entries = items.map((item) => ({ item, key: keyOf(item, head, column) }));
      // a missing value is last in both directions: it is neither the smallest nor the largest
      entries.sort((a, b) => missing(a.key) - missing(b.key) || (missing(a.key) ? 0 : sign * compare(a.key, b.key)));
      place(entries.map((entry) => entry.item));
      for (const other of heads) other.setAttribute("aria-sort", other === head ? direction : "none");
    };
    heads.forEach((head, column) => {
      const button = element("button", undefined, { type: "button" });
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortBy(head, column));
      head.append(button);
    });
  };

  // ---- copying commands ------------------------------------------------------------------------------------------
  const copy = async (text) => {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = element("textarea", text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    return undefined;
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    try { await copy(button.dataset.copy); button.textContent = "Copied"; } catch { button.textContent = "Select it"; }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });

  return { element, byId, thousands, inWords, collator, MAGMA, BLUE_RED, colour, escaped, looks, OPTIONS, load, redraw, roomIn, widthOf, sortable };
})();
