"use strict";
(() => {
  // Rows open without this script; it adds sorting, filtering, and links that open the claim they lead to.
  const table = document.getElementById("claims-table");
  const form = document.getElementById("claim-filters");
  const search = document.getElementById("claim-text");
  const choosers = [...form.querySelectorAll("select[data-claims]")];
  const heads = [...table.tHead.rows[0].cells];
  const claims = [...table.tBodies];
  const texts = claims.map((claim) => claim.textContent.toLowerCase());
  const details = (claim) => claim.querySelector("tr.more > td > details");

  // ---- filtering -----------------------------------------------------------------------------------------------
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (claim, i) => words.every((word) => texts[i].includes(word)) &&
      choosers.every((chooser) => !chooser.value || claim.dataset[chooser.dataset.claims] === chooser.value);
    claims.forEach((claim, i) => { claim.hidden = !fits(claim, i); });
    const shown = claims.filter((claim) => !claim.hidden).length;
    const all = `${claims.length} claim${claims.length === 1 ? "" : "s"}`;
    document.getElementById("claims-shown").textContent = shown === claims.length ? all : `${shown} of ${all}`;
  };
  const clear = () => {
    search.value = "";
    for (const chooser of choosers) chooser.value = "";
    filter();
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => { event.preventDefault(); clear(); });
  form.addEventListener("input", filter);
  form.hidden = false;

  // ---- sorting -------------------------------------------------------------------------------------------------
  const collator = new Intl.Collator("en", { numeric: true });
  const keyOf = (claim, name) => {
    const cell = claim.querySelector(`td[data-sort="${name}"]`);
    if (cell.dataset.key === undefined) return cell.textContent.trim();
    return cell.dataset.key === "" ? null : Number(cell.dataset.key);
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : collator.compare(a, b));
  const sortBy = (head) => {
    const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    const sign = direction === "ascending" ? 1 : -1;
    const entries = claims.map((claim) => ({ claim, key: keyOf(claim, head.dataset.sort) }));
    const missing = (key) => key === null || key === "";
    // a missing value is last in both directions: it is neither the smallest nor the largest
    entries.sort((a, b) => missing(a.key) - missing(b.key) || (missing(a.key) ? 0 : sign * compare(a.key, b.key)));
    table.append(...entries.map((entry) => entry.claim));
    for (const other of heads) other.setAttribute("aria-sort", other === head ? direction : "none");
  };
  for (const head of heads) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortBy(head));
    head.append(button);
  }

  // ---- opening -------------------------------------------------------------------------------------------------
  const target = () => {
    try { return document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { return null; }
  };
  const openTarget = () => {
    const claim = target();
    if (!claims.includes(claim)) return;
    if (claim.hidden) clear();
    details(claim).open = true;
    claim.scrollIntoView();
  };
  table.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (link) {
      if (link.hash === location.hash) openTarget(); // the address does not change, so nothing else would open it
      return;
    }
    const row = event.target.closest("tr.claim");
    if (!row || String(getSelection())) return; // text that is marked to be copied
    const opened = details(row.parentElement);
    opened.open = !opened.open;
  });
  window.addEventListener("hashchange", openTarget);
  openTarget();
})();
