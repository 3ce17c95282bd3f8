"use strict";
// Draws one run. Times are microseconds; everything comes from the data beside this script.
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const CLASSES = [
  { name: "clients", colour: "#2f6fd0", on: true },
  { name: "controllers and nodes", colour: "#2a9d8f", on: true },
  { name: "between controllers", colour: "#9a6bd0", on: true },
];
const HEARTBEATS = { name: "heartbeats and answers", colour: "#b9a6d6", on: false };
const LOGS = { name: "log", colour: "#8a94a3", on: true };
const GUTTER = 86, TOP = 66, ROW = 8, LANE = 26, ARROWS_MAX = 6000;
const LINKS = ["cut", "loses segments", "slow"];
const HUES = [210, 28, 140, 330, 48, 265, 185, 0, 95, 300];

const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const canvas = $("lanes"), overview = $("overview");
const state = { from: 0, to: D.end, words: "", hover: null, colour: "job", mouse: null };

const seconds = (at, digits = 6) => (at / 1e6).toFixed(digits);
const quiet = D.labels.map((text) => /^(heartbeat|appended|ping|pong|append refused)/.test(text));
const isWarning = (text) => /^(warn|error) /.test(text);

// ---------------------------------------------------------------- lanes

/** Gives each machine its place, and each job's process a row of its own while it lives. */
function layOut() {
  const lanes = D.machines.map((name, id) => ({ id, name, daemons: [], jobs: [], rows: 0, dark: [], links: [] }));
  for (const bar of D.bars) {
    const lane = lanes[bar.m];
    if (bar.k === "" && bar.j === null) { lane.daemons.push(bar); continue; }
    lane.jobs.push(bar);
  }
  for (const lane of lanes) {
    const ends = [];
    for (const bar of lane.jobs) {
      let row = ends.findIndex((end) => end <= bar.f);
      if (row < 0) { row = ends.length; ends.push(0); }
      ends[row] = bar.t; bar.row = row;
    }
    lane.rows = ends.length;
  }
  for (const [id, from, to] of D.dark) lanes[id].dark.push([from, to]);
  for (const link of D.links) { lanes[link[2]].links.push(link); lanes[link[3]].links.push(link); }
  const role = (name) => (name.startsWith("login") ? 0 : name.startsWith("ctl") ? 1 : 2);
  const order = [...lanes].sort((a, b) => role(a.name) - role(b.name) || a.id - b.id);
  let y = TOP;
  let before = null;
  for (const lane of order) {
    if (before !== null && before !== role(lane.name)) y += 10;
    before = role(lane.name);
    lane.top = y;
    lane.height = LANE + lane.rows * ROW + (lane.rows > 0 ? 4 : 0);
    lane.line = y + 13;
    y += lane.height + 3;
  }
  return { lanes, order, height: y + 14 };
}
const L = layOut();
const hasDaemon = (bar) => /^(flurmctld|flurmd)$/.test(bar.n);

// ---------------------------------------------------------------- drawing

let width = 0;
const x = (at) => GUTTER + ((at - state.from) / (state.to - state.from)) * (width - GUTTER - 10);
const timeAt = (px) => state.from + ((px - GUTTER) / (width - GUTTER - 10)) * (state.to - state.from);

function prepare(c, cssWidth, cssHeight) {
  const ratio = devicePixelRatio || 1;
  c.width = Math.round(cssWidth * ratio); c.height = Math.round(cssHeight * ratio);
  c.style.height = cssHeight + "px";
  const g = c.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, cssWidth, cssHeight);
  g.font = "11px system-ui, sans-serif"; g.textBaseline = "middle";
  return g;
}

function lowerBound(list, key, at) {
  let low = 0, high = list.length;
  while (low < high) { const mid = (low + high) >> 1; if (key(list[mid]) < at) low = mid + 1; else high = mid; }
  return low;
}

