// What is on the page: takes an image, hands it to worker.js, and shows the answer.
'use strict';

// As many as Python takes, where it is Pillow's limit.
const MOST_PIXELS = 178956970;
const NEEDED = ['Worker', 'WebAssembly', 'createImageBitmap', 'OffscreenCanvas', 'DecompressionStream'];

const element = (id) => document.getElementById(id);
const set = (id, text) => { element(id).textContent = text; };
const show = (id, shown = true) => { element(id).hidden = !shown; };
const count = (number, one, many) => `${number.toLocaleString('en')} ${number === 1 ? one : many}`;

let settings;
let device = 'wasm';
let computing; // what runs on the device: a worker, and a promise that it is ready
let asked; // the image that is being classified, or was
let current; // the same, with its answer
let number = 0; // of the image that was given last: answers to earlier ones are not shown
let stream; // of the camera

function problem(text) {
  set('problem', text);
  show('problem', Boolean(text));
  if (text) {
    set('status', '');
  }
}

async function start() {
  if (location.protocol === 'file:') {
    return problem('This page was opened as a file, and browsers do not let a file load the network ' +
      'beside it. Run "python -m http.server" in the folder of this page, and open ' +
      'http://localhost:8000. Any other web server does, too.');
  }
  const missing = NEEDED.filter((name) => !(name in window));
  if (missing.length) {
    return problem(`This browser lacks ${missing.join(', ')}. Use a newer one.`);
  }
  try {
    const response = await fetch('classifier.json');
    settings = await response.json();
  } catch (error) {
    return problem('classifier.json could not be loaded; the host needs the whole folder.');
  }
  document.title = `${settings.name}: image classifier`;
  set('name', settings.name);
  set('about', `${count(settings.classes, 'class', 'classes')}, ` +
    `${settings.dtype}. Everything is computed on this device; no image leaves it.`);
  set('runtime', settings.runtime);
  listen();
  const adapter = navigator.gpu ? await navigator.gpu.requestAdapter().catch(() => null) : null;
  const lacks = !adapter ? 'not in this browser' :
    settings.dtype === 'float16' && !adapter.features.has('shader-f16') ? 'without float16 here' : '';
  document.querySelector('[value=webgpu]').disabled = Boolean(lacks);
  set('webgpu', lacks ? `WebGPU (${lacks})` : 'WebGPU');
  await use('wasm');
  show('inputs');
  show('devices');
  show('paste', Boolean(navigator.clipboard && navigator.clipboard.read));
  show('camera', Boolean(navigator.mediaDevices && navigator.mediaDevices.getUserMedia));
}

// Start a worker for a device, and load the network there.
async function use(wanted) {
  if (computing) {
    computing.worker.terminate();
    computing.waiting.forEach(({reject}) => reject(new Error('')));
  }
  device = wanted;
  const worker = new Worker('worker.js', {type: 'module'});
  const waiting = new Map();
  computing = {worker, waiting};
  worker.onmessage = ({data: {id, error, ...answer}}) => {
    const {resolve, reject} = waiting.get(id);
    waiting.delete(id);
    error === undefined ? resolve(answer) : reject(new Error(error));
  };
  worker.onerror = (event) => {
    waiting.forEach(({reject}) => reject(new Error(event.message || 'worker.js could not be loaded')));
    waiting.clear();
  };
  set('status', 'Loading the network.');
  problem('');
  computing.ready = ask({device});
  try {
    const {threads} = await computing.ready;
    set('wasm', `WASM (${count(threads, 'thread', 'threads')})`);
    computing.name = device === 'wasm' ? `WASM with ${count(threads, 'thread', 'threads')}` : 'WebGPU';
    set('status', 'Ready for an image.');
  } catch (error) {
    failed('The network could not be loaded', error);
  }
}

function ask(message) {
  const id = ask.last = (ask.last || 0) + 1;
  const {worker, waiting} = computing;
  return new Promise((resolve, reject) => {
    waiting.set(id, {resolve, reject});
    worker.postMessage({id, ...message});
  });
}

function failed(what, error) {
  if (error.message) { // none: another device was chosen meanwhile
    problem(`${what}: ${error.message}`);
  }
}

