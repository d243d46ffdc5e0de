// The page: connects what people touch with the audio.

import { fromBase64, Host, MAX_RECORD_SECS, Refusal } from "./host.mjs";
import { Keyboard, noteName } from "./keyboard.mjs";
import { connectMidi } from "./midi.mjs";
import { Pad } from "./pad.mjs";
import { Picture } from "./picture.mjs";
import { quantile } from "./performer.mjs";

const find = (id) => document.getElementById(id);
const METER_FLOOR_DB = -60;
const LATE_REPORTS = 60; // of a load above 1, 2 s, that are worth a word

/** Says something to everybody, also to those who listen to the page. */
function say(text) {
  find("status").textContent = text;
}

/** What a browser's error means here. */
function explain(error) {
  if (error instanceof Refusal) return error.message;
  const known = {
    NotAllowedError: "The browser did not allow it. Allow it in the address bar and try again.",
    NotFoundError: "No such device was found; plug one in and try again.",
    NotReadableError: "The device is in use; close the program that has it and try again.",
    NotSupportedError: "This browser cannot do that with this device; try another one.",
    EncodingError: "This browser cannot read that file; give wav, flac, mp3 or ogg.",
  };
  return known[error.name] ?? `It did not work: ${String(error.message).slice(0, 200)}`;
}

/** Runs what a button does; a failure becomes a sentence. */
const attempt = (action) => async (...values) => {
  try {
    await action(...values);
  } catch (error) {
    say(explain(error));
  }
};

/** A button that is pressed or not. */
function setPressed(button, isPressed, text) {
  button.setAttribute("aria-pressed", String(isPressed));
  if (text) button.textContent = text;
}

/** Connects a slider with its number and with what it changes. */
function slider(id, unit, change) {
  const input = find(id);
  const show = () => {
    const text = `${input.value}${unit}`;
    find(`${id}-value`).textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  input.addEventListener("input", () => {
    show();
    change(Number(input.value));
  });
  show();
}

/** Meter, picture and figures, as often as the screen is drawn. */
function showStatus(status, picture) {
  const db = 20 * Math.log10(Math.max(status.peak, 1e-9));
  const share = Math.min(Math.max(1 - db / METER_FLOOR_DB, 0), 1);
  find("level").style.transform = `scaleX(${share})`;
  find("level").classList.toggle("loud", db > -1);
  find("meter").setAttribute("aria-valuenow", Math.round(Math.max(db, METER_FLOOR_DB)));
  const midi = 69 + 12 * Math.log2(status.f0Hz / 440);
  const note = noteName(Math.max(0, Math.round(midi))).replace(" sharp ", "♯").replace(" ", "");
  find("now").textContent = status.gate > 0 ? `${note} · ${Math.round(status.f0Hz)} Hz · ${Math.round(status.loudnessDb)} dB` : "silent";
  find("load").textContent = status.load ? `${Math.max(1, Math.round(100 * status.load))} % of a core` : "";
  picture.draw(status);
}

/** Says, when it begins, what is wrong with the sound. */
function makeWatch() {
  let lastFaults = 0, nLate = 0;
  return ({ faults, load }) => {
    if (faults > lastFaults) say("The model lost itself and was started anew; play on, or move the pitch to where it learned.");
    lastFaults = faults;
    nLate = load > 1 ? nLate + 1 : 0;
    if (nLate === LATE_REPORTS) say("This computer is too slow for this model, so the sound has gaps; close other programs, or take a smaller run.");
  };
}

function connectSound(host) {
  const sound = {};
  const pitch = () => host.send({ set: { transpose: sound.transpose + 12 * sound.octave } });
  Object.assign(sound, { transpose: 0, octave: 0 });
  slider("gain", " dB", (value) => host.send({ set: { gain_db: value } }));
  slider("noise", " %", (value) => host.send({ set: { noise: value / 100 } }));
  slider("vibrato", " cents", (value) => host.send({ play: { vibratoCents: value } }));
  slider("glide", " ms", (value) => host.send({ play: { glideSecs: value / 1000 } }));
  slider("transpose", " semitones", (value) => { sound.transpose = value; pitch(); });
  slider("octave", "", (value) => { sound.octave = value; pitch(); });
  find("reverb").addEventListener("change", ({ target }) => host.send({ set: { reverb: target.checked ? 1 : 0 } }));
  find("match").addEventListener("change", ({ target }) => host.send({ set: { match: target.checked } }));
}

function connectMicrophone(host) {
  const button = find("microphone");
  const off = () => setPressed(button, false, "Sing or play into the microphone");
  button.addEventListener("click", attempt(async () => {
    if (button.getAttribute("aria-pressed") === "true") {
      host.deafen();
      off();
      say("The microphone is off.");
      return;
    }
    await host.hearMicrophone(() => {
      off();
      say("The microphone is gone; plug it in or allow it again, then press the button.");
    });
    setPressed(button, true, "Stop the microphone");
    find("stop-file").hidden = true;
    say("Listening. Wear headphones, or the instrument hears itself.");
  }));
  return off;
}

function connectFiles(host, microphoneOff) {
  const stop = find("stop-file");
  const play = attempt(async (file) => {
    const secs = await host.hearFile(file, () => {
      stop.hidden = true;
      say(`${file.name} is over.`);
    });
    microphoneOff();
    stop.hidden = false;
    say(`Playing ${file.name}, ${secs.toFixed(1)} s.`);
  });
  find("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) play(target.files[0]);
    target.value = "";
  });
  stop.addEventListener("click", () => {
    host.deafen();
    microphoneOff();
    stop.hidden = true;
    say("Stopped.");
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) document.body.classList.remove("dropping");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
    const [file] = event.dataTransfer.files;
    if (file) play(file);
  });
}