function ticks(g) {
  const span = state.to - state.from, wanted = span / Math.max(4, (width - GUTTER) / 110);
  const step = [1, 2, 5].flatMap((n) => [0, 1, 2, 3, 4, 5, 6, 7, 8].map((e) => n * 10 ** e)).sort((a, b) => a - b).find((s) => s >= wanted) || 1e8;
  g.fillStyle = css("--soft"); g.strokeStyle = css("--rule"); g.lineWidth = 1; g.textAlign = "center";
  const digits = step >= 1e6 ? 0 : step >= 1e5 ? 1 : step >= 1e4 ? 2 : step >= 1e3 ? 3 : 6;
  for (let at = Math.ceil(state.from / step) * step; at <= state.to; at += step) {
    const px = Math.round(x(at)) + 0.5;
    g.beginPath(); g.moveTo(px, 16); g.lineTo(px, L.height); g.stroke();
    g.fillText(seconds(at, digits) + " s", px, 8);
  }
  g.textAlign = "left";
}

const clip = (a, b) => [Math.max(GUTTER, x(a)), Math.min(width - 10, x(b))];
const visible = (from, to) => to >= state.from && from <= state.to;

function hatch(g, px, py, w, h, colour, gap, lean) {
  if (w <= 0) return;
  g.save(); g.beginPath(); g.rect(px, py, w, h); g.clip();
  g.strokeStyle = colour; g.lineWidth = 1; g.beginPath();
  for (let at = px - h; at < px + w + h; at += gap) {
    if (lean > 0) { g.moveTo(at, py + h); g.lineTo(at + h, py); } else { g.moveTo(at, py); g.lineTo(at + h, py + h); }
  }
  g.stroke(); g.restore();
}

function drawFaultRow(g) {
  g.fillStyle = css("--soft"); g.fillText("faults", 10, 26); g.fillText("leader", 10, 50);
  const ends = [];
  for (const [from, to, text] of D.faults) {
    if (!visible(from, to)) continue;
    const [a, b] = clip(from, to);
    const free = [0, 1].find((r) => (ends[r] ?? -1) <= a), row = free ?? 0;
    const y = 18 + row * 11;
    g.fillStyle = dark ? "rgba(255,110,100,.45)" : "rgba(200,40,40,.28)";
    g.fillRect(a, y, Math.max(3, b - a), 10);
    g.fillStyle = css("--bad"); g.fillRect(a, y, 2, 10);
    const room = Math.max(b - a, 0);
    ends[row] = Math.max(b, a + 3);
    if (room > 60 && free !== undefined) {
      g.save(); g.beginPath(); g.rect(a, y, room, 10); g.clip();
      g.fillStyle = css("--ink"); g.font = "9.5px system-ui, sans-serif"; g.fillText(text, a + 5, y + 5.5);
      g.restore();
    }
  }
  for (const [from, to, id] of D.leaders) {
    if (!visible(from, to)) continue;
    const [a, b] = clip(from, to);
    g.fillStyle = `hsl(${HUES[id % HUES.length]} 45% ${dark ? 42 : 78}%)`;
    g.fillRect(a, 44, Math.max(1, b - a - 1), 12);
    if (b - a > 34) { g.fillStyle = css("--ink"); g.fillText(D.machines[id], a + 4, 50.5); }
  }
  for (const [at, colour, text] of [[D.healed_at, css("--good"), "healed"], [D.failed_at, css("--bad"), "failure"]]) {
    if (at === null || !visible(at, at)) continue;
    g.strokeStyle = colour; g.lineWidth = 1.5; g.setLineDash([5, 3]);
    g.beginPath(); g.moveTo(x(at), 58); g.lineTo(x(at), L.height); g.stroke(); g.setLineDash([]);
    g.fillStyle = colour; g.textAlign = x(at) > width - 70 ? "right" : "left";
    g.fillText(text, x(at) + (g.textAlign === "right" ? -4 : 4), 61); g.textAlign = "left";
  }
}