async function classify(file) {
  const mine = ++number;
  problem('');
  set('status', 'Reading the image.');
  const image = new Image();
  const name = file.name || 'The image';
  image.src = URL.createObjectURL(file);
  const readable = await new Promise((done) => {
    image.onload = () => done(true);
    image.onerror = () => done(false);
  });
  const {naturalWidth: width, naturalHeight: height} = image;
  if (mine !== number || !readable || width * height > MOST_PIXELS) {
    URL.revokeObjectURL(image.src);
    if (mine === number) {
      problem(readable ? `${name} has ${count(width * height, 'pixel', 'pixels')}, more than the ` +
        `${MOST_PIXELS.toLocaleString('en')} that this page takes. Make it smaller first.` :
        `${name} is not an image that this browser can read.`);
    }
    return;
  }
  await answer(mine, {file, image, name, width, height});
}

async function answer(mine, given) {
  asked = given;
  set('status', 'Computing.');
  try {
    await computing.ready;
    const found = await ask({image: given.file});
    if (mine === number) {
      current = {...given, ...found};
      present();
    }
  } catch (error) {
    if (mine === number) {
      failed(`${given.name} could not be classified`, error);
    }
  }
}

function present() {
  const {image, name, width, height, classes, scores, computing: run, decoding, shrunk} = current;
  const shown = element('frame').querySelector('img');
  if (shown && shown !== image) {
    URL.revokeObjectURL(shown.src);
    shown.remove();
  }
  image.alt = name;
  image.className = Math.max(width, height) < 128 ? 'small' : '';
  element('frame').prepend(image);
  element('classes').replaceChildren(...classes.map((each, rank) => line(each, scores[rank], rank)));
  set('time', `${run.toFixed(run < 10 ? 1 : 0)} ms by ${computing.name}, after ` +
    `${decoding.toFixed(0)} ms for decoding.`);
  set('seen', `${name}, ${width} × ${height} pixels.` + (current.maps ? ' The map covers what the ' +
    'network sees.' : '') + (shrunk ? ' It was made smaller first, so scores differ slightly from ' +
    'those in Python.' : ''));
  show('mapping', Boolean(current.maps));
  show('map', Boolean(current.maps));
  show('answer');
  set('status', `${classes[0]}, ${percent(scores[0])}.`);
  if (current.maps) {
    choose(0);
  }
}

const percent = (score) => `${(100 * score).toFixed(1)} %`;

function line(name, score, rank) {
  const item = document.createElement('li');
  const row = document.createElement(current.maps ? 'button' : 'div');
  row.className = 'class';
  if (current.maps) {
    row.type = 'button';
    row.onclick = () => choose(rank);
  }
  for (const [kind, text] of [['label', name], ['score', percent(score)], ['track', '']]) {
    const part = document.createElement('span');
    part.className = kind;
    part.textContent = text;
    row.append(part);
  }
  const bar = document.createElement('span');
  bar.className = 'bar';
  bar.style.width = `${100 * score}%`;
  row.lastChild.append(bar);
  item.append(row);
  return item;
}

function listen() {
  const first = (files) => files && files.length && classify(files[0]);
  element('file').onchange = ({target}) => { first(target.files); target.value = ''; };
  document.addEventListener('paste', (event) => first(event.clipboardData.files));
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('dropping');
  });
  document.addEventListener('dragleave', (event) => {
    event.relatedTarget || document.body.classList.remove('dropping');
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dropping');
    first(event.dataTransfer.files) || problem('That was not a file. Drop an image file.');
  });
  element('paste').onclick = paste;
  element('camera').onclick = openCamera;
  element('take').onclick = take;
  element('close').onclick = closeCamera;
  element('strength').oninput = strengthen;
  strengthen();
  document.querySelectorAll('[name=device]').forEach((each) => {
    each.onchange = async () => {
      await use(each.value);
      if (asked && device === each.value) {
        answer(++number, asked);
      }
    };
  });
}

function strengthen() {
  element('map').style.opacity = element('strength').value / 100;
}

async function paste() {
  try {
    for (const item of await navigator.clipboard.read()) {
      const type = item.types.find((each) => each.startsWith('image/'));
      if (type) {
        return classify(await item.getType(type));
      }
    }
    problem('The clipboard holds no image.');
  } catch (error) {
    problem('The browser does not let this page read the clipboard. Press Ctrl+V or ⌘V instead.');
  }
}

async function openCamera() {
  problem('');
  try {
    stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: 'environment'}});
  } catch (error) {
    return problem(`The camera cannot be used: ${error.message}.`);
  }
  element('video').srcObject = stream;
  await element('video').play();
  show('taking');
  element('take').focus();
}

function closeCamera() {
  stream.getTracks().forEach((track) => track.stop());
  show('taking', false);
  element('camera').focus();
}

async function take() {
  const video = element('video');
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext('2d').drawImage(video, 0, 0);
  closeCamera();
  classify(await canvas.convertToBlob({type: 'image/png'}));
}

start();
