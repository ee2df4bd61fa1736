// Marian's own code as Firefox runs it (bergamot-translator, built for WebAssembly), under node, as work.py speaks. Its
// one argument is the specification's file: {worker: folder of bergamot-translator-worker.*, model, pieces, shortlist
// or null, precision: a gemm-precision of Marian}.
//
// What a browser gives it natively (wasm_gemm) is linked to the module's own fallbacks. A model that never ends is
// decoded to max-length-factor times the longest source of its batch; texts come sorted, in batches of one length.
"use strict";
const fs = require("fs");
const path = require("path");
const readline = require("readline");
const vm = require("vm");

const spec = JSON.parse(fs.readFileSync(process.argv[2], "utf-8"));
const FALLBACKS = {
  int8_prepare_a: "int8PrepareAFallback",
  int8_prepare_b: "int8PrepareBFallback",
  int8_prepare_b_from_transposed: "int8PrepareBFromTransposedFallback",
  int8_prepare_b_from_quantized_transposed: "int8PrepareBFromQuantizedTransposedFallback",
  int8_prepare_bias: "int8PrepareBiasFallback",
  int8_multiply_and_add_bias: "int8MultiplyAndAddBiasFallback",
  int8_select_columns_of_b: "int8SelectColumnsOfBFallback",
};
const FACTOR = 2.0;

function serve(module) {
  const memory = (file, alignment) => {
    const bytes = fs.readFileSync(file);
    const made = new module.AlignedMemory(bytes.length, alignment);
    made.getByteArrayView().set(bytes);
    return made;
  };
  const vocabularies = new module.AlignedMemoryList();
  vocabularies.push_back(memory(spec.pieces, 64));
  const config = `beam-size: ${spec.beam || 1}
normalize: 1.0
word-penalty: 0
max-length-break: 512
mini-batch-words: ${spec.batch_words}
workspace: 128
max-length-factor: ${FACTOR}
skip-cost: true
cpu-threads: 0
quiet: true
quiet-translation: true
gemm-precision: ${spec.precision}
alignment: soft
`;
  const shortlist = spec.shortlist ? memory(spec.shortlist, 64) : null;
  const model = new module.TranslationModel(config, memory(spec.model, 256), shortlist, vocabularies, null);
  const service = new module.BlockingService({ cacheSize: 0 });
  const translate = (lines) => {
    const input = new module.VectorString();
    const options = new module.VectorResponseOptions();
    for (const line of lines) {
      input.push_back(line);
      options.push_back({ qualityScores: false, alignment: false, html: false });
    }
    const responses = service.translate(model, input, options);
    let words = 0;
    for (let i = 0; i < lines.length; ++i) words += responses.get(i).getTranslatedText().split(" ").length;
    for (const one of [input, options, responses]) one.delete();
    return words;
  };
  const version = JSON.parse(fs.readFileSync(path.join(spec.worker, "../package.json"), "utf-8")).version;
  console.log(JSON.stringify({ versions: { "bergamot-translator": version, node: process.version }, notes: [] }));
  const prepared = new Map();
  readline.createInterface({ input: process.stdin }).on("line", (line) => {
    const [file, rows] = line.split("\t");
    if (!prepared.has(file)) {
      const lines = fs.readFileSync(file, "utf-8").trimEnd().split("\n");
      prepared.set(file, lines.sort((a, b) => b.split(" ").length - a.split(" ").length));
    }
    const lines = prepared.get(file);
    const started = process.hrtime.bigint();
    let tokens = 0;
    for (let first = 0; first < lines.length; first += Number(rows)) {
      tokens += translate(lines.slice(first, first + Number(rows)));
    }
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    console.log(JSON.stringify({ seconds, tokens }));
  });
}

function main() {
  global.self = { location: { href: "" } };
  global.require = require;
  global.__dirname = spec.worker;
  const wasm = fs.readFileSync(path.join(spec.worker, "bergamot-translator-worker.wasm"));
  global.Module = {
    instantiateWasm(info, accept) {
      const linked = Object.entries(FALLBACKS).map(([name, own]) => [name, (...all) => global.Module.asm[own](...all)]);
      WebAssembly.instantiate(wasm, { ...info, wasm_gemm: Object.fromEntries(linked) })
        .then(({ instance }) => accept(instance))
        .catch((error) => { console.error(error); process.exit(1); });
      return {};
    },
    onRuntimeInitialized() { serve(global.Module); },
  };
  vm.runInThisContext(fs.readFileSync(path.join(spec.worker, "bergamot-translator-worker.js"), "utf-8"));
}

main();
