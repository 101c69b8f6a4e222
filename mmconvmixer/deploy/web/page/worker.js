// Computes in the background: loads the network, decodes images, and answers with their classes.
// A message {id, device} loads, {id, image} classifies; the answer has the same id.

// Larger images are shrunk by the browser first: the canvas of some phones holds no more pixels.
const MOST_PIXELS = 4096 * 4096;
const RUNTIMES = {
  wasm: ['ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm.gz'],
  webgpu: ['ort.webgpu.bundle.min.mjs', 'ort-wasm-simd-threaded.asyncify.wasm.gz'],
};
let ort;
let session;

self.onmessage = async ({data}) => {
  try {
    postMessage({id: data.id, ...(data.device ? await load(data.device) : await classify(data.image))});
  } catch (error) {
    postMessage({id: data.id, error: error.message || String(error)});
  }
};

async function load(device) {
  const [library, program] = RUNTIMES[device];
  const [code, model] = await Promise.all([bytes(`runtime/${program}`), bytes('model.onnx')]);
  ort = await import(`./runtime/${library}`);
  // Threads share memory, which browsers allow on isolated pages only.
  const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 8) : 1;
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmBinary = await decompressed(code);
  session = await ort.InferenceSession.create(
    model, {executionProviders: [device], logSeverityLevel: 3}); // errors
  await run(new Uint8Array(64 * 64 * 3), 64, 64); // the first run is slower
  return {threads};
}

async function bytes(path) {
  const response = await fetch(path).catch(() => ({ok: false, status: 'no answer'}));
  if (!response.ok) {
    throw new Error(`${path} could not be loaded (${response.status}); the host needs the whole folder`);
  }
  return new Uint8Array(await response.arrayBuffer());
}

async function decompressed(data) {
  // Some hosts decompress files of this name by themselves.
  if (data[0] !== 0x1f || data[1] !== 0x8b) {
    return data.buffer;
  }
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).arrayBuffer();
}

async function classify(image) {
  const started = performance.now();
  const {pixels, width, height, shrunk} = await decoded(image);
  const ready = performance.now();
  const found = await run(pixels, width, height);
  return {
    classes: [...found.classes.data],
    scores: [...found.scores.data],
    maps: found.maps ? {data: found.maps.data, dims: found.maps.dims} : null,
    decoding: ready - started, computing: performance.now() - ready, shrunk,
  };
}

function run(pixels, width, height) {
  return session.run({image: new ort.Tensor('uint8', pixels, [height, width, 3])});
}

async function decoded(image) {
  // Like OpenCV, this follows the orientation, and does not apply color profiles.
  const options = {colorSpaceConversion: 'none', imageOrientation: 'from-image'};
  let bitmap = await createImageBitmap(image, options);
  const pixels = bitmap.width * bitmap.height;
  if (pixels > MOST_PIXELS) {
    const factor = Math.sqrt(MOST_PIXELS / pixels);
    const whole = bitmap;
    bitmap = await createImageBitmap(whole, {
      resizeWidth: Math.max(1, Math.floor(whole.width * factor)),
      resizeHeight: Math.max(1, Math.floor(whole.height * factor)), resizeQuality: 'high'});
    whole.close();
  }
  const {width, height} = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return {pixels: rgb, width, height, shrunk: pixels > MOST_PIXELS};
}