function drawLane(g, lane) {
  g.fillStyle = css("--band"); g.fillRect(GUTTER, lane.top, width - GUTTER - 10, lane.height);
  for (const [from, to] of lane.dark) {
    if (!visible(from, to)) continue;
    const [a, b] = clip(from, to);
    g.fillStyle = dark ? "rgba(0,0,0,.75)" : "rgba(30,38,50,.72)"; g.fillRect(a, lane.top, Math.max(1, b - a), lane.height);
    if (b - a > 56) { g.fillStyle = "#e8edf3"; g.fillText("no power", a + 5, lane.line); }
  }
  // How many links are broken at a time: the more, the denser.
  for (const [from, to, , , kind] of lane.links) {
    if (!visible(from, to)) continue;
    const [a, b] = clip(from, to);
    g.fillStyle = ["rgba(214,60,50,.045)", "rgba(230,150,20,.03)", "rgba(230,190,20,.03)"][kind];
    g.fillRect(a, lane.top, Math.max(1, b - a), lane.height);
  }
  const cuts = merged(lane.links.filter((link) => link[4] === 0).map((link) => [link[0], link[1]]));
  for (const [from, to] of cuts) {
    if (!visible(from, to)) continue;
    const [a, b] = clip(from, to);
    hatch(g, a, lane.top, b - a, lane.height, dark ? "rgba(255,120,110,.30)" : "rgba(200,50,40,.22)", 7, 1);
  }
  const slow = merged(lane.links.filter((link) => link[4] > 0).map((link) => [link[0], link[1]]));
  for (const [from, to] of slow) {
    if (!visible(from, to)) continue;
    const [a, b] = clip(from, to);
    hatch(g, a, lane.top, b - a, lane.height, "rgba(214,150,20,.25)", 9, -1);
  }
  for (const bar of lane.daemons.filter(hasDaemon)) {
    if (!visible(bar.f, bar.t)) continue;
    const [a, b] = clip(bar.f, bar.t);
    g.fillStyle = dark ? "#3c7a5c" : "#86c5a4"; g.fillRect(a, lane.top, Math.max(1, b - a), 3);
    if (bar.e !== "" && visible(bar.t, bar.t)) { g.fillStyle = css("--bad"); g.fillRect(b - 1.5, lane.top - 1, 3, 5); }
  }
  for (const bar of lane.jobs) {
    if (!visible(bar.f, bar.t)) continue;
    const [a, b] = clip(bar.f, bar.t);
    const y = lane.top + LANE + bar.row * ROW;
    const bright = matches(`${bar.k} job ${bar.j} job=${bar.j}`);
    g.globalAlpha = bright ? 1 : 0.18;
    g.fillStyle = jobColour(bar);
    g.fillRect(a, y, Math.max(1.5, b - a), ROW - 2);
    if (b - a > 44) { g.fillStyle = dark ? "#0c1116" : "#10202e"; g.font = "8.5px system-ui, sans-serif"; g.fillText(`${bar.j ?? "?"} ${bar.k}`, a + 3, y + 3.5); g.font = "11px system-ui, sans-serif"; }
    g.globalAlpha = 1;
  }
  g.fillStyle = css("--paper"); g.fillRect(0, lane.top, GUTTER, lane.height);
  g.fillStyle = css("--ink"); g.font = "600 11px system-ui, sans-serif"; g.fillText(lane.name, 10, lane.line); g.font = "11px system-ui, sans-serif";
}

function merged(spans) {
  const out = [];
  for (const [from, to] of spans.sort((a, b) => a[0] - b[0])) {
    const last = out[out.length - 1];
    if (last && from <= last[1]) last[1] = Math.max(last[1], to); else out.push([from, to]);
  }
  return out;
}

function jobColour(bar) {
  if (state.colour === "end") {
    const fine = /code 0|exit 0|ExitStatus\(0\)/.test(bar.e);
    return bar.e === "" ? "#8fa3b8" : fine ? "#6fbf8f" : /power/.test(bar.e) ? "#50596a" : "#e08a6d";
  }
  const hue = HUES[(bar.j ?? 0) % HUES.length];
  return `hsl(${hue} ${dark ? 50 : 60}% ${dark ? 58 : 72}%)`;
}

function matches(text) { return state.words === "" || text.toLowerCase().includes(state.words); }

function sendShown(send) {
  if (quiet[send[5]] ? !HEARTBEATS.on : !CLASSES[send[4]].on) return false;
  return state.words === "" || matches(`${D.labels[send[5]]} ${D.machines[send[2]]} ${D.machines[send[3]]}`);
}

