/**
 * The chart: for each operation, how many times a peer's time skep takes, on a logarithmic scale. Colours
 * are readable on light and on dark ground; the file needs nothing else.
 */

/** @import { ResultRow } from './report.mjs' */

/**
 * @typedef {object} Caption What the chart says beside the figures.
 * @property {string} title
 * @property {readonly string[]} lines below: machine, versions, how it was measured
 */

/** Colours of the peers, from the palette of Okabe and Ito, which most eyes can tell apart. */
const COLOURS = new Map([
  ['libbpf', '#2a85cc'],
  ['C', '#7f7f7f'],
  ['libbpf batch', '#56b4e9'],
  ['cilium', '#d55e00'],
  ['cilium batch', '#e69f00'],
  ['aya', '#009e73'],
  ['npm bpf', '#cc79a7'],
]);
/** What the legend calls them. */
const TITLES = new Map([
  ['libbpf', 'libbpf (C)'],
  ['C', 'plain C'],
  ['libbpf batch', 'libbpf, batches'],
  ['cilium', 'cilium/ebpf (Go)'],
  ['cilium batch', 'cilium/ebpf, batches'],
  ['aya', 'aya (Rust)'],
  ['npm bpf', 'npm bpf (Node.js)'],
]);

/** What groups of rows are called: the suites. */
const HEADINGS = new Map([
  ['open', 'Opening an object'],
  ['open-many', 'Opening an object with many maps or programs'],
  ['kernel-btf', "The kernel's BTF"],
  ['map-ops', 'Entries of maps (system calls), each'],
  ['maps-of-maps', 'Maps of maps'],
  ['memory', 'Entries of an array in memory, each'],
  ['programs', 'Loading programs (outside: without the time in bpf(2))'],
  ['ring', 'Records of a ring buffer, each'],
]);

const WIDTH = 960;
const LEFT = 380;
const RIGHT = 24;
/** Characters that fit in front of the figures; longer names go without what is in brackets. */
const LABEL = 52;
const ROW = 17;
const HEADING = 24;
const TOP = 100;
const DOT = 3.6;
const CAPTION_LINE = 15;
/** Characters of a caption that fit beside each other. */
const CAPTION = 150;
/** Heights at which dots lie that would cover each other, around the middle of the row. */
const LANES = [0, -4, 4, -7];
/** How close dots may come at the same height. */
const APART = 2 * DOT;

const STYLE = `
  text { font: 12px system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328; }
  .ground { fill: #ffffff; }
  .title { font-size: 17px; font-weight: 600; }
  .heading { font-weight: 600; }
  .dim { fill: #59636e; font-size: 11px; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .one { stroke: #59636e; stroke-width: 1.5; }
  .dot { stroke: #ffffff; stroke-width: 0.8; }
  .faster { fill: #1a7f37; fill-opacity: 0.07; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .ground { fill: #0d1117; }
    .dot { stroke: #0d1117; }
    .dim { fill: #9198a1; }
    .grid { stroke: #3d444d; }
    .one { stroke: #9198a1; }
  }
`;

/**
 * Draws the chart.
 * @param {readonly ResultRow[]} rows
 * @param {Caption} caption
 * @returns {string} an SVG document
 */
