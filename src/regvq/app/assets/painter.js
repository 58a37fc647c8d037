// A grid of cells over a picture, painted with a brush.
//
// Properties: picture (address of the image below, or ""), rows, columns, codes (number shown at every
// cell, or []), labels ([{name, colour}], or []). The value is, without labels, the list of the painted
// cells; with labels, the label of every cell. Picking a cell's code triggers "pick" with that code.

const LONGEST = 420; // CSS pixels of the longer side
const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d");
const tools = element.querySelector(".painter-tools");
const words = element.querySelector(".painter-words");
const picture = new Image();

let cells = [];
let cell = 1; // pixels of a cell's side
let tool = "brush";
let label = 0;
let size = 1;
let under = null; // the cell under the pointer or the keyboard's cursor
let painting = false;

const masks = () => props.labels.length === 0;
const count = () => props.rows * props.columns;

function button(text, name, press, colour) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.dataset.tool = name;
  if (colour) made.style.setProperty("--label", colour);
  made.addEventListener("click", () => { press(); showTools(); draw(); });
  tools.append(made);
}

function showTools() {
  for (const made of tools.querySelectorAll("button")) {
    const chosen = made.dataset.tool === (masks() ? tool : `label-${label}`);
    made.classList.toggle("chosen", chosen);
    made.setAttribute("aria-pressed", chosen);
  }
}

function makeTools() {
  tools.replaceChildren();
  if (masks()) {
    button("Brush", "brush", () => { tool = "brush"; });
    button("Erase", "erase", () => { tool = "erase"; });
    if (props.codes.length) button("Pick a code", "pick", () => { tool = "pick"; });
    button("Clear", "clear", () => { cells.fill(0); commit(); });
  } else {
    props.labels.forEach((one, number) => {
      button(one.name, `label-${number}`, () => { label = number; }, one.colour);
    });
    button("Fill all", "fill", () => { cells.fill(label); commit(); });
  }
  const range = document.createElement("input");
  Object.assign(range, { type: "range", min: 1, max: Math.max(2, Math.ceil(props.columns / 4)), value: size });
  range.setAttribute("aria-label", "size of the brush");
  range.addEventListener("input", () => { size = Number(range.value); });
  const named = document.createElement("label");
  named.append("Size ", range);
  tools.append(named);
  showTools();
}

function setUp() {
  if (!props.rows) { element.querySelector(".painter").classList.add("empty"); return; }
  element.querySelector(".painter").classList.remove("empty");
  const value = props.value || [];
  if (masks()) {
    cells = new Array(count()).fill(0);
    for (const place of value) cells[place] = 1;
  } else {
    cells = value.length === count() ? [...value] : new Array(count()).fill(0);
  }
  cell = Math.max(1, Math.floor((2 * LONGEST) / Math.max(props.rows, props.columns)));
  canvas.width = cell * props.columns;
  canvas.height = cell * props.rows;
  canvas.style.width = `${canvas.width / 2}px`;
  under = null;
  makeTools();
  if (props.picture) picture.src = props.picture; else picture.removeAttribute("src");
  draw();
}

function draw() {
  pen.imageSmoothingEnabled = false;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (props.picture && picture.complete && picture.naturalWidth) {
    pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
  }
  for (let place = 0; place < count(); place += 1) {
    const x = (place % props.columns) * cell, y = Math.floor(place / props.columns) * cell;
    if (!masks()) pen.fillStyle = props.labels[cells[place]].colour;
    else if (cells[place]) pen.fillStyle = "rgba(255, 64, 129, 0.62)";
    else continue;
    pen.fillRect(x, y, cell, cell);
  }
  if (cell >= 20) {
    pen.fillStyle = "rgba(128, 128, 128, 0.35)";
    for (let column = 1; column < props.columns; column += 1) pen.fillRect(column * cell - 1, 0, 2, canvas.height);
    for (let row = 1; row < props.rows; row += 1) pen.fillRect(0, row * cell - 1, canvas.width, 2);
  }
  if (under !== null) {
    const x = (under % props.columns) * cell, y = Math.floor(under / props.columns) * cell;
    pen.lineWidth = 4;
    pen.strokeStyle = "#fff";
    pen.strokeRect(x, y, cell, cell);
    pen.lineWidth = 2;
    pen.strokeStyle = "#111";
    pen.strokeRect(x, y, cell, cell);
  }
  const where = under === null ? "" : `row ${Math.floor(under / props.columns)}, column ${under % props.columns}`;
  const what = under === null ? ""
    : props.codes.length ? `: code ${props.codes[under]}`
    : masks() ? "" : `: ${props.labels[cells[under]].name}`;
  words.textContent = where ? where + what : "";
}

function at(event) {
  const box = canvas.getBoundingClientRect();
  const column = Math.floor(((event.clientX - box.left) / box.width) * props.columns);
  const row = Math.floor(((event.clientY - box.top) / box.height) * props.rows);
  const inside = row >= 0 && column >= 0 && row < props.rows && column < props.columns;
  return inside ? row * props.columns + column : null;
}

function touch(place) {
  if (place === null) return;
  if (masks() && tool === "pick") {
    trigger("pick", { code: props.codes[place] });
    return;
  }
  const row = Math.floor(place / props.columns), column = place % props.columns;
  const before = Math.floor((size - 1) / 2), after = Math.ceil((size - 1) / 2);
  for (let r = Math.max(0, row - before); r <= Math.min(props.rows - 1, row + after); r += 1) {
    for (let c = Math.max(0, column - before); c <= Math.min(props.columns - 1, column + after); c += 1) {
      cells[r * props.columns + c] = masks() ? Number(tool === "brush") : label;
    }
  }
}

function stroke(from, to) {
  if (from === null || to === null) { touch(to); return; }
  const rows = Math.floor(to / props.columns) - Math.floor(from / props.columns);
  const columns = (to % props.columns) - (from % props.columns);
  const steps = Math.max(Math.abs(rows), Math.abs(columns), 1);
  for (let step = 1; step <= steps; step += 1) {
    const row = Math.floor(from / props.columns) + Math.round((rows * step) / steps);
    touch(row * props.columns + (from % props.columns) + Math.round((columns * step) / steps));
  }
}

function commit() {
  props.value = masks() ? cells.flatMap((painted, place) => (painted ? [place] : [])) : [...cells];
}

canvas.addEventListener("pointerdown", (event) => {
  event.preventDefault();
  canvas.focus();
  canvas.setPointerCapture(event.pointerId);
  painting = tool !== "pick" || !masks();
  under = at(event);
  touch(under);
  draw();
});
canvas.addEventListener("pointermove", (event) => {
  const place = at(event);
  if (painting) stroke(under, place);
  if (place !== under || painting) { under = place; draw(); }
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, () => { if (painting) { painting = false; commit(); } });
}
canvas.addEventListener("pointerleave", () => { if (!painting) { under = null; draw(); } });
canvas.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -props.columns, ArrowDown: props.columns }[event.key];
  if (step !== undefined) under = Math.min(count() - 1, Math.max(0, (under ?? 0) + step));
  else if (event.key === " " && under !== null) { touch(under); if (tool !== "pick") commit(); }
  else return;
  event.preventDefault();
  draw();
});
picture.addEventListener("load", draw);
// Not one by one in quotes: gradio takes every quoted word of this file for the name of an event.
watch("value picture rows columns codes labels".split(" "), setUp);
setUp();