let drawn = [];
function drawSends(g) {
  const before = 10e6; // a message is under way for less than this, as a rule
  const start = lowerBound(D.sends, (s) => s[0], state.from - before);
  const shown = [];
  for (let i = start; i < D.sends.length && D.sends[i][0] <= state.to; i++) {
    const send = D.sends[i];
    if ((send[1] === 0 || send[1] >= state.from) && sendShown(send)) shown.push(send);
  }
  const every = Math.ceil(shown.length / ARROWS_MAX);
  drawn = every > 1 ? shown.filter((_, at) => at % every === 0) : shown;
  const dense = drawn.length > 1200;
  const heads = (width - GUTTER) / ((state.to - state.from) / 1e6) > 120 && drawn.length < 1500;
  g.save(); g.beginPath(); g.rect(GUTTER, TOP - 4, width - GUTTER - 10, L.height); g.clip();
  for (const send of drawn) drawSend(g, send, dense ? 0.28 : 0.75, heads);
  if (state.hover && state.hover.send) drawSend(g, state.hover.send, 1, true, 2.4);
  g.restore();
  return every;
}

function drawSend(g, send, alpha, head, thick = 1) {
  const [at, arrives, source, target, kind, label] = send;
  const x1 = x(at), y1 = L.lanes[source].line, y2 = L.lanes[target].line;
  const lost = arrives === 0;
  const x2 = lost ? x1 + 10 : x(arrives), end = lost ? y1 + (y2 - y1) * 0.45 : y2;
  g.globalAlpha = alpha; g.lineWidth = thick;
  g.strokeStyle = lost ? css("--bad") : quiet[label] ? HEARTBEATS.colour : CLASSES[kind].colour;
  if (lost) g.setLineDash([3, 3]);
  g.beginPath(); g.moveTo(x1, y1); g.lineTo(x2, end); g.stroke(); g.setLineDash([]);
  if (lost) {
    g.beginPath(); g.moveTo(x2 - 3, end - 3); g.lineTo(x2 + 3, end + 3); g.moveTo(x2 + 3, end - 3); g.lineTo(x2 - 3, end + 3); g.stroke();
  } else if (head) {
    const angle = Math.atan2(end - y1, x2 - x1);
    g.beginPath(); g.moveTo(x2, end);
    g.lineTo(x2 - 6 * Math.cos(angle - 0.4), end - 6 * Math.sin(angle - 0.4));
    g.lineTo(x2 - 6 * Math.cos(angle + 0.4), end - 6 * Math.sin(angle + 0.4));
    g.closePath(); g.fillStyle = g.strokeStyle; g.fill();
  }
  g.globalAlpha = 1;
}

const DOTS = { fault: "--bad", client: "--accent", log: "--soft" };
function drawLines(g) {
  const start = lowerBound(D.lines, (l) => l[0], state.from);
  const seen = new Set();
  for (let i = start; i < D.lines.length && D.lines[i][0] <= state.to; i++) {
    const [at, id, kind, text] = D.lines[i];
    if (id < 0 || !(kind in DOTS) || (kind === "log" && !LOGS.on) || !matches(text)) continue;
    const px = Math.round(x(at) * 2) / 2, spot = `${px} ${id} ${kind}`;
    if (seen.has(spot)) continue;
    seen.add(spot);
    const warns = kind === "log" && isWarning(text);
    g.fillStyle = css(warns ? "--warn" : DOTS[kind]);
    const y = L.lanes[id].line, r = kind === "log" && !warns ? 1.4 : 2.6;
    g.beginPath(); g.arc(px, y, r, 0, 7); g.fill();
  }
}

function drawOverview() {
  const w = overview.clientWidth, h = 46, g = prepare(overview, w, h);
  const ox = (at) => GUTTER + (at / D.end) * (w - GUTTER - 10);
  g.fillStyle = css("--band"); g.fillRect(GUTTER, 4, w - GUTTER - 10, h - 8);
  const bins = new Float64Array(Math.max(1, Math.floor((w - GUTTER - 10) / 2)));
  for (const send of D.sends) if (!quiet[send[5]]) bins[Math.min(bins.length - 1, Math.floor((send[0] / D.end) * bins.length))]++;
  const most = Math.max(1, ...bins);
  g.fillStyle = dark ? "#4b5f78" : "#b9c7d8";
  bins.forEach((count, at) => { const bh = Math.sqrt(count / most) * (h - 14); g.fillRect(GUTTER + at * 2, h - 5 - bh, 1.6, bh); });
  g.fillStyle = dark ? "rgba(255,110,100,.5)" : "rgba(200,40,40,.4)";
  for (const [from, to] of D.faults) g.fillRect(ox(from), 4, Math.max(2, ox(to) - ox(from)), 5);
  for (const [at, colour] of [[D.healed_at, "--good"], [D.failed_at, "--bad"]]) {
    if (at !== null) { g.fillStyle = css(colour); g.fillRect(ox(at) - 1, 4, 2, h - 8); }
  }
  g.strokeStyle = css("--accent"); g.lineWidth = 1.5;
  g.fillStyle = dark ? "rgba(127,176,255,.14)" : "rgba(36,89,168,.10)";
  const a = ox(state.from), b = Math.max(a + 4, ox(state.to));
  g.fillRect(a, 3, b - a, h - 6); g.strokeRect(a, 3, b - a, h - 6);
  g.fillStyle = css("--soft"); g.fillText(seconds(D.end, 0) + " s", 10, h / 2);
}