export function renderChart(rows, { title, lines: sentences }) {
  const lines = sentences.flatMap(wrapped);
  const drawn = rows.filter(({ ratios }) => ratios.length > 0);
  const scale = scaleFor(drawn);
  /** @type {string[]} */
  const body = [];
  let y = TOP;
  let suite = '';
  for (const row of drawn) {
    if (row.suite !== suite) {
      suite = row.suite;
      body.push(text(16, y + 16, HEADINGS.get(suite) ?? suite, 'heading'));
      y += HEADING;
    }
    body.push(drawRow(row, y + ROW / 2, scale));
    y += ROW;
  }
  const bottom = y + 8;
  const height = bottom + 38 + lines.length * CAPTION_LINE;
  const captions = lines.map((line, index) =>
    text(16, bottom + 42 + index * CAPTION_LINE, line, 'dim'),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="ground" width="${WIDTH}" height="${height}"/>`,
    text(16, 28, title, 'title'),
    drawLegend(drawn),
    drawAxis(scale, bottom),
    ...body,
    ...captions,
    '</svg>',
    '',
  ].join('\n');
}

/** @typedef {{ from: number, to: number, x: (ratio: number) => number }} Scale powers of ten */

/**
 * A scale on which all figures lie.
 * @param {readonly ResultRow[]} rows
 * @returns {Scale}
 */
function scaleFor(rows) {
  const values = rows.flatMap(({ ratios }) => ratios.map(({ median }) => Math.log10(median)));
  const from = Math.floor(Math.min(-1, ...values));
  const to = Math.ceil(Math.max(1, ...values));
  const width = WIDTH - LEFT - RIGHT;
  return { from, to, x: (ratio) => LEFT + ((Math.log10(ratio) - from) / (to - from)) * width };
}

/**
 * @param {ResultRow} row
 * @param {number} y its middle
 * @param {Scale} scale
 */
function drawRow({ name, ratios }, y, scale) {
  const clamp = (/** @type {number} */ ratio) =>
    scale.x(Math.min(10 ** scale.to, Math.max(10 ** scale.from, ratio))).toFixed(1);
  const lanes = lanesOf(ratios.map(({ median }) => Number(clamp(median))));
  const marks = ratios.map(({ against, median, low, high }, index) => {
    const height = y + (lanes[index] ?? 0);
    const colour = COLOURS.get(against) ?? '#888888';
    const tip = `${against}: ${median.toPrecision(3)} (${low.toPrecision(3)} to ${high.toPrecision(3)})`;
    return [
      `<line x1="${clamp(low)}" x2="${clamp(high)}" y1="${height}" y2="${height}" stroke="${colour}" stroke-width="1.5"/>`,
      `<circle class="dot" cx="${clamp(median)}" cy="${height}" r="${DOT}" fill="${colour}"><title>${escaped(tip)}</title></circle>`,
    ].join('');
  });
  const guide = `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}" stroke-dasharray="1 4"/>`;
  const label = name.length > LABEL ? name.replace(/ \(.*\)$/, '') : name;
  return [guide, text(LEFT - 10, y + 4, label, '', 'end'), ...marks].join('\n');
}

/**
 * Heights at which the dots of a row do not cover each other, as long as there are lanes.
 * @param {readonly number[]} places where they lie on the scale
 * @returns {number[]} of each, from the middle of the row
 */
function lanesOf(places) {
  /** @type {Map<number, number>} */
  const chosen = new Map();
  for (const [index, place] of places.entries()) {
    const near = [...chosen].filter(([other]) => Math.abs((places[other] ?? 0) - place) < APART);
    const taken = near.map(([, lane]) => lane);
    chosen.set(index, LANES.find((lane) => !taken.includes(lane)) ?? 0);
  }
  return places.map((_, index) => chosen.get(index) ?? 0);
}

/**
 * @param {string} sentence
 * @returns {string[]} lines of at most {@link CAPTION} characters
 */
function wrapped(sentence) {
  /** @type {string[]} */
  const lines = [];
  let line = '';
  for (const word of sentence.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > CAPTION) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/**
 * The lines of the powers of ten, and what they mean.
 * @param {Scale} scale
 * @param {number} bottom
 */
function drawAxis(scale, bottom) {
  const top = TOP - 14;
  const powers = Array.from({ length: scale.to - scale.from + 1 }, (_, at) => scale.from + at);
  const ground = `<rect class="faster" x="${LEFT}" y="${top}" width="${scale.x(1) - LEFT}" height="${bottom - top}"/>`;
  const lines = powers.map((power) => {
    const x = scale.x(10 ** power).toFixed(1);
    const label = power < 0 ? `1/${10 ** -power}` : `${10 ** power}x`;
    return [
      `<line class="${power === 0 ? 'one' : 'grid'}" x1="${x}" x2="${x}" y1="${top}" y2="${bottom}"/>`,
      text(Number(x), bottom + 16, label, 'dim', 'middle'),
    ].join('');
  });
  return [
    ground,
    ...lines,
    text(scale.x(1) - 8, top - 6, '← skep is faster', 'dim', 'end'),
    text(scale.x(1) + 8, top - 6, 'the peer is faster →', 'dim'),
  ].join('\n');
}

/** @param {readonly ResultRow[]} rows */
function drawLegend(rows) {
  const used = new Set(rows.flatMap(({ ratios }) => ratios.map(({ against }) => against)));
  const shown = [...TITLES].filter(([peer]) => used.has(peer));
  let x = 16;
  return shown
    .map(([peer, title]) => {
      const entry = `<circle cx="${x + 4}" cy="50" r="${DOT + 0.6}" fill="${COLOURS.get(peer)}"/>${text(x + 13, 54, title)}`;
      x += 32 + title.length * 6.6;
      return entry;
    })
    .join('\n');
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} content
 * @param {string} [kind] class
 * @param {'start' | 'middle' | 'end'} [anchor]
 */
function text(x, y, content, kind = '', anchor = 'start') {
  const attributes = [
    ...(kind === '' ? [] : [` class="${kind}"`]),
    ...(anchor === 'start' ? [] : [` text-anchor="${anchor}"`]),
  ];
  return `<text x="${x}" y="${y}"${attributes.join('')}>${escaped(content)}</text>`;
}

/** @param {string} content */
function escaped(content) {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
