#!/bin/bash
# Marian's WebAssembly build (bergamot-translator 0.4.9 from npm), as Firefox's students run in browsers.
#
# Expected: int8 products are sums of integers, so gemm-precision int8shiftAlphaAll gives a model the same translations
# whichever of the interchangeable implementations of its products (int8_multiply_and_add_bias) it is linked to.
# Seen: the products that the module brings itself (int8MultiplyAndAddBiasFallback) add two neighbouring products in 16
# bits and cut there; 3 of 19 lines differ from those of exact sums, and none from sums that are cut in that way.
#
# Needs node, npm and the network. The model is the small student of tests/data/marian.
set -euo pipefail
cd "$(dirname "$0")/.."
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
npm install --silent --no-fund --no-audit --prefix "$temporary" @browsermt/bergamot-translator@0.4.9
package=$temporary/node_modules/@browsermt/bergamot-translator
data=tests/data/marian

translate() {
  node export/tools/marian_wasm.cjs "$package" "$data/model.enxx.intgemm.alphas.bin" "$data/vocab.enxx.spm" \
    "$data/lines.src" "$@"
}
translate --own > "$temporary/own"
translate > "$temporary/exact"
translate --saturate > "$temporary/cut"

differ() { paste -d '\n' "$1" "$2" | awk 'NR % 2 { left = $0; next } left != $0 { n++ } END { print n + 0 }'; }
lines=$(wc -l < "$temporary/own")
from_exact=$(differ "$temporary/own" "$temporary/exact")
from_cut=$(differ "$temporary/own" "$temporary/cut")
echo "bergamot-translator 0.4.9: $lines lines; own differ from exact: $from_exact; own differ from cut: $from_cut"
[ "$lines" = 19 ] && [ "$from_exact" = 3 ] && [ "$from_cut" = 0 ]
