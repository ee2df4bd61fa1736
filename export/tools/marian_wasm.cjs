#!/usr/bin/env node
// Translates with Marian itself: the WebAssembly build that browsers run, under node. What heed says of a model of
// Firefox's is compared with this (export/tools/marian_parity.py).
//
//     npm install @browsermt/bergamot-translator@0.4.9
//     export/tools/marian_wasm.cjs node_modules/@browsermt/bergamot-translator MODEL VOCAB LINES \
//       [--shortlist LEX] [--saturate | --own] [--set KEY=VALUE]... > OUT
//
// MODEL is a .bin, float32 or int8, VOCAB its vocabulary (two, separated by a comma, where the sides have their own), LINES
// a file with a sentence a line. OUT gets a line each. --set changes one of Marian's settings: --set allow-unk=true.
//
// The build imports its int8 products, so that a browser can bring its own. Here they are done with exact integers, as
// Firefox has them on processors with VNNI and on ARM. With --saturate two neighbouring products are added in 16 bits
// and cut there, which is what the instruction of SSSE3 and AVX2 does that Marian uses elsewhere. With --own the products
// are those of the build itself, which emulates SSSE3: the same, and the proof that nothing else differs.
"use strict";
const fs = require("node:fs");
const path = require("node:path");

const GEMM = {
  int8_prepare_a: "int8PrepareAFallback",
  int8_prepare_b: "int8PrepareBFallback",
  int8_prepare_b_from_transposed: "int8PrepareBFromTransposedFallback",
  int8_prepare_b_from_quantized_transposed: "int8PrepareBFromQuantizedTransposedFallback",
  int8_prepare_bias: "int8PrepareBiasFallback",
  int8_multiply_and_add_bias: "int8MultiplyAndAddBiasFallback",
  int8_select_columns_of_b: "int8SelectColumnsOfBFallback",
};
// Marian's settings of a student in a browser.
const CONFIG = {
  "beam-size": 1,
  normalize: 1.0,
  "word-penalty": 0,
  "max-length-break": 128,
  "mini-batch-words": 1024,
  workspace: 128,
  "max-length-factor": 2.0,
  "skip-cost": true,
  "cpu-threads": 0,
  quiet: true,
  "quiet-translation": true,
  alignment: "soft",
  "ssplit-mode": "sentence",
};

function usage(message) {
  process.stderr.write(`marian_wasm.cjs: ${message}\n`);
  process.exit(2);
}

function parse(argv) {
  const args = { paths: [], shortlist: null, saturate: false, own: false, set: {} };
  for (let i = 0; i < argv.length; ++i) {
    if (argv[i] === "--shortlist") args.shortlist = argv[++i];
    else if (argv[i] === "--saturate") args.saturate = true;
    else if (argv[i] === "--own") args.own = true;
    else if (argv[i] === "--set") {
      const [key, value] = (argv[++i] ?? "").split("=", 2);
      if (value === undefined) usage("--set: expected KEY=VALUE");
      args.set[key] = value;
    }
    else if (argv[i].startsWith("--")) usage(`${argv[i]}: no such option`);
    else args.paths.push(argv[i]);
  }
  if (args.paths.length !== 4) usage("expected PACKAGE MODEL VOCAB LINES");
  return args;
}

