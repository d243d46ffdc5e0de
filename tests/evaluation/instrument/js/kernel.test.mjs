// Products: WebAssembly, JavaScript and arithmetic by hand agree.

import assert from "node:assert/strict";
import test from "node:test";

import { Arena, kernelBytes } from "../../../../evaluation/instrument/js/kernel.mjs";

const random = (() => {
  let state = 7;
  return () => (state = (state * 16807) % 2147483647) / 1073741824 - 1;
})();

function product(plain, nOut, nIn, eightBits) {
  const rows = Float32Array.from({ length: nOut * nIn }, random);
  const vector = Float32Array.from({ length: nIn }, random);
  const arena = new Arena(nOut * nIn * 8 + 65536, plain);
  const input = arena.vector(nIn), output = arena.vector(nOut);
  input.set(vector);
  const scales = Float32Array.from({ length: nOut }, (_, row) => (1 + row % 3) / 127);
  const whole = Int8Array.from(rows, (x, i) => Math.round(x / scales[Math.floor(i / nIn)] / 4));
  const matrix = eightBits ? arena.matrix(whole, nOut, nIn, scales) : arena.matrix(rows, nOut, nIn, null);
  arena.multiply(matrix, input, output);
  const expected = Array.from({ length: nOut }, (_, row) => {
    let sum = 0;
    for (let i = 0; i < nIn; i++) {
      sum += vector[i] * (eightBits ? whole[row * nIn + i] * scales[row] : rows[row * nIn + i]);
    }
    return sum;
  });
  return Math.max(...expected.map((value, row) => Math.abs(value - output[row])));
}

test("the module is one that WebAssembly accepts", () => {
  assert.ok(WebAssembly.validate(kernelBytes()));
});

for (const plain of [false, true]) {
  for (const [nOut, nIn] of [[1, 1], [3, 5], [7, 33], [64, 575], [512, 1536]]) {
    test(`${nOut} x ${nIn}, ${plain ? "JavaScript" : "WebAssembly"}`, () => {
      assert.ok(product(plain, nOut, nIn, false) < 1e-4); // float32 over 1536 terms
      // The vector is rounded to 16 bits, 3e-5 of its largest number.
      assert.ok(product(plain, nOut, nIn, true) < 5e-3);
    });
  }
}

test("the largest sums in 8 bits do not overflow", () => {
  for (const nIn of [512, 544, 1536]) {
    const arena = new Arena(2 * nIn * 8 + 65536);
    const input = arena.vector(nIn), output = arena.vector(2);
    input.fill(1);
    const whole = new Int8Array(2 * nIn).fill(127).fill(-128, nIn);
    arena.multiply(arena.matrix(whole, 2, nIn, new Float32Array([1, 1])), input, output);
    assert.ok(Math.abs(output[0] / (127 * nIn) - 1) < 1e-5, `${output[0]} of ${nIn}`);
    assert.ok(Math.abs(output[1] / (-128 * nIn) - 1) < 1e-5, `${output[1]} of ${nIn}`);
  }
});

test("what is no number stays none in 8 bits", () => {
  const arena = new Arena(65536);
  const input = arena.vector(4), output = arena.vector(2);
  const matrix = arena.matrix(new Int8Array(8).fill(1), 2, 4, new Float32Array([1, 1]));
  input[1] = NaN;
  arena.multiply(matrix, input, output);
  assert.ok(output.every(Number.isNaN));
});

test("a full arena says so", () => {
  assert.throws(() => new Arena(100).vector(1e6), /full/);
});
