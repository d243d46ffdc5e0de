// Web MIDI: notes, bend, modulation, breath, expression, sustain pedal.

const BEND_SEMITONES = 2; // of a full wheel, the MIDI default
const BREATH = 2, EXPRESSION = 11; // controllers that take from the loudness
const SUSTAIN = 64, PEDAL_DOWN = 64; // controller, and the least value of a pressed pedal
const MODULATION = 1, ALL_SOUND_OFF = 120, RESET = 121, ALL_NOTES_OFF = 123;

/**
 * Translates a message.
 * @param {Uint8Array} data Of a MIDI message.
 * @returns {object|null} For the audio thread; null for what says nothing to it.
 */
export function translate([status, first, second]) {
  const kind = status & 0xf0;
  const id = `midi${first}`;
  if (kind === 0x90 && second > 0) return { note: "on", id, midi: first, share: (second - 1) / 126 };
  if (kind === 0x80 || kind === 0x90) return { note: "off", id };
  if (kind === 0xe0) return { play: { bend: (BEND_SEMITONES * (first + 128 * second - 8192)) / 8192 } };
  if (kind === 0xd0) return { play: { mod: first / 127 } };
  if (kind !== 0xb0) return null;
  if (first === MODULATION) return { play: { mod: second / 127 } };
  if (first === SUSTAIN) return { pedal: second >= PEDAL_DOWN };
  if (first === BREATH) return { play: { breath: second / 127 } };
  if (first === EXPRESSION) return { play: { expression: second / 127 } };
  if (first === RESET) return { pedal: false, play: { bend: 0, mod: 0, expression: 1 } };
  if (first === ALL_SOUND_OFF || first === ALL_NOTES_OFF) return { note: "allOff" };
  return null;
}

/** What ends all that an input can hold. */
const AT_REST = [{ note: "allOff" }, { pedal: false }, { play: { bend: 0, mod: 0, breath: 1, expression: 1 } }];

/**
 * Listens to all inputs, also to those that are plugged in later.
 * @param {function(object): void} send Takes messages for the audio thread.
 * @param {function(string[]): void} onInputs Told the inputs' names, again when they change.
 */
export async function connectMidi(send, onInputs) {
  const access = await navigator.requestMIDIAccess();
  let heard = []; // inputs that were there the last time
  const attach = () => {
    const inputs = [...access.inputs.values()].filter(({ state }) => state !== "disconnected");
    for (const input of inputs) {
      input.onmidimessage = ({ data }) => {
        const message = translate(data);
        if (message) send(message);
      };
    }
    // One that is gone will not lift its keys.
    if (heard.some((input) => !inputs.includes(input))) AT_REST.forEach(send);
    heard = inputs;
    onInputs(inputs.map(({ name }) => name || "MIDI input"));
  };
  access.onstatechange = attach;
  attach();
}
