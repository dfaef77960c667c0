// One feature's reference and observation over the same bins, laid over each other.

import { element, svg } from "./dom.js";

const WIDTH = 260, HEIGHT = 110, FLOOR = 92, GAP = 1.5;

export function histogram(feature, threshold) {
  const bins = feature.reference.length;
  const step = WIDTH / bins;
  const highest = Math.max(...feature.reference, ...feature.observed, 1e-9);
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", width: "100%" },
    svg("title", {}, `${feature.name}: PSI ${feature.psi.toFixed(3)}`));
  for (const kind of ["reference", "observed"]) {
    const inset = kind === "observed" ? step * 0.2 : 0;
    feature[kind].forEach((share, index) => {
      const height = (share / highest) * (FLOOR - 6);
      picture.append(svg("rect", {
        class: kind, rx: 1.5, x: index * step + GAP / 2 + inset, y: FLOOR - height,
        width: Math.max(1, step - GAP - 2 * inset), height,
      }, svg("title", {}, `${kind}: ${(100 * share).toFixed(1)} %`)));
    });
  }
  picture.append(svg("line", { class: "axis", x1: 0, x2: WIDTH, y1: FLOOR + 0.5, y2: FLOOR + 0.5 }));
  edgeLabels(feature.edges, step).forEach((label) => picture.append(label));
  const over = threshold !== undefined && feature.psi >= threshold;
  return element("figure", {}, element("figcaption", {}, element("b", { title: feature.name }, feature.name),
    element("span", { class: over ? "over" : null }, `PSI ${feature.psi.toFixed(3)}`)), picture);
}

function edgeLabels(edges, step) {
  if (edges.length === 0) return [];
  const shown = edges.length === 1 ? [0] : [0, edges.length - 1];
  return shown.map((index) => svg("text", {
    x: (index + 1) * step, y: HEIGHT - 5, "text-anchor": "middle",
  }, edgeText(edges[index])));
}

function edgeText(edge) {
  return Math.abs(edge) < 1e-12 ? "0" : Number(edge.toPrecision(3)).toString();
}
