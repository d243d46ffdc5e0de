// Messages of MIDI, the recorder's file, controls and reverb.

import assert from "node:assert/strict";
import test from "node:test";

import { Fft } from "../../../../evaluation/instrument/js/fft.mjs";
import { fromBase64 } from "../../../../evaluation/instrument/js/host.mjs";
import { connectMidi, translate } from "../../../../evaluation/instrument/js/midi.mjs";
import { Reverb } from "../../../../evaluation/instrument/js/reverb.mjs";
import { WhiteNoise } from "../../../../evaluation/instrument/js/synth.mjs";
import { toWav } from "../../../../evaluation/instrument/js/wav.mjs";

test("MIDI messages", () => {
  assert.deepEqual(translate([0x93, 60, 127]), { note: "on", id: "midi60", midi: 60, share: 1 });
  assert.deepEqual(translate([0x90, 60, 0]), { note: "off", id: "midi60" });
  assert.deepEqual(translate([0x80, 60, 64]), { note: "off", id: "midi60" });
  assert.deepEqual(translate([0xe0, 0, 64]), { play: { bend: 0 } });
  assert.deepEqual(translate([0xe0, 0, 0]), { play: { bend: -2 } });
  assert.deepEqual(translate([0xb0, 1, 127]), { play: { mod: 1 } });
  assert.deepEqual(translate([0xb0, 2, 0]), { play: { breath: 0 } });
  assert.deepEqual(translate([0xb0, 11, 127]), { play: { expression: 1 } });
  assert.deepEqual(translate([0xb0, 121, 0]), { pedal: false, play: { bend: 0, mod: 0, expression: 1 } });
  assert.deepEqual(translate([0xb0, 123, 0]), { note: "allOff" });
  assert.equal(translate([0xf8, 0, 0]), null);
  assert.deepEqual(translate([0xb0, 64, 64]), { pedal: true });
  assert.deepEqual(translate([0xb0, 64, 63]), { pedal: false });
  assert.equal(translate([0xb0, 7, 127]), null);
});

test("a MIDI input that is unplugged holds nothing", async () => {
  const inputs = ["1", "2"].map((id) => [id, { id, name: `Keys ${id}`, state: "connected" }]);
  const access = { inputs: new Map(inputs) };
  Object.defineProperty(globalThis, "navigator", { value: { requestMIDIAccess: async () => access }, configurable: true });
  const sent = [], names = [];
  await connectMidi((message) => sent.push(message), (found) => names.push(found.join()));
  access.onstatechange();
  assert.deepEqual(sent, []);
  inputs[1][1].state = "disconnected";
  access.onstatechange();
  assert.deepEqual(sent.slice(0, 2), [{ note: "allOff" }, { pedal: false }]);
  assert.deepEqual(sent.slice(2), [{ play: { bend: 0, mod: 0, breath: 1, expression: 1 } }]);
  access.onstatechange();
  assert.equal(sent.length, 3);
  assert.deepEqual([names[0], names.at(-1)], ["Keys 1,Keys 2", "Keys 1"]);
});

test("a wav file", async () => {
  const blob = toWav([Float32Array.of(0, 1), Float32Array.of(-2)], 16000);
  const bytes = new DataView(await blob.arrayBuffer());
  const text = (start) => String.fromCharCode(...Array.from({ length: 4 }, (_, i) => bytes.getUint8(start + i)));
  assert.equal(text(0) + text(8) + text(36), "RIFFWAVEdata");
  assert.equal(bytes.getUint32(24, true), 16000);
  assert.equal(bytes.getUint32(40, true), 6);
  assert.deepEqual([44, 46, 48].map((place) => bytes.getInt16(place, true)), [0, 32767, -32767]);
});

test("base64", () => {
  assert.deepEqual([...new Uint8Array(fromBase64(" AAH/ \n"))], [0, 1, 255]);
});

test("a transform and back is the same", () => {
  const fft = new Fft(16);
  const values = Float64Array.from({ length: 16 }, (_, i) => Math.sin(i * i));
  const [real, imag] = [values.slice(), new Float64Array(16)];
  fft.transform(real, imag);
  assert.ok(Math.abs(real[0] - values.reduce((a, b) => a + b)) < 1e-12);
  fft.transform(real, imag, true);
  real.forEach((value, i) => assert.ok(Math.abs(value / 16 - values[i]) < 1e-12));
  assert.throws(() => new Fft(12), /power of two/);
});

for (const [blockSize, nTaps] of [[64, 1], [64, 40], [64, 5000], [192, 3000], [16, 1500]]) {
  test(`a reverb of ${nTaps} taps in blocks of ${blockSize}`, () => {
    const source = new WhiteNoise(5);
    const response = new Float32Array(nTaps), dry = new Float32Array(blockSize * 60);
    source.fill(response);
    source.fill(dry);
    const reverb = new Reverb(response, blockSize);
    const wet = [];
    for (let start = 0; start < dry.length; start += blockSize) wet.push(...reverb.process(dry.subarray(start, start + blockSize)));
    for (let n = 0; n < wet.length; n += 7) {
      let expected = 0;
      for (let tap = 0; tap <= Math.min(n, nTaps - 1); tap++) expected += response[tap] * dry[n - tap];
      assert.ok(Math.abs(wet[n] - expected) < 1e-3, `sample ${n}`); // float32 spectra, sums near 40
    }
  });
}

test("white noise fills [-1, 1] evenly", () => {
  const noise = new Float32Array(1e5);
  new WhiteNoise(1).fill(noise);
  const mean = noise.reduce((a, b) => a + b) / noise.length;
  const power = noise.reduce((a, b) => a + b * b, 0) / noise.length;
  assert.ok(Math.abs(mean) < 0.01);
  assert.ok(Math.abs(power - 1 / 3) < 0.01);
});