function connectRecorder(host) {
  const button = find("record");
  const link = find("recording");
  let isWanted = false; // whether nobody has stopped it
  button.addEventListener("click", attempt(async () => {
    if (button.getAttribute("aria-pressed") === "true") {
      isWanted = false;
      host.stopRecording();
      return;
    }
    await host.record();
    isWanted = true;
    setPressed(button, true, "Stop recording");
    say("Recording.");
    const blob = await host.recorded; // stopped, or full
    setPressed(button, false, "Record");
    if (link.href) URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(blob);
    link.hidden = false;
    find("playback").src = link.href;
    find("playback").hidden = false;
    say(isWanted ? `The recording is full after ${MAX_RECORD_SECS / 60} minutes; save it, then record on.` : "The recording is ready.");
  }));
}

function connectMidiButton(host) {
  find("midi").addEventListener("click", attempt(async () => {
    if (!navigator.requestMIDIAccess) {
      say("This browser has no Web MIDI; Chrome, Edge and Firefox have.");
      return;
    }
    await host.start();
    await connectMidi((message) => host.send(message), (names) => {
      setPressed(find("midi"), true);
      say(names.length ? `MIDI: ${names.join(", ")}.` : "No MIDI input is plugged in; plug one in.");
    });
  }));
}

/** Takes the focus from what a pointer used, or space would press it again. */
function keepFocusFree() {
  addEventListener("click", ({ detail }) => {
    if (detail === 0) return; // by keyboard, where focus must stay
    setTimeout(() => { // a label gives focus only after its click
      if (document.activeElement?.matches("button, input")) document.activeElement.blur();
    });
  });
}

/** Connects everything. */
export function openPage() {
  const program = JSON.parse(find("program").textContent);
  const picture = new Picture(find("picture"));
  let latest = null; // status that was not drawn yet
  const watch = makeWatch();
  const host = new Host({
    program,
    buffer: fromBase64(find("weights").textContent),
    worklet: find("worklet").textContent,
  }, (status) => {
    watch(status);
    if (!latest) {
      requestAnimationFrame(() => {
        showStatus(latest, picture);
        latest = null;
      });
    }
    latest = status;
  }, say);
  const send = (message) => host.send(message);
  const start = attempt(async () => {
    await host.start();
    find("start").hidden = true;
  });
  const middle = Math.round(quantile(program.profile.pitch_midi, 0.5));
  const keyboard = new Keyboard(find("keys"), {
    lowest: 12 * Math.floor((middle - 6) / 12), send, start,
    onChange: () => {
      find("velocity").value = Math.round(100 * keyboard.share);
      find("velocity").dispatchEvent(new Event("input"));
      find("range").textContent = `from ${noteName(keyboard.lowest)}`;
    },
  });
  slider("velocity", " %", (value) => { keyboard.share = value / 100; });
  find("range").textContent = `from ${noteName(keyboard.lowest)}`;
  find("lower").addEventListener("click", () => keyboard.shift(-1));
  find("higher").addEventListener("click", () => keyboard.shift(1));
  const pad = new Pad(find("pad"), { middle, send, start, onMove: (text) => find("pad").setAttribute("aria-description", text) });
  find("start").addEventListener("click", start);
  // A finger allows sound when it is lifted, not when it is set down.
  const wake = attempt(() => host.wake());
  for (const kind of ["pointerup", "touchend", "click"]) addEventListener(kind, wake);
  keepFocusFree();
  connectSound(host);
  connectFiles(host, connectMicrophone(host));
  connectRecorder(host);
  connectMidiButton(host);
  globalThis.ddspInstrument = { host, keyboard, pad }; // for those who look inside, and for tests
}