function draw() {
  width = canvas.clientWidth;
  const g = prepare(canvas, width, L.height);
  ticks(g);
  drawFaultRow(g);
  for (const lane of L.order) drawLane(g, lane);
  const every = drawSends(g);
  drawLines(g);
  drawOverview();
  const span = (state.to - state.from) / 1e6;
  $("hint").textContent = (every > 1 ? `1 of ${every} messages is drawn, zoom in for all · ` : "") +
    `${span < 0.01 ? (span * 1000).toFixed(3) + " ms" : span.toFixed(2) + " s"} in view · wheel: zoom · drag: move · hover: details`;
}

// ---------------------------------------------------------------- the story below

const ROWS_MAX = 400;
function tell(marked = -1) {
  const start = lowerBound(D.lines, (l) => l[0], state.from);
  const rows = [];
  let count = 0;
  for (let i = start; i < D.lines.length && D.lines[i][0] <= state.to; i++) {
    const [at, id, kind, text] = D.lines[i];
    if (kind === "log" && !LOGS.on) continue;
    const lane = id < 0 ? "world" : D.machines[id];
    if (!matches(`${lane} ${text}`)) continue;
    count++;
    if (rows.length >= ROWS_MAX && i < marked) rows.shift();
    if (rows.length < ROWS_MAX) rows.push([i, at, lane, kind, text]);
  }
  const body = $("lines").tBodies[0];
  body.textContent = "";
  for (const [i, at, lane, kind, text] of rows) {
    const row = body.insertRow();
    row.className = kind + (isWarning(text) ? " warn" : "") + (i === marked ? " marked" : "");
    row.dataset.at = at;
    for (const cell of [seconds(at), lane, text]) row.insertCell().textContent = cell;
    if (i === marked) row.scrollIntoView({ block: "center" });
  }
  $("story-count").textContent = count > ROWS_MAX ? `${ROWS_MAX} of ${count} lines; zoom in or filter for the others` : `${count} lines`;
}

let telling = 0;
function refresh() {
  requestAnimationFrame(draw);
  clearTimeout(telling); telling = setTimeout(tell, 120);
}

// ---------------------------------------------------------------- moving about

function show(from, to) {
  const least = 200, span = Math.min(D.end, Math.max(least, to - from));
  const start = Math.min(Math.max(0, from), Math.max(0, D.end - span));
  state.from = start; state.to = start + span; state.hover = null; $("tip").hidden = true;
  refresh();
}
function zoom(factor, around) {
  const at = around ?? (state.from + state.to) / 2;
  show(at - (at - state.from) * factor, at + (state.to - at) * factor);
}

canvas.addEventListener("wheel", (event) => {
  if (event.shiftKey) return;
  event.preventDefault();
  const box = canvas.getBoundingClientRect();
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    const by = (event.deltaX / width) * (state.to - state.from); show(state.from + by, state.to + by);
  } else zoom(event.deltaY > 0 ? 1.25 : 0.8, timeAt(event.clientX - box.left));
}, { passive: false });

let drag = null;
canvas.addEventListener("mousedown", (event) => { drag = { px: event.clientX, from: state.from, to: state.to, moved: false }; canvas.classList.add("dragging"); });
addEventListener("mouseup", (event) => {
  if (drag && !drag.moved && event.target === canvas) pick(event);
  drag = null; canvas.classList.remove("dragging");
});
addEventListener("mousemove", (event) => {
  if (drag) {
    const by = ((drag.px - event.clientX) / (width - GUTTER)) * (drag.to - drag.from);
    drag.moved = drag.moved || Math.abs(drag.px - event.clientX) > 3;
    if (drag.moved) show(drag.from + by, drag.to + by);
  } else if (event.target === canvas) hover(event);
  else if (!$("tip").hidden) { $("tip").hidden = true; state.hover = null; }
});

