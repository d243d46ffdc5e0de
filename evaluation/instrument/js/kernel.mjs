// Products of matrices and vectors, where a decoder spends its time.
//
// A WebAssembly module of two functions is assembled here, byte by byte: the same in
// JavaScript takes four to ten times as long, and a GRU of 4.8 million weights would not
// play in real time. Where WebAssembly has no SIMD, JavaScript does the work.
//
// Matrices are [nOut, nIn], row by row. In 32-bit floats, or in 8-bit integers with one
// scale for each row; then the vector is rounded on the way, to 16 bits or as many as fit.

const LANES = 32; // numbers to which rows and vectors are padded with zeros
const PAGE = 65536; // bytes of a page of WebAssembly memory
const MAX_I16 = 32767;

/** Rounds a count up to whole groups of lanes. */
export function padded(count) {
  return Math.ceil(count / LANES) * LANES;
}

// ---- the assembler: opcodes as the WebAssembly specification numbers them

const I32 = 0x7f, V128 = 0x7b, EMPTY = 0x40;
const op = {
  block: 0x02, loop: 0x03, brIf: 0x0d, end: 0x0b, get: 0x20, set: 0x21, tee: 0x22,
  i32Const: 0x41, i32Add: 0x6a, i32Sub: 0x6b, i32Mul: 0x6c, ltU: 0x49,
  f32Add: 0x92, f32Store: 0x38, i32Store: 0x36,
};
const simd = {
  load: [0xfd, 0x00], load8x8: [0xfd, 0x01], constant: [0xfd, 0x0c],
  f32Lane: [0xfd, 0x1f], i32Lane: [0xfd, 0x1b],
  f32Add: [0xfd, 0xe4, 0x01], f32Mul: [0xfd, 0xe6, 0x01],
  i32Add: [0xfd, 0xae, 0x01], dot: [0xfd, 0xba, 0x01],
};

/** An unsigned number in LEB128. */
function leb(value) {
  const bytes = [];
  do {
    bytes.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    value >>>= 7;
  } while (value);
  return bytes;
}

/** A small constant in signed LEB128. */
const signed = (value) => (value < 64 ? [value] : [(value & 0x7f) | 0x80, value >> 7]);

const get = (local) => [op.get, local];
const set = (local) => [op.set, local];
const at = (align, offset = 0) => [align, ...leb(offset)];
const zero128 = [...simd.constant, ...new Array(16).fill(0)];
const grow = (local, bytes) => [...get(local), op.i32Const, ...signed(bytes), op.i32Add, ...set(local)];

// Locals of both functions: five arguments, then what they need on the way.
const W = 0, X = 1, OUT = 2, ROWS = 3, WIDTH = 4, XI = 5, END = 6, ACC = 7;
const UNROLLED = [0, 1, 2, 3]; // vectors of 128 bits that a step multiplies

/**
 * The body of a product: for every row, sums of lanes, then the sum of the lanes.
 * @param {object} form What differs: bytes a step, the step itself, adding, storing.
 * @returns {number[]} Bytes of the function.
 */
function productBody({ weightBytes, vectorBytes, vectorItem, step, add, lane, addLane, store }) {
  const lanes = [0, 1, 2, 3].flatMap((index) => [...get(ACC), ...lane, index, ...(index ? addLane : [])]);
  const body = [
    op.loop, EMPTY, // a row
    ...UNROLLED.flatMap((i) => [...zero128, ...set(ACC + i)]),
    ...get(X), op.tee, XI, ...get(WIDTH), op.i32Const, vectorItem, op.i32Mul, op.i32Add, ...set(END),
    op.loop, EMPTY, // a few columns
    ...UNROLLED.flatMap((i) => step(ACC + i, i)),
    ...grow(W, weightBytes), ...grow(XI, vectorBytes),
    ...get(XI), ...get(END), op.ltU, op.brIf, 0, op.end,
    ...get(ACC), ...UNROLLED.slice(1).flatMap((i) => [...get(ACC + i), ...add]), ...set(ACC),
    ...get(OUT), ...lanes, ...store, ...grow(OUT, 4),
    ...get(ROWS), op.i32Const, 1, op.i32Sub, op.tee, ROWS, op.brIf, 0, op.end,
    op.end,
  ];
  const locals = [2, 2, I32, UNROLLED.length, V128];
  return [...leb(locals.length + body.length), ...locals, ...body];
}

const floatStep = (acc, i) => [
  ...get(acc), ...get(W), ...simd.load, ...at(2, 16 * i),
  ...get(XI), ...simd.load, ...at(2, 16 * i), ...simd.f32Mul, ...simd.f32Add, ...set(acc),
];
const byteStep = (acc, i) => [
  ...get(acc), ...get(W), ...simd.load8x8, ...at(0, 8 * i),
  ...get(XI), ...simd.load, ...at(1, 16 * i), ...simd.dot, ...simd.i32Add, ...set(acc),
];

