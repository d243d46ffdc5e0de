// A decoder as a short list of operations on vectors, one frame at a time.
//
// The list comes from Python (evaluation/instrument/decoder_program.py). An operation
// reads slots and writes one; slots named as states keep their values to the next frame.

import { Arena, padded } from "./kernel.mjs";

const LEAK = 0.2; // slope of ddsp's leaky ReLU below 0

/** 1 / (1 + e^-x), without overflow. */
export function sigmoid(x) {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}

const ACTIVATIONS = {
  tanh: (vector) => { for (let i = 0; i < vector.length; i++) vector[i] = Math.tanh(vector[i]); },
  leaky_relu: (vector) => {
    for (let i = 0; i < vector.length; i++) if (vector[i] < 0) vector[i] *= LEAK;
  },
};

/** Gain and offset after a vector is brought to mean 0 and variance 1, in place. */
function normalize(vector, gain, offset, epsilon) {
  const size = vector.length;
  let sum = 0, squares = 0;
  for (let i = 0; i < size; i++) sum += vector[i];
  const mean = sum / size;
  for (let i = 0; i < size; i++) squares += (vector[i] - mean) ** 2;
  const inverse = 1 / Math.sqrt(squares / size + epsilon);
  for (let i = 0; i < size; i++) vector[i] = (vector[i] - mean) * inverse * gain[i] + offset[i];
}

/** ddsp's GRU (Keras, reset after): `x` and `h` are the products of input and state. */
function gru(x, h, state) {
  const n = state.length;
  for (let i = 0; i < n; i++) {
    const update = sigmoid(x[i] + h[i]);
    const reset = sigmoid(x[n + i] + h[n + i]);
    const candidate = Math.tanh(x[2 * n + i] + reset * h[2 * n + i]);
    state[i] = update * state[i] + (1 - update) * candidate;
  }
}

/** The micro-RNN: one gate, no reset. */
function microRnn(x, h, state) {
  const n = state.length;
  for (let i = 0; i < n; i++) {
    const candidate = Math.tanh(x[n + i] + h[n + i]);
    state[i] = candidate + sigmoid(x[i] + h[i]) * (state[i] - candidate);
  }
}

/** minGRU: gate and candidate from the input alone. */
function minGru(x, state) {
  const n = state.length;
  for (let i = 0; i < n; i++) {
    const update = sigmoid(x[i]);
    state[i] = (1 - update) * state[i] + update * x[n + i];
  }
}

/** Runs the operations of a program. */
export class Decoder {
  /**
   * @param {object} program `slots` (sizes by name), `states` (names), `inputs`, `output`
   *   and `operations`.
   * @param {object} tensors Typed arrays by name.
   * @param {boolean} [plain] Whether to do without WebAssembly.
   */
  constructor(program, tensors, plain = false) {
    const sizes = Object.values(program.slots).map((size) => 4 * padded(size) + 64);
    const matrices = program.operations.filter(({ kind }) => kind === "dense");
    for (const { weight } of matrices) {
      const { shape, values } = tensors[weight];
      sizes.push(values.BYTES_PER_ELEMENT * shape[0] * padded(shape[1]) + 64, 2 * padded(shape[1]) + 64);
    }
    this.arena = new Arena(sizes.reduce((a, b) => a + b, 4096), plain);
    this.slots = {};
    for (const [name, size] of Object.entries(program.slots)) this.slots[name] = this.arena.vector(size);
    this.states = program.states.map((name) => this.slots[name]);
    this.inputs = program.inputs;
    this.output = this.slots[program.output];
    this.steps = program.operations.map((operation) => this.prepare(operation, tensors));
  }

  /** A function that runs one operation. */
  prepare({ kind, from, to, ...rest }, tensors) {
    const sources = from.map((name) => this.slots[name]);
    const target = this.slots[to];
    const values = (name) => tensors[name].values;
    if (kind === "dense") {
      const { values: kernel, shape, scales } = tensors[rest.weight];
      const matrix = this.arena.matrix(kernel, shape[0], shape[1], scales ?? null);
      const bias = rest.bias ? values(rest.bias) : null;
      return () => {
        this.arena.multiply(matrix, sources[0], target);
        if (bias) for (let i = 0; i < bias.length; i++) target[i] += bias[i];
      };
    }
    if (kind === "layer_norm") {
      const [gain, offset] = [values(rest.gain), values(rest.offset)];
      return () => normalize(target, gain, offset, rest.epsilon);
    }
    if (kind === "activation") return () => ACTIVATIONS[rest.function](target);
    if (kind === "concat") {
      return () => {
        let start = 0;
        for (const source of sources) {
          target.set(source, start);
          start += source.length;
        }
      };
    }
    if (kind === "gru") return () => gru(sources[0], sources[1], target);
    if (kind === "micro_rnn") return () => microRnn(sources[0], sources[1], target);
    if (kind === "min_gru") return () => minGru(sources[0], target);
    throw new Error(`unknown operation ${kind}`);
  }

  /** Forgets what was played. */
  reset() {
    for (const state of this.states) state.fill(0);
  }

  /**
   * Decodes a frame.
   * @param {object} inputs Numbers by the names of `inputs`.
   * @returns {Float32Array} Raw controls side by side; overwritten by the next call.
   */
  step(inputs) {
    for (const name of this.inputs) this.slots[name][0] = inputs[name];
    for (const step of this.steps) step();
    return this.output;
  }
}
