// Draws the map of a class over the image; page.js calls `choose`.
'use strict';

// Colors of the map, from what adds nothing to a score to what adds most.
const RAMP = [[8, 6, 30], [96, 20, 110], [200, 60, 70], [250, 150, 30], [252, 250, 170]];

// Show the map of one of the best classes.
function choose(rank) {
  element('classes').querySelectorAll('button').forEach((each, other) => {
    each.setAttribute('aria-pressed', String(other === rank));
  });
  const {data, dims: [, rows, columns]} = current.maps;
  const values = data.subarray(rank * rows * columns, (rank + 1) * rows * columns);
  const most = Math.max(...values, 1e-9);
  const map = element('map');
  [map.width, map.height] = [columns, rows];
  const colors = map.getContext('2d').createImageData(columns, rows);
  values.forEach((value, place) => colors.data.set([...color(value / most), 255], 4 * place));
  map.getContext('2d').putImageData(colors, 0, 0);
  const {left, top, width, height} = seenPart();
  Object.assign(map.style, {left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%`});
  const place = values.indexOf(Math.max(...values));
  const where = `${['top', 'middle', 'bottom'][Math.floor(3 * Math.floor(place / columns) / rows)]} ` +
    ['left', 'center', 'right'][Math.floor(3 * (place % columns) / columns)];
  const text = `What each place adds to the score of ${current.classes[rank]}: most at the ${where}.`;
  map.setAttribute('aria-label', text);
  set('mapped', `${text} Choose another class to see its map.`);
}

function color(value) {
  const at = Math.min(Math.max(value, 0), 1) * (RAMP.length - 1);
  const low = Math.min(Math.floor(at), RAMP.length - 2);
  return RAMP[low].map((from, channel) => from + (at - low) * (RAMP[low + 1][channel] - from));
}

// The part of the image that is left after resizing and cropping, in percent.
function seenPart() {
  const [height, width] = settings.image_size;
  let [wholeHeight, wholeWidth] = settings.resize_to;
  if (settings.resize === 'short') {
    const factor = wholeHeight / Math.min(current.width, current.height);
    [wholeHeight, wholeWidth] = [current.height * factor, current.width * factor];
  }
  return {
    left: 50 * (1 - width / wholeWidth), top: 50 * (1 - height / wholeHeight),
    width: 100 * width / wholeWidth, height: 100 * height / wholeHeight};
}