let sliding = false;
const slide = (event) => {
  const box = overview.getBoundingClientRect();
  const at = ((event.clientX - box.left - GUTTER) / (box.width - GUTTER - 10)) * D.end;
  const half = (state.to - state.from) / 2; show(at - half, at + half);
};
overview.addEventListener("mousedown", (event) => { sliding = true; if (state.to - state.from > D.end * 0.98) show(0, D.end / 6); slide(event); });
addEventListener("mousemove", (event) => { if (sliding) slide(event); });
addEventListener("mouseup", () => { sliding = false; });

function distance(px, py, x1, y1, x2, y2) {
  const dx = x2 - x1, dy = y2 - y1, l = dx * dx + dy * dy;
  const t = l === 0 ? 0 : Math.max(0, Math.min(1, ((px - x1) * dx + (py - y1) * dy) / l));
  return Math.hypot(px - x1 - t * dx, py - y1 - t * dy);
}

function nearestSend(px, py) {
  let best = null, least = 6;
  for (const send of drawn) {
    const x1 = x(send[0]), lost = send[1] === 0, x2 = lost ? x1 + 10 : x(send[1]);
    if (Math.min(x1, x2) > px + 8 || Math.max(x1, x2) < px - 8) continue;
    const y1 = L.lanes[send[2]].line, y2 = L.lanes[send[3]].line;
    const d = distance(px, py, x1, y1, x2, lost ? y1 + (y2 - y1) * 0.45 : y2);
    if (d < least) { least = d; best = send; }
  }
  return best;
}

function whatIsAt(px, py) {
  const at = timeAt(px), slack = ((state.to - state.from) / width) * 4;
  if (py < TOP - 8) {
    const found = D.faults.filter(([from, to]) => at >= from - slack && at <= to + slack);
    if (py < 42 && found.length) return { text: found.map(([from, to, text]) => `${seconds(from, 3)} to ${seconds(to, 3)} s: ${text}`).join("\n") };
    const leads = D.leaders.find(([from, to]) => at >= from && at <= to);
    return leads ? { text: `${D.machines[leads[2]]} seems to lead, ${seconds(leads[0], 1)} to ${seconds(leads[1], 1)} s` } : null;
  }
  const lane = L.order.find((l) => py >= l.top - 2 && py <= l.top + l.height + 2);
  if (lane && py > lane.top + LANE - 2) {
    const row = Math.floor((py - lane.top - LANE) / ROW);
    const bar = lane.jobs.find((b) => b.row === row && at >= b.f - slack && at <= b.t + slack);
    if (bar) return { text: `job ${bar.j ?? "?"} (${bar.k}) on ${lane.name}\nprocess ${bar.p} ${bar.n}\n${seconds(bar.f)} to ${seconds(bar.t)} s, ${((bar.t - bar.f) / 1e6).toFixed(3)} s\n${bar.e === "" ? "still lives at the end" : "ended: " + bar.e}` };
  }
  const send = nearestSend(px, py);
  if (send) {
    const [sent, arrives, source, target, , label, bytes, conn] = send;
    const way = arrives === 0 ? "never arrives" : `arrives ${seconds(arrives)} s, after ${((arrives - sent) / 1000).toFixed(3)} ms`;
    return { send, text: `${D.machines[source]} → ${D.machines[target]}: ${D.labels[label] || "bytes"}\nsent ${seconds(sent)} s, ${way}\n${bytes} bytes, connection #${conn}` };
  }
  return lane ? laneAt(lane, at, slack) : null;
}

