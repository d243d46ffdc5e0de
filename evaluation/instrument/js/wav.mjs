// Samples -> a wav file of 16 bits.

/**
 * Writes a mono wav file.
 * @param {Float32Array[]} blocks Samples in [-1, 1], in order.
 * @param {number} sampleRate Hz.
 * @returns {Blob}
 */
export function toWav(blocks, sampleRate) {
  const nSamples = blocks.reduce((sum, block) => sum + block.length, 0);
  const bytes = new DataView(new ArrayBuffer(44 + 2 * nSamples));
  const text = (place, letters) => [...letters].forEach((c, i) => bytes.setUint8(place + i, c.charCodeAt(0)));
  text(0, "RIFF");
  bytes.setUint32(4, 36 + 2 * nSamples, true);
  text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true); // PCM
  bytes.setUint16(22, 1, true); // mono
  bytes.setUint32(24, sampleRate, true);
  bytes.setUint32(28, 2 * sampleRate, true);
  bytes.setUint16(32, 2, true);
  bytes.setUint16(34, 16, true);
  text(36, "data");
  bytes.setUint32(40, 2 * nSamples, true);
  let place = 44;
  for (const block of blocks) {
    for (const sample of block) {
      bytes.setInt16(place, Math.round(32767 * Math.min(Math.max(sample, -1), 1)), true);
      place += 2;
    }
  }
  return new Blob([bytes.buffer], { type: "audio/wav" });
}
