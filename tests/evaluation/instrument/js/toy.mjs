// A model of a few numbers, by hand, for tests of what stands around it.

/** Writes arrays into one buffer with its table. */
export function pack(arrays) {
  const entries = [], parts = [];
  let offset = 0;
  for (const [name, { shape, values }] of Object.entries(arrays)) {
    const bytes = new Uint8Array(Float32Array.from(values).buffer);
    entries.push({ name, dtype: "f32", shape, offset, scales_offset: 0 });
    parts.push(bytes);
    offset += bytes.length;
  }
  const all = new Uint8Array(offset);
  parts.reduce((place, bytes) => (all.set(bytes, place), place + bytes.length), 0);
  return { entries, buffer: all.buffer };
}

/**
 * Two harmonics and two noise bands; amps follow the loudness, the rest stands still.
 * @param {object} [options] `reverb`: taps; `amp`: raw gain a unit of scaled loudness.
 */
export function makeToy({ reverb = null, amp = 4 } = {}) {
  const arrays = {
    noise_responses: { shape: [2, 4], values: [0, 0.5, 0, 0, 0, 0.5, 0, 0] },
    "out.weight": { shape: [5, 2], values: [amp, 0, 0, 0, 0, 0, 0, 0, 0, 0] },
    "out.bias": { shape: [5], values: [-2, 1, 0, -4, -4] },
  };
  if (reverb) arrays.reverb = { shape: [reverb.length], values: reverb };
  const { entries, buffer } = pack(arrays);
  const program = {
    frame_rate: 250,
    conditioning: { semitone_range: 127, db_range: 80, trends: null },
    decoder: {
      inputs: ["ld_scaled", "f0_scaled"], states: [], output: "out", starts: [0, 1, 3],
      slots: { ld_scaled: 1, f0_scaled: 1, joined: 2, out: 5 },
      operations: [
        { kind: "concat", from: ["ld_scaled", "f0_scaled"], to: "joined" },
        { kind: "dense", from: ["joined"], to: "out", weight: "out.weight", bias: "out.bias" },
      ],
    },
    controls: {
      head: { kind: "exp_sigmoid", sample_rate: 16000, mask_above_nyquist: true, noise_bias: -5, noise_activation: "exp_sigmoid" },
      smoothing: null,
    },
    synth: { sample_rate: 16000, hop_size: 64, n_harmonics: 2, n_noise_bands: 2, amplitude_method: "window", latency_frames: 1 },
    tensors: entries,
    profile: { pitch_midi: [60, 69, 78], loudness_db: [-50, -30, -10], floor_db: -60 },
  };
  return { program, buffer };
}

/** Renders seconds of an instrument as the audio thread does, 128 samples at once. */
export function render(instrument, secs, sampleRate = 16000) {
  const output = new Float32Array(Math.ceil((secs * sampleRate) / 128) * 128);
  for (let start = 0; start < output.length; start += 128) instrument.render(output.subarray(start, start + 128));
  return output;
}

/** Largest absolute sample. */
export const peak = (samples) => samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