// The imported products over the module's memory. A is u8 [rows, width], shifted by 127; B is kept as s8 [columns,
// width]; all else is float32, rounded as the build rounds.
function products(memory, saturate) {
  const f = Math.fround;
  const floats = (at, n) => new Float32Array(memory.buffer, at, n);
  const signed = (at, n) => new Int8Array(memory.buffer, at, n);
  const unsigned = (at, n) => new Uint8Array(memory.buffer, at, n);
  const half_to_even = (x) => {
    const up = Math.round(x);
    return up - x === 0.5 && up % 2 !== 0 ? up - 1 : up;
  };
  const quantise = (x, multiplier) => Math.max(-127, Math.min(127, half_to_even(f(x * multiplier))));

  function exact(a, b, x, y, width) {
    let sum = 0;
    for (let k = 0; k < width; ++k) sum += a[x + k] * b[y + k];
    return sum;
  }
  function cut(a, b, x, y, width) {
    let sum = 0;
    for (let k = 0; k < width; k += 2) {
      const two = a[x + k] * b[y + k] + a[x + k + 1] * b[y + k + 1];
      sum += two > 32767 ? 32767 : two < -32768 ? -32768 : two;
    }
    return sum;
  }
  const dot = saturate ? cut : exact;

  return {
    int8_prepare_a(input, scale, zero, rows, width, output) {
      const from = floats(input, rows * width);
      const to = unsigned(output, rows * width);
      for (let i = 0; i < from.length; ++i) to[i] = quantise(from[i], scale) + 127;
    },
    int8_prepare_b(input, scale, zero, width, columns, output) {
      const from = floats(input, width * columns);
      const to = signed(output, width * columns);
      for (let k = 0; k < width; ++k)
        for (let c = 0; c < columns; ++c) to[c * width + k] = quantise(from[k * columns + c], scale);
    },
    int8_prepare_b_from_transposed(input, scale, zero, width, columns, output) {
      const from = floats(input, width * columns);
      const to = signed(output, width * columns);
      for (let i = 0; i < from.length; ++i) to[i] = quantise(from[i], scale);
    },
    int8_prepare_b_from_quantized_transposed(input, width, columns, output) {
      signed(output, width * columns).set(signed(input, width * columns));
    },
    int8_prepare_bias(b, scale_a, zero_a, scale_b, zero_b, width, columns, bias, output) {
      const from = signed(b, width * columns);
      const to = floats(output, columns);
      const own = bias === 0 ? new Float32Array(columns) : floats(bias, columns);
      const factor = f(f(-1 * f(f(127 / scale_a) * f(127 / scale_b))) / 127);
      for (let c = 0; c < columns; ++c) {
        let sum = 0;
        for (let k = 0; k < width; ++k) sum += from[c * width + k];
        to[c] = f(f(sum * factor) + own[c]);
      }
    },
    int8_multiply_and_add_bias(a, scale_a, zero_a, b, scale_b, zero_b, bias, factor, rows, width, columns, output) {
      const left = unsigned(a, rows * width);
      const right = signed(b, width * columns);
      const own = floats(bias, columns);
      const to = floats(output, rows * columns);
      const back = f(factor / f(scale_a * scale_b));
      for (let r = 0; r < rows; ++r)
        for (let c = 0; c < columns; ++c)
          to[r * columns + c] = f(f(dot(left, right, r * width, c * width, width) * back) + own[c]);
    },
    int8_select_columns_of_b(b, width, columns, indices, count, output) {
      const from = signed(b, width * columns);
      const to = signed(output, width * count);
      new Uint32Array(memory.buffer, indices, count).forEach((from_column, i) => {
        to.set(from.subarray(from_column * width, (from_column + 1) * width), i * width);
      });
    },
  };
}

// A container: what its items are called, their shapes and data, and its float32 or int8 kind. The layout:
// export/heed_export/marian/containers.py.
function readContainer(file) {
  const count = Number(file.readBigUInt64LE(8));
  const head = (i, field) => Number(file.readBigUInt64LE(16 + 32 * i + 8 * field));
  const parts = { name: [], shape: [], data: [] };
  let at = 16 + 32 * count;
  const take = (size) => file.subarray(at, (at += size));
  for (let i = 0; i < count; ++i) parts.name.push(take(head(i, 0)));
  for (let i = 0; i < count; ++i) parts.shape.push(take(4 * head(i, 2)));
  at += 8 + Number(file.readBigUInt64LE(at));
  for (let i = 0; i < count; ++i) parts.data.push(take(head(i, 3)));
  const names = parts.name.map((name) => name.toString("latin1").slice(0, -1));
  const int8 = names.some((_, i) => head(i, 1) === 0x4101);
  return { count, parts, names, int8 };
}

function precisionOf({ names, int8 }) {
  if (!int8) return "float32";
  return names.some((name) => name.endsWith("_QuantMultA")) ? "int8shiftAlphaAll" : "int8shiftAll";
}