/** The module's bytes: functions `f` (floats) and `b` (bytes) over an imported memory. */
export function kernelBytes() {
  const section = (id, bytes) => [id, ...leb(bytes.length), ...bytes];
  const floats = productBody({
    weightBytes: 64, vectorBytes: 64, vectorItem: 4, step: floatStep, add: simd.f32Add,
    lane: simd.f32Lane, addLane: [op.f32Add], store: [op.f32Store, ...at(2)],
  });
  const bytes = productBody({
    weightBytes: 32, vectorBytes: 64, vectorItem: 2, step: byteStep, add: simd.i32Add,
    lane: simd.i32Lane, addLane: [op.i32Add], store: [op.i32Store, ...at(2)],
  });
  const name = (text) => [text.length, ...[...text].map((c) => c.charCodeAt(0))];
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [1, 0x60, 5, I32, I32, I32, I32, I32, 0]),
    ...section(2, [1, ...name("e"), ...name("m"), 2, 0, 1]),
    ...section(3, [2, 0, 0]),
    ...section(7, [2, ...name("f"), 0, 0, ...name("b"), 0, 1]),
    ...section(10, [2, ...floats, ...bytes]),
  ]);
}

// ---- vectors and matrices in one memory

/** Memory in which vectors and matrices lie, and the products over it. */
export class Arena {
  /**
   * @param {number} nBytes What will be allocated in all, at most.
   * @param {boolean} [plain] Whether to do without WebAssembly.
   */
  constructor(nBytes, plain = false) {
    const pages = Math.ceil(nBytes / PAGE) + 1;
    const bytes = kernelBytes();
    const usable = !plain && typeof WebAssembly === "object" && WebAssembly.validate(bytes);
    if (usable) {
      const memory = new WebAssembly.Memory({ initial: pages });
      const kernel = new WebAssembly.Module(bytes);
      this.functions = new WebAssembly.Instance(kernel, { e: { m: memory } }).exports;
      this.buffer = memory.buffer;
    } else {
      this.functions = null;
      this.buffer = new ArrayBuffer(pages * PAGE);
    }
    this.used = PAGE / 64; // address 0 stays free
    this.rounded = null; // a vector in 16 bits, for matrices in 8
  }

  /** An address for so many bytes, aligned for SIMD. */
  allocate(nBytes) {
    const address = this.used;
    this.used += Math.ceil(nBytes / 64) * 64;
    if (this.used > this.buffer.byteLength) throw new Error("the arena is full");
    return address;
  }

  /** A vector of zeros whose padding stays zero. */
  vector(size) {
    const address = this.allocate(4 * padded(size));
    return new Float32Array(this.buffer, address, size);
  }

  /**
   * Copies a matrix in.
   * @param {Float32Array|Int8Array} values Row by row.
   * @param {number} nOut Rows.
   * @param {number} nIn Columns.
   * @param {Float32Array|null} scales Of the rows, for 8 bits.
   */
  matrix(values, nOut, nIn, scales) {
    const width = padded(nIn);
    const Kind = scales ? Int8Array : Float32Array;
    const address = this.allocate(Kind.BYTES_PER_ELEMENT * nOut * width);
    const stored = new Kind(this.buffer, address, nOut * width);
    for (let row = 0; row < nOut; row++) {
      stored.set(values.subarray(row * nIn, (row + 1) * nIn), row * width);
    }
    if (scales && !(this.rounded?.length >= width)) {
      this.rounded = new Int16Array(this.buffer, this.allocate(2 * width), width);
    }
    return { stored, address, nOut, nIn, width, scales };
  }

  /**
   * output = matrix times vector.
   * @param {object} matrix From `matrix`.
   * @param {Float32Array} vector From `vector`, [nIn].
   * @param {Float32Array} output From `vector`, [nOut].
   */
  multiply(matrix, vector, output) {
    if (matrix.scales) this.multiplyBytes(matrix, vector, output);
    else if (this.functions) {
      this.functions.f(matrix.address, vector.byteOffset, output.byteOffset, matrix.nOut, matrix.width);
    } else multiplyPlainly(matrix, vector, output);
  }

  multiplyBytes(matrix, vector, output) {
    const { rounded, functions } = this;
    let largest = 0;
    for (let i = 0; i < matrix.nIn; i++) largest = Math.max(largest, Math.abs(vector[i]));
    if (!(largest > 0 && largest < Infinity)) {
      output.fill(largest === 0 ? 0 : NaN);
      return;
    }
    // A row's lanes are added as integers too: width products of 128 and this must stay
    // below 2^31.
    const limit = Math.min(MAX_I16, Math.floor(2 ** 31 / (128 * matrix.width)) - 1);
    const factor = limit / largest;
    for (let i = 0; i < matrix.nIn; i++) rounded[i] = Math.round(vector[i] * factor);
    rounded.fill(0, matrix.nIn, matrix.width);
    if (!functions) multiplyPlainly(matrix, rounded, output);
    else {
      functions.b(matrix.address, rounded.byteOffset, output.byteOffset, matrix.nOut, matrix.width);
      const whole = new Int32Array(this.buffer, output.byteOffset, matrix.nOut);
      for (let row = 0; row < matrix.nOut; row++) output[row] = whole[row];
    }
    for (let row = 0; row < matrix.nOut; row++) output[row] *= matrix.scales[row] / factor;
  }
}

/** The same product in JavaScript. */
function multiplyPlainly({ stored, nOut, nIn, width }, vector, output) {
  for (let row = 0; row < nOut; row++) {
    let even = 0, odd = 0;
    const start = row * width;
    let i = 0;
    for (; i + 1 < nIn; i += 2) {
      even += stored[start + i] * vector[i];
      odd += stored[start + i + 1] * vector[i + 1];
    }
    if (i < nIn) even += stored[start + i] * vector[i];
    output[row] = even + odd;
  }
}
