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
  const keyOf = (claim, head) => {
    const cell = claim.querySelector(`td[data-sort="${head.dataset.sort}"]`);
    if (cell.dataset.key === undefined) return cell.textContent.trim();
    return cell.dataset.key === "" ? null : Number(cell.dataset.key);
  };
  netalike.sortable(heads, claims, keyOf, (sorted) => table.append(...sorted));

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