// The container with Wemb_QuantMultA as well, which this version asks for where those that Firefox was made with have
// none_QuantMultA.
function withOutputAlpha(file, { count, parts, names }) {
  const alpha = names.indexOf("none_QuantMultA");
  if (alpha < 0 || names.includes("Wemb_QuantMultA")) return file;
  parts.name.push(Buffer.from("Wemb_QuantMultA\0"));
  parts.shape.push(parts.shape[alpha]);
  parts.data.push(parts.data[alpha]);
  const heads = Buffer.concat([file.subarray(16, 16 + 32 * count), file.subarray(16 + 32 * alpha, 48 + 32 * alpha)]);
  heads.writeBigUInt64LE(BigInt(parts.name[count].length), 32 * count);
  const start = Buffer.alloc(16);
  file.copy(start, 0, 0, 8);
  start.writeBigUInt64LE(BigInt(count + 1), 8);
  const before = Buffer.concat([start, heads, ...parts.name, ...parts.shape]);
  const padding = Buffer.alloc(8 + ((256 - ((before.length + 8) % 256)) % 256));
  padding.writeBigUInt64LE(BigInt(padding.length - 8), 0);
  return Buffer.concat([before, padding, ...parts.data]);
}

function load(folder, args) {
  return new Promise((resolve, reject) => {
    const glue = path.join(folder, "worker", "bergamot-translator-worker");
    const module = {
      instantiateWasm(info, accept) {
        const own = Object.fromEntries(
          Object.entries(GEMM).map(([name, fallback]) => [name, (...all) => module.asm[fallback](...all)]),
        );
        const gemm = args.own ? own : products(info.env.memory, args.saturate);
        WebAssembly.instantiate(fs.readFileSync(glue + ".wasm"), { ...info, wasm_gemm: gemm })
          .then(({ instance }) => accept(instance))
          .catch(reject);
        return {};
      },
      onRuntimeInitialized: () => resolve(module),
      onAbort: (what) => reject(new Error(`Marian ended: ${what}`)),
    };
    globalThis.Module = module;
    // The glue takes itself to be in a browser's worker.
    Object.assign(globalThis, { self: globalThis, importScripts() {}, location: { href: "file:///" } });
    (0, eval)(fs.readFileSync(glue + ".js", "utf8"));
  });
}

async function main() {
  const args = parse(process.argv.slice(2));
  const [folder, model_path, vocabulary_paths, lines_path] = args.paths;
  const marian = await load(folder, args);
  const aligned = (bytes, alignment) => {
    const memory = new marian.AlignedMemory(bytes.length, alignment);
    memory.getByteArrayView().set(new Int8Array(bytes));
    return memory;
  };
  const vocabularies = new marian.AlignedMemoryList();
  for (const p of vocabulary_paths.split(",")) vocabularies.push_back(aligned(fs.readFileSync(p), 64));
  const file = fs.readFileSync(model_path);
  const container = readContainer(file);
  const config = {
    ...CONFIG,
    "gemm-precision": precisionOf(container),
    ...(args.shortlist ? { shortlist: "[lex, false]" } : {}),
    ...args.set,
  };
  const model = new marian.TranslationModel(
    Object.entries(config)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join(""),
    aligned(withOutputAlpha(file, container), 256),
    aligned(args.shortlist ? fs.readFileSync(args.shortlist) : Buffer.alloc(0), 64),
    vocabularies,
    null,
  );
  const service = new marian.BlockingService({ cacheSize: 0 });
  const lines = fs.readFileSync(lines_path, "utf8").replace(/\n$/, "").split("\n");
  for (const line of lines) {
    const texts = new marian.VectorString();
    texts.push_back(line);
    const options = new marian.VectorResponseOptions();
    options.push_back({ alignment: false, html: false, qualityScores: false });
    const answers = service.translate(model, texts, options);
    process.stdout.write(answers.get(0).getTranslatedText().replace(/\n/g, " ") + "\n");
    for (const made of [answers, options, texts]) made.delete();
  }
}

main().catch((error) => {
  process.stderr.write(`marian_wasm.cjs: ${error.message.split("\n")[0]}\n`);
  process.exit(1);
});
