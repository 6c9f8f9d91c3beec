"use strict";
// Draws the charts from their JSON in the page, in the colours of the page's style, and draws them again when the style changes.

(() => {
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const charts = [...document.querySelectorAll("script.figure")].map((script) => ({
    div: document.getElementById(script.dataset.for),
    figure: JSON.parse(script.textContent),
  }));

  // Replaces "var(--name)" at any depth by the current value of the style.
  function resolved(value, style) {
    if (typeof value === "string") {
      return value.replace(/^var\((--[\w-]+)\)$/, (_, name) => style.getPropertyValue(name).trim());
    }
    if (Array.isArray(value)) return value.map((item) => resolved(item, style));
    if (value !== null && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolved(item, style)]));
    }
    return value;
  }

  function axis(given, common) {
    return { ...common, ...given, title: { ...given.title, font: { size: 13 }, standoff: 8 } };
  }

  function layout(figure, width, height) {
    const common = {
      automargin: true,
      gridcolor: "var(--line)",
      linecolor: "var(--line)",
      zerolinecolor: "var(--line)",
      tickfont: { size: 12 },
    };
    return {
      ...figure.layout,
      ...(width ? { width, height } : {}),
      autosize: !width,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: "var(--ink)" },
      margin: { l: 12, r: 12, t: 8, b: 8 },
      xaxis: axis(figure.layout.xaxis, common),
      yaxis: axis(figure.layout.yaxis, common),
      legend: { orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom", font: { size: 12 } },
      hoverlabel: { bgcolor: "var(--surface)", bordercolor: "var(--line)", font: { color: "var(--ink)" } },
      // On a touch screen, dragging scrolls the page and must not zoom a chart.
      dragmode: touch ? false : "zoom",
    };
  }

  // On screen a chart fills its card; for printing its size is fixed.
  function draw(paper) {
    const style = getComputedStyle(root);
    for (const { div, figure } of charts) {
      // Traces that the reader has hidden or shown stay so.
      const visible = (div.data || []).map((trace) => trace.visible);
      const data = figure.data.map((trace, i) => ({ ...trace, ...(visible[i] === undefined ? {} : { visible: visible[i] }) }));
      const config = {
        responsive: true,
        displaylogo: false,
        modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
        toImageButtonOptions: { filename: div.id },
      };
      const size = !paper ? [] : div.closest(".wide") ? [640, 230] : [300, 230];
      Plotly.react(div, resolved(data, style), resolved(layout(figure, ...size), style), config);
    }
  }

  draw();
  dark.addEventListener("change", () => draw());
  window.addEventListener("beforeprint", () => {
    root.classList.add("paper");
    for (const details of document.querySelectorAll("details:not([open], .on-screen)")) {
      details.open = true;
      details.dataset.closed = "";
    }
    draw(true);
  });
  window.addEventListener("afterprint", () => {
    root.classList.remove("paper");
    for (const details of document.querySelectorAll("details[data-closed]")) {
      details.open = false;
      delete details.dataset.closed;
    }
    draw();
  });
})();
