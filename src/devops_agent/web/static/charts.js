// Draws the tables of the statistics as charts; the tables stay for those who would rather read.
(() => {
  "use strict";
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const SHADES = { resolved: "--good", no_failure: "--calm", planned: "--quiet", needs_person: "--mark-line", unresolved: "--bad", error: "--bad" };
  const read = (table) => {
    const heads = [...table.querySelectorAll("thead th")].slice(1);
    const rows = [...table.querySelectorAll("tbody tr")];
    if (!rows.length || !rows[0].querySelector("time")) return { heads: [], days: [], values: [] };
    const days = rows.map((row) => Date.parse(row.querySelector("time").dateTime) / 1000);
    const values = heads.map((_, index) => rows.map((row) => Number(row.cells[index + 1].textContent)));
    return { heads, days, values };
  };
  const draw = (figure) => {
    const { heads, days, values } = read(figure.querySelector("table"));
    if (!days.length || !heads.length) return;
    const place = figure.querySelector(".plot") || figure.insertBefore(Object.assign(document.createElement("div"), { className: "plot" }), figure.firstChild);
    place.replaceChildren();
    const stacked = figure.dataset.chart === "stack";
    const sums = values.map((_, index) => days.map((__, day) => values.slice(0, index + 1).reduce((sum, each) => sum + each[day], 0)));
    const drawn = stacked ? sums.slice().reverse() : values;
    const names = stacked ? heads.slice().reverse() : heads;
    const plain = stacked ? values.slice().reverse() : values;
    const grid = { stroke: colour("--line"), width: 1 };
    const axis = { stroke: colour("--quiet"), grid, ticks: { show: false }, font: "12px system-ui" };
    const series = names.map((head, index) => {
      const shade = colour(SHADES[head.dataset.name] || "--accent");
      return {
        label: head.textContent, stroke: shade, fill: stacked ? shade : `${shade}22`, width: stacked ? 0 : 2, points: { show: false },
        paths: stacked ? uPlot.paths.bars({ size: [0.7, 40], radius: 0.1 }) : undefined,
        value: (_, __, ___, at) => (at == null ? "" : plain[index][at]),
      };
    });
    new uPlot({
      width: place.clientWidth - 16, height: 240, cursor: { y: false },
      scales: { x: { time: true, range: (_, low, high) => [low - 43200, high + 43200] }, y: { range: (_, __, high) => [0, Math.max(high * 1.08, stacked ? 4 : 0.0001)] } },
      axes: [{ ...axis, grid: { show: false }, values: (_, splits) => splits.map((each) => new Date(each * 1000).toLocaleDateString(undefined, { day: "numeric", month: "short", timeZone: "UTC" })) }, { ...axis, size: 44 }],
      series: [{ value: (_, at) => (at == null ? "" : new Date(at * 1000).toISOString().slice(0, 10)) }, ...series],
    }, [days, ...drawn], place);
  };
  const all = () => document.querySelectorAll("figure[data-chart]").forEach(draw);
  all();
  let timer;
  addEventListener("resize", () => { clearTimeout(timer); timer = setTimeout(all, 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
})();
