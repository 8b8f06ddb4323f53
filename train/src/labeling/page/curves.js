// The figures of the epochs as curves.
const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [600, 120];

const CURVES = [
  { key: "loss", name: "loss", className: "loss", isShare: false },
  { key: "class_accuracy", name: "class accuracy", className: "accuracy", isShare: true },
  { key: "mean_iou", name: "mean IoU", className: "iou", isShare: true },
  { key: "objects_ap50", name: "AP50", className: "ap", isShare: true },
];

function points(values, most) {
  const step = WIDTH / Math.max(values.length - 1, 1);
  const known = values.map((value, at) => [at * step, value]).filter(([, value]) => value !== null);
  return known.map(([x, value]) => `${x.toFixed(1)},${(HEIGHT - 4 - (HEIGHT - 8) * value / most).toFixed(1)}`).join(" ");
}

// Replaces the curves and their legend. Shares are drawn from 0 to 1, the loss from 0 to its highest value.
export function drawCurves(drawing, legend, history) {
  const shown = CURVES.map((curve) => ({ ...curve, values: history.map((epoch) => epoch[curve.key]) }))
    .filter(({ values }) => values.some((value) => value !== null));
  drawing.replaceChildren(...shown.map(({ className, isShare, values }) => {
    const line = document.createElementNS(SVG, "polyline");
    line.setAttribute("class", className);
    line.setAttribute("points", points(values, isShare ? 1 : Math.max(...values.map((value) => value ?? 0), 1e-9)));
    return line;
  }));
  legend.replaceChildren(...shown.map(({ name, className, isShare, values }) => {
    const item = document.createElement("li");
    item.className = className;
    const last = values.findLast((value) => value !== null);
    const text = isShare ? last.toFixed(2) : last.toFixed(3);
    item.textContent = isShare ? `${name} ${text} (validation)` : `${name} ${text}`;
    return item;
  }));
}