function laneAt(lane, at, slack) {
  const parts = [];
  const start = lowerBound(D.lines, (l) => l[0], at - slack);
  for (let i = start; i < D.lines.length && D.lines[i][0] <= at + slack && parts.length < 6; i++) {
    const [when, id, kind, text] = D.lines[i];
    if (id === lane.id && kind in DOTS && (kind !== "log" || LOGS.on) && matches(text)) parts.push(`${seconds(when)} ${text}`);
  }
  if (lane.dark.some(([from, to]) => at >= from && at <= to)) parts.push(`${lane.name} has no power`);
  const broken = lane.links.filter((l) => at >= l[0] && at <= l[1]);
  const kinds = new Map();
  for (const [, , source, target, kind] of broken) {
    const list = kinds.get(kind) ?? []; list.push(`${D.machines[source]}→${D.machines[target]}`); kinds.set(kind, list);
  }
  for (const [kind, list] of kinds) parts.push(`links ${LINKS[kind]}: ${list.slice(0, 8).join(", ")}${list.length > 8 ? ` and ${list.length - 8} more` : ""}`);
  return parts.length ? { text: parts.join("\n") } : null;
}

function hover(event) {
  const box = canvas.getBoundingClientRect(), px = event.clientX - box.left, py = event.clientY - box.top;
  const found = px < GUTTER ? null : whatIsAt(px, py), tip = $("tip");
  const before = state.hover && state.hover.send;
  state.hover = found;
  tip.hidden = found === null;
  if (found) {
    tip.textContent = found.text;
    tip.style.left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8) + "px";
    tip.style.top = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8) + "px";
  }
  if (before !== (found && found.send)) requestAnimationFrame(draw);
}

/** A click marks the line of the story that is nearest in time, of the lane that was clicked. */
function pick(event) {
  const box = canvas.getBoundingClientRect(), at = timeAt(event.clientX - box.left), py = event.clientY - box.top;
  const lane = L.order.find((l) => py >= l.top && py <= l.top + l.height);
  let best = -1, least = Infinity;
  D.lines.forEach(([when, id, kind, text], i) => {
    if ((lane && id !== lane.id) || (kind === "log" && !LOGS.on) || !matches(text)) return;
    if (Math.abs(when - at) < least) { least = Math.abs(when - at); best = i; }
  });
  clearTimeout(telling); tell(best);
}

$("lines").addEventListener("click", (event) => {
  const row = event.target.closest("tr");
  if (!row) return;
  const at = Number(row.dataset.at), span = Math.min(state.to - state.from, 2e6);
  show(at - span / 2, at + span / 2);
});
$("filter").addEventListener("input", (event) => { state.words = event.target.value.trim().toLowerCase(); refresh(); });
$("colour").addEventListener("change", (event) => { state.colour = event.target.value; refresh(); });
$("zoom-in").onclick = () => zoom(0.5); $("zoom-out").onclick = () => zoom(2); $("fit").onclick = () => show(0, D.end);
const toFailure = () => { if (D.failed_at !== null) show(D.failed_at - 2.5e6, D.failed_at + 5e5); };
$("to-failure").onclick = toFailure;
$("to-failure").hidden = D.failed_at === null;
addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT") return;
  const step = (state.to - state.from) / 5;
  if (event.key === "+") zoom(0.5); else if (event.key === "-") zoom(2); else if (event.key === "0") show(0, D.end);
  else if (event.key === "f") toFailure();
  else if (event.key === "ArrowLeft") show(state.from - step, state.to - step);
  else if (event.key === "ArrowRight") show(state.from + step, state.to + step);
});
addEventListener("resize", refresh);

// ---------------------------------------------------------------- the head of the page

for (const choice of [...CLASSES, HEARTBEATS, LOGS]) {
  const label = document.createElement("label"), box = document.createElement("input"), swatch = document.createElement("span");
  box.type = "checkbox"; box.checked = choice.on; swatch.className = "swatch"; swatch.style.background = choice.colour;
  box.addEventListener("change", () => { choice.on = box.checked; refresh(); });
  label.append(box, swatch, choice.name);
  $("classes").append(label);
}
$("title").textContent = `${D.title}, seed ${D.seed}`;
document.title = `${D.title}, seed ${D.seed}`;
$("verdict").textContent = D.failure ?? "passed";
$("verdict").classList.toggle("bad", D.failure !== null);
$("story").textContent = D.story + (D.left_out ? ` (${D.left_out})` : "");
for (const reason of D.reasons) { const row = document.createElement("div"); row.textContent = "waiting: " + reason; $("reasons").append(row); }
// "#12.5-14" opens at these seconds.
const place = /^#([\d.]+)-([\d.]+)$/.exec(location.hash);
if (place) show(place[1] * 1e6, place[2] * 1e6); else show(0, D.end);
