"""The instrument in a real browser, opened from the disk: Debian's chromium."""

import base64
import io
import itertools
import time

import numpy as np
import pytest
import soundfile
from ddsp.training import models as ddsp_models

from evaluation.instrument import page as page_lib
from evaluation.instrument import program as program_lib
from evaluation.instrument import scripts
from models.config import gin_config
from models.runs import loading
from tests.helpers import browsers
from tests.helpers import instrument_helpers as helpers
from tests.helpers import render_helpers

pytestmark = [pytest.mark.browser, pytest.mark.slow]
N_FRAMES = 500
TOLERANCE = 1e-3  # of controls; the promise
SPECTRUM_DB = 0.5  # of the audio; the promise
# Of a random GRU of the paper's size in 8 bits; measured are 4e-3.
TOLERANCE_8_BITS = 0.02
MAX_BYTES, MAX_BYTES_GRU = 5_000_000, 12_000_000
VOICE_HZ = 330.0
HOUR_SECS = 3600
MAX_GROWTH = 3_000_000  # bytes of heap over an hour

# Answers as the audio thread and the ports do, without a device.
FAKE_MIDI = """
  window.fakeInput = { name: "Test keys", state: "connected", onmidimessage: null };
  navigator.requestMIDIAccess = async () => (
    { inputs: new Map([["1", window.fakeInput]]), onstatechange: null });
"""
LAST_STATUS = """
  window.seen = [];
  const { host } = window.ddspInstrument, show = host.onStatus;
  host.onStatus = (status) => { window.seen.push(status); show(status); };
"""


def find(driver, selector):
    return driver.find_element("css selector", selector)


def run(driver, body, *arguments):
    """Awaits JavaScript; its arguments are `values`."""
    text = """
      const done = arguments[arguments.length - 1], values = arguments;
      (async () => {%s})().then((value) => done({ value }),
        (error) => done({ error: String(error.stack ?? error) }));
    """
    answer = driver.execute_async_script(text % body, *arguments)
    assert "error" not in answer, answer
    return answer.get("value")


def latest(driver):
    return driver.execute_script("return window.seen[window.seen.length - 1]")


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    """What the fake microphone hears: a tone with harmonics, again and again."""
    rate = 48000
    now = np.arange(4 * rate) / rate
    tone = sum(0.6**k * np.sin(2 * np.pi * VOICE_HZ * k * now) for k in range(1, 8))
    path = tmp_path_factory.mktemp("voice") / "voice.wav"
    soundfile.write(path, 0.2 * tone, rate, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def browser(voice):
    driver = browsers.open_chromium(
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={voice}",
        "--force-prefers-reduced-motion",  # no smooth scrolling under a click
        "--js-flags=--expose-gc",
        "--enable-precise-memory-info",
    )
    driver.set_script_timeout(900)  # a busy machine plays an hour in minutes
    driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": FAKE_MIDI}
    )
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("instrument")
    return helpers.write_page(
        folder / "test_flute.html", render_helpers.build_model("stage3")
    )


@pytest.fixture
def opened(browser, page):
    browsers.open_page(browser, page)
    browser.execute_script(LAST_STATUS)
    return browser


@pytest.fixture
def started(opened):
    find(opened, "#start").click()
    browsers.until(lambda: latest(opened))
    return opened


def keys_down(driver, *names):
    from selenium.webdriver.common import action_chains

    actions = action_chains.ActionChains(driver)
    for name in names:
        actions.key_down(name)
    actions.perform()


def keys_up(driver, *names):
    from selenium.webdriver.common import action_chains

    actions = action_chains.ActionChains(driver)
    for name in names:
        actions.key_up(name)
    actions.perform()


def midi_of(status):
    return 69.0 + 12.0 * np.log2(status["f0Hz"] / 440.0)


# ---- the engine


def load_engine(driver, module):
    driver.execute_script(
        scripts.bundle(module, last=f"globalThis.${module} = ${module};")
    )


def decode(text):
    return np.frombuffer(base64.b64decode(text), "<f4")


PLAY = """
  const read = (text) => new Float32Array(
    Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const write = (floats) => {
    const bytes = new Uint8Array(floats.buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 32768) {
      text += String.fromCharCode(...bytes.subarray(i, i + 32768));
    }
    return btoa(text);
  };
  const { program, buffer } = ddspInstrument.host;
  const engine = new $engine.Engine(program, buffer);
  const [features, noise] = [read(values[0]), read(values[1])];
  const count = features.length / 3, hop = engine.hopSize, controls = [];
  const stems = new Float32Array(2 * count * hop);
  for (let i = 0; i < count; i++) {
    const { harmonic, noise: filtered } = engine.step(features[i], features[count + i],
      features[2 * count + i], noise.subarray(i * hop, (i + 1) * hop));
    stems.set(harmonic, i * hop);
    stems.set(filtered, (count + i) * hop);
    controls.push(engine.now.amps[0], ...engine.now.harmonics, ...engine.now.noise);
  }
  return [write(Float32Array.from(controls)), write(stems)];
"""


def play_in_page(driver, page, played):
    """Controls [n_frames, n] and stems [2, n_samples] of a page's engine."""
    driver.get(page.as_uri())
    load_engine(driver, "engine")
    noise = helpers.noise_of_frames(played.n_frames, 64, 0)
    values = (played.f0_hz, played.loudness_db, played.f0_confidence)
    encode = lambda x: base64.b64encode(x.astype("<f4").tobytes()).decode("ascii")
    controls, stems = run(driver, PLAY, encode(np.stack(values)), encode(noise))
    return decode(controls).reshape(played.n_frames, -1), decode(stems).reshape(2, -1)


def spectrum_db(audio):
    """Power of third octaves from 100 Hz on, dB."""
    power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) ** 2
    hz = np.fft.rfftfreq(len(audio), 1 / 16000)
    edges = 100.0 * 2.0 ** (np.arange(19) / 3)
    bands = [
        power[(hz >= low) & (hz < high)].sum()
        for low, high in itertools.pairwise(edges)
    ]
    return 10.0 * np.log10(np.array(bands) + 1e-12)


def check_parity(driver, model, page, tolerance):
    played = render_helpers.make_performance(N_FRAMES)
    controls, stems = play_in_page(driver, page, played)
    decoded = model.decode(render_helpers.as_batch(played))["controls"]
    keys = ("amps", "harmonic_distribution", "noise_magnitudes")
    expected = np.concatenate([decoded[key][0] for key in keys], axis=1)
    np.testing.assert_allclose(controls, expected, atol=tolerance)
    dry = helpers.player_audio(model, played)
    difference = spectrum_db(stems.sum(axis=0)) - spectrum_db(dry)
    assert np.abs(difference).max() < SPECTRUM_DB
    assert np.abs(dry).max() > 0.05  # something was compared


def test_engine_equals_the_player_over_500_frames(browser, page):
    model = render_helpers.build_model("stage3")
    check_parity(browser, model, page, TOLERANCE)


def full_model(stage):
    """A rung in its own size with fresh weights."""
    gin_config.parse_files(gin_config.Sources(gin_files=(f"gin/{stage}.gin",)))
    model = ddsp_models.get_model()
    loading.build_variables(model, n_samples=64000, n_frames=1000)
    return model


def test_a_gru_of_the_papers_size_in_eight_bits(browser, tmp_path):
    model = full_model("stage5")
    kernel = model.decoder.dense_out.kernel
    kernel.assign(2.0 * kernel)  # fresh ones give hardly any sound
    page = helpers.write_page(tmp_path / "gru.html", model)
    assert program_lib.describe(model).eight_bits
    assert page.stat().st_size < MAX_BYTES_GRU
    check_parity(browser, model, page, TOLERANCE_8_BITS)


@pytest.mark.parametrize("stage", ["stage2", "stage3"])
def test_pages_of_framewise_rungs_are_small(stage):
    program = program_lib.describe(full_model(stage))
    text = page_lib.make_page(program, helpers.PROFILE, name="flute", facts="")
    assert len(text) < MAX_BYTES


# ---- the audio thread


def test_the_worklet_plays_a_note_between_silences(opened):
    body = """
      const { host } = ddspInstrument, rate = host.program.synth.sample_rate;
      const render = async (messages) => {
        const context = new OfflineAudioContext(1, 2 * rate, rate);
        const node = await host.addNode(context, messages);
        node.connect(context.destination);
        const samples = (await context.startRendering()).getChannelData(0);
        return samples.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      };
      const note = { note: "on", id: "a", midi: 69, share: 0.8 };
      return [await render([]), await render([note])];
    """
    silent, played = run(opened, body)
    assert silent == 0.0
    assert 0.01 < played <= 1.0
    assert opened.get_log("browser") == []


def test_an_hour_does_not_grow(opened):
    load_engine(opened, "instrument")
    body = """
      const { program, buffer } = ddspInstrument.host;
      // Dry, because a reverb of seconds costs most of the hour and has fixed arrays.
      const tensors = program.tensors.filter(({ name }) => name !== "reverb");
      const instrument = new $instrument.Instrument({ ...program, tensors }, buffer);
      const block = new Float32Array(128), rate = program.synth.sample_rate;
      const used = () => { gc(); return performance.memory.usedJSHeapSize; };
      const nBlocks = Math.ceil(values[0] * rate / 128);
      const perNote = Math.ceil(rate / 128);
      let before = 0, peak = 0;
      for (let i = 0; i < nBlocks; i++) {
        const { performer } = instrument, midi = 60 + (i / perNote) % 13;
        if (i % perNote === 0) performer.noteOn("a", midi, 0.5);
        if (i % perNote === perNote >> 1) performer.noteOff("a");
        instrument.render(block);
        for (const sample of block) peak = Math.max(peak, Math.abs(sample));
        if (i === nBlocks >> 3) before = used();
      }
      return [used() - before, peak, instrument.faults];
    """
    growth, peak, faults = run(opened, body, HOUR_SECS)
    assert growth < MAX_GROWTH
    assert 0.0 < peak <= 1.0
    assert faults == 0


# ---- playing


def test_page_opens_without_errors(opened):
    assert "test flute" in opened.title
    assert opened.get_log("browser") == []
    ids = [e.get_attribute("id") for e in browsers.find_all(opened, "[id]")]
    assert len(ids) == len(set(ids))


def test_the_picture_keeps_its_canvas_on_any_screen(opened):
    metrics = {"width": 1003, "height": 900, "deviceScaleFactor": 1.1, "mobile": False}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    find(opened, "#start").click()
    browsers.until(lambda: len(opened.execute_script("return window.seen")) > 5)
    body = """
      const canvas = document.getElementById("picture");
      window.changes = 0;
      new MutationObserver((list) => { window.changes += list.length; })
        .observe(canvas, { attributes: true });
      return canvas.clientWidth * devicePixelRatio;
    """
    assert opened.execute_script(body) % 1  # or nothing is tried
    time.sleep(0.5)
    assert opened.execute_script("return window.changes") == 0


def test_the_computers_keys_play(started):
    lowest = started.execute_script("return ddspInstrument.keyboard.lowest")
    keys_down(started, "d")
    browsers.until(lambda: latest(started)["peak"] > 0.01)
    assert abs(midi_of(latest(started)) - (lowest + 4)) < 0.5
    assert find(started, ".key.down").accessible_name == "E 4"
    keys_down(started, "g")  # glides on
    browsers.until(lambda: abs(midi_of(latest(started)) - (lowest + 7)) < 0.5)
    keys_up(started, "g")
    browsers.until(lambda: abs(midi_of(latest(started)) - (lowest + 4)) < 0.5)
    keys_up(started, "d")
    browsers.until(lambda: latest(started)["peak"] == 0.0)
    assert find(started, "#now").text == "silent"
    keys_down(started, "x")
    keys_up(started, "x")
    assert (
        started.execute_script("return ddspInstrument.keyboard.lowest") == lowest + 12
    )
    assert started.get_log("browser") == []


def test_the_first_key_starts_the_sound(opened):
    keys_down(opened, "a")
    browsers.until(lambda: (latest(opened) or {"peak": 0.0})["peak"] > 0.01)
    keys_up(opened, "a")
    assert not find(opened, "#start").is_displayed()


def test_the_first_finger_starts_the_sound_when_it_is_lifted(page):
    # The later of two policies holds: as on a telephone, not as for the other tests.
    policy = "--autoplay-policy=document-user-activation-required"
    driver = browsers.open_chromium(policy)
    try:
        browsers.open_page(driver, page)
        box = find(driver, ".key.white").rect
        point = {"x": box["x"] + 9, "y": box["y"] + box["height"] - 9}
        touch = lambda kind, *points: driver.execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)}
        )
        state = lambda: driver.execute_script(
            "return ddspInstrument.host.context?.state"
        )
        touch("touchStart", point)
        browsers.until(lambda: state() == "suspended")
        touch("touchEnd")
        browsers.until(lambda: state() == "running")
        browsers.until(lambda: not find(driver, "#start").is_displayed())
    finally:
        driver.quit()


def test_a_mouse_plays_keys_and_pad(started):
    from selenium.webdriver.common import action_chains

    key = browsers.find_all(started, ".key.white")[4]
    chain = action_chains.ActionChains(started)
    chain.move_to_element_with_offset(key, 0, 60).click_and_hold().perform()
    browsers.until(lambda: latest(started)["peak"] > 0.01)
    assert "down" in key.get_attribute("class")
    action_chains.ActionChains(started).release().perform()
    browsers.until(lambda: latest(started)["peak"] == 0.0)
    pad = find(started, "#pad")
    started.execute_script("arguments[0].scrollIntoView({block: 'center'})", pad)
    chain = action_chains.ActionChains(started)
    chain.move_to_element_with_offset(pad, 100, -40).click_and_hold().perform()
    browsers.until(lambda: latest(started)["peak"] > 0.01)
    before = latest(started)["f0Hz"]
    action_chains.ActionChains(started).move_by_offset(150, 0).perform()
    browsers.until(lambda: latest(started)["f0Hz"] > 1.1 * before)
    action_chains.ActionChains(started).release().perform()
    browsers.until(lambda: latest(started)["peak"] == 0.0)


def test_midi_plays(started):
    find(started, "#midi").click()
    browsers.until(lambda: "Test keys" in find(started, "#status").text)
    send = "window.fakeInput.onmidimessage({ data: new Uint8Array(arguments[0]) })"
    started.execute_script(send, [0x90, 72, 100])
    browsers.until(lambda: latest(started)["peak"] > 0.01)
    assert abs(midi_of(latest(started)) - 72) < 0.5
    started.execute_script(send, [0xE0, 0x7F, 0x7F])
    browsers.until(lambda: midi_of(latest(started)) > 73.7)
    started.execute_script(send, [0x80, 72, 0])
    browsers.until(lambda: latest(started)["peak"] == 0.0)


def test_what_midi_holds_is_not_the_keyboards_to_end(started):
    from selenium.webdriver.common import keys

    hold = """
      const { host } = ddspInstrument, message = (m) => host.send(m);
      message({ note: "on", id: "midi72", midi: 72, share: 0.8 });
      message({ pedal: true });
      host.sent = [];
      const send = host.send.bind(host);
      host.send = (m) => { host.sent.push(m); send(m); };
    """
    started.execute_script(hold)
    sent = lambda: started.execute_script("return ddspInstrument.host.sent.splice(0)")
    keys_down(started, "x")
    keys_up(started, "x")
    started.execute_script("dispatchEvent(new Event('blur'))")
    assert sent() == []
    keys_down(started, "d", keys.Keys.SHIFT, keys.Keys.SPACE)
    sent()
    started.execute_script("dispatchEvent(new Event('blur'))")
    assert sent() == [
        {"note": "off", "id": "KeyD"},
        {"pedal": False},
        {"play": {"mod": 0}},
    ]
    keys_up(started, "d", keys.Keys.SHIFT, keys.Keys.SPACE)
    time.sleep(0.5)
    assert latest(started)["confidence"] > 0.9  # the note of MIDI
    keys_down(started, keys.Keys.ESCAPE)
    browsers.until(lambda: latest(started)["peak"] == 0.0)


def test_the_sustain_pedal_is_a_controller_and_the_space_bar(started):
    from selenium.webdriver.common import keys

    find(started, "#midi").click()
    browsers.until(lambda: "Test keys" in find(started, "#status").text)
    started.execute_script("document.activeElement.blur()")
    send = "window.fakeInput.onmidimessage({ data: new Uint8Array(arguments[0]) })"
    for message in ([0xB0, 64, 127], [0x90, 72, 100], [0x80, 72, 0]):
        started.execute_script(send, message)
    time.sleep(1.0)  # without the pedal it would be silent by now
    assert latest(started)["confidence"] > 0.9
    started.execute_script(send, [0xB0, 64, 0])
    browsers.until(lambda: latest(started)["peak"] == 0.0)
    # A key clicked by mouse does not take the space bar.
    find(started, ".key.white").click()
    before = started.execute_script("return scrollY")
    keys_down(started, keys.Keys.SPACE, "d")
    keys_up(started, "d")
    time.sleep(1.0)
    assert latest(started)["confidence"] > 0.9
    assert started.execute_script("return scrollY") == before
    keys_up(started, keys.Keys.SPACE)
    browsers.until(lambda: latest(started)["peak"] == 0.0)


@pytest.mark.parametrize(
    "selector", ["#higher", "#gain", "label[for=match]", "#velocity"]
)
def test_what_a_mouse_used_leaves_space_to_the_pedal(started, selector):
    from selenium.webdriver.common import keys

    find(started, selector).click()
    active = "return document.activeElement.tagName"
    browsers.until(lambda: started.execute_script(active) == "BODY")
    keys_down(started, keys.Keys.SPACE)
    assert started.execute_script("return ddspInstrument.keyboard.pedal")
    keys_up(started, keys.Keys.SPACE)
    assert not started.execute_script("return ddspInstrument.keyboard.pedal")


def test_keys_play_after_a_file_was_chosen(started):
    started.execute_script("document.getElementById('file').focus()")
    keys_down(started, "d")
    browsers.until(lambda: latest(started)["peak"] > 0.01)
    keys_up(started, "d")


def test_what_the_keyboard_reached_keeps_the_focus(started):
    from selenium.webdriver.common import keys

    find(started, "#higher").send_keys(keys.Keys.ENTER)
    time.sleep(0.2)
    assert started.switch_to.active_element.get_attribute("id") == "higher"


def test_the_browser_gets_no_key_that_plays_and_command_ends_all(started):
    press = """
      const [kind, code, key, repeat] = arguments;
      return document.body.dispatchEvent(new KeyboardEvent(kind,
        { code, key, repeat, bubbles: true, cancelable: true }));
    """
    held = lambda: started.execute_script("return ddspInstrument.keyboard.codes.size")
    assert not started.execute_script(press, "keydown", "Quote", "'", False)
    assert not started.execute_script(press, "keydown", "Quote", "'", True)
    assert started.execute_script(press, "keydown", "Slash", "/", False)
    assert held() == 1
    started.execute_script(press, "keyup", "MetaLeft", "Meta", False)
    assert held() == 0
    browsers.until(lambda: latest(started)["peak"] == 0.0)


def test_the_microphone_is_followed(started):
    find(started, "#match").click()
    find(started, "#microphone").click()
    browsers.until(lambda: latest(started)["confidence"] > 0.9)
    browsers.until(lambda: latest(started)["peak"] > 0.01)
    cents = 1200.0 * np.log2(latest(started)["f0Hz"] / VOICE_HZ)
    assert abs(cents) < 10.0
    find(started, "#microphone").click()
    browsers.until(lambda: latest(started)["peak"] == 0.0)


def test_a_microphone_of_another_rate_is_followed(started):
    # As Firefox, which connects no streams of other rates than the context's.
    refuse = """
      const own = AudioContext.prototype.createMediaStreamSource;
      AudioContext.prototype.createMediaStreamSource = function (stream) {
        if (this.sampleRate === 16000) throw new DOMException("", "NotSupportedError");
        window.ownRate = this.sampleRate;
        return own.call(this, stream);
      };
    """
    started.execute_script(refuse)
    find(started, "#match").click()
    find(started, "#microphone").click()
    browsers.until(lambda: latest(started)["confidence"] > 0.9)
    browsers.until(lambda: latest(started)["peak"] > 0.01)
    assert started.execute_script("return window.ownRate") > 16000
    cents = 1200.0 * np.log2(latest(started)["f0Hz"] / VOICE_HZ)
    assert abs(cents) < 10.0
    find(started, "#microphone").click()
    browsers.until(lambda: latest(started)["peak"] == 0.0)


def test_a_file_is_played(started, voice):
    find(started, "#file").send_keys(str(voice))
    browsers.until(lambda: "4.0 s" in find(started, "#status").text)
    browsers.until(lambda: latest(started)["peak"] > 0.01)
    octaves = np.log2(latest(started)["f0Hz"] / VOICE_HZ)
    assert abs(octaves - round(octaves)) < 0.01
    browsers.until(lambda: "is over" in find(started, "#status").text)


def test_a_file_that_is_no_audio_is_one_sentence(started, tmp_path):
    path = tmp_path / "notes.wav"
    path.write_text("no audio")
    find(started, "#file").send_keys(str(path))
    browsers.until(lambda: "cannot read that file" in find(started, "#status").text)


def test_the_page_says_who_is_heard(started, voice, tmp_path):
    microphone, stop = find(started, "#microphone"), find(started, "#stop-file")
    status = lambda: find(started, "#status").text
    listening = "return ddspInstrument.host.input?.node.toString()"
    find(started, "#file").send_keys(str(voice))
    browsers.until(stop.is_displayed)
    microphone.click()
    browsers.until(lambda: "Listening" in status())
    assert not stop.is_displayed()
    # A file that fails leaves the microphone on, and the button says so.
    path = tmp_path / "paper.pdf"
    path.write_text("no audio")
    find(started, "#file").send_keys(str(path))
    browsers.until(lambda: "cannot read that file" in status())
    assert "MediaStream" in started.execute_script(listening)
    assert microphone.get_attribute("aria-pressed") == "true"
    find(started, "#file").send_keys(str(voice))
    browsers.until(lambda: "4.0 s" in status())
    assert "BufferSource" in started.execute_script(listening)
    assert microphone.get_attribute("aria-pressed") == "false"
    stop.click()
    assert started.execute_script(listening) is None


def test_what_is_recorded_is_a_wav_of_what_was_played(started):
    find(started, "#record").click()
    browsers.until(lambda: "Recording" in find(started, "#status").text)
    keys_down(started, "h")
    browsers.until(lambda: latest(started)["peak"] > 0.01)
    time.sleep(1.0)
    keys_up(started, "h")
    find(started, "#record").click()
    browsers.until(lambda: find(started, "#recording").is_displayed())
    body = """
      const blob = new Promise((resolve) => {
        const request = new XMLHttpRequest();
        request.open("GET", document.getElementById("recording").href);
        request.responseType = "arraybuffer";
        request.onload = () => resolve(request.response);
        request.send();
      });
      return btoa(String.fromCharCode(...new Uint8Array(await blob)));
    """
    text = run(started, body)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(text)))
    assert rate == 16000
    assert len(samples) > 0.8 * rate
    assert np.abs(samples).max() > 0.01
    assert find(started, "#recording").get_attribute("download") == "test_flute.wav"


def test_a_recording_that_is_full_is_offered(started):
    find(started, "#record").click()
    browsers.until(lambda: find(started, "#record").text == "Stop recording")
    started.execute_script("ddspInstrument.host.stopRecording()")
    browsers.until(lambda: "20 minutes" in find(started, "#status").text)
    assert find(started, "#record").text == "Record"
    assert find(started, "#recording").is_displayed()


def test_what_is_wrong_with_the_sound_is_told(started):
    tell = """
      const { host } = ddspInstrument, status = window.seen[window.seen.length - 1];
      const [wrong, count] = arguments;
      for (let i = 0; i < count; i++) host.onStatus({ ...status, ...wrong });
    """
    said = lambda: find(started, "#status").text
    started.execute_script(tell, {"faults": 1}, 1)
    assert "started anew" in said()
    started.execute_script(tell, {"faults": 1, "load": 1.2}, 60)
    assert "too slow" in said()
    find(started, "#record").click()
    browsers.until(lambda: said() == "Recording.")
    started.execute_script("ddspInstrument.host.node.onprocessorerror()")
    browsers.until(lambda: "reload the page" in said())
    assert find(started, "#recording").is_displayed()


def test_settings_reach_the_sound(started):
    keys_down(started, "a")
    browsers.until(lambda: latest(started)["peak"] > 0.01)
    f0_hz = latest(started)["f0Hz"]
    set_slider = """
      const input = document.getElementById(arguments[0]);
      input.value = arguments[1];
      input.dispatchEvent(new Event("input"));
    """
    started.execute_script(set_slider, "octave", 1)
    browsers.until(lambda: latest(started)["f0Hz"] > 1.8 * f0_hz)
    assert find(started, "#octave").get_attribute("aria-valuetext") == "1"
    find(started, "#reverb").click()
    time.sleep(0.3)
    loud = latest(started)["peak"]
    started.execute_script(set_slider, "gain", -30)
    browsers.until(lambda: latest(started)["peak"] < 0.3 * loud)
    keys_up(started, "a")


# ---- for everybody


def test_keyboard_alone_reaches_and_plays_the_keys(opened):
    from selenium.webdriver.common import keys

    reached = browsers.tab_to(opened, "C 4", most=12)
    assert reached[0] == "Skip to the keys"
    assert reached[-1] == "C 4"
    opened.switch_to.active_element.send_keys(keys.Keys.ARROW_RIGHT)
    assert opened.switch_to.active_element.accessible_name == "C sharp 4"
    keys_down(opened, keys.Keys.SPACE)
    browsers.until(lambda: (latest(opened) or {"peak": 0.0})["peak"] > 0.01)
    keys_up(opened, keys.Keys.SPACE)
    browsers.until(lambda: latest(opened)["peak"] == 0.0)
    find(opened, "#pad").send_keys(keys.Keys.ARROW_UP)
    assert "55 %" in find(opened, "#pad").get_attribute("aria-description")


def test_a_key_that_is_activated_without_pointer_or_key_plays(started):
    # As screen readers and voice control do.
    record = """
      const { host } = ddspInstrument, send = host.send.bind(host);
      host.sent = [];
      host.send = (m) => { host.sent.push(m.note); send(m); };
    """
    started.execute_script(record)
    sent = lambda: started.execute_script("return ddspInstrument.host.sent")
    started.execute_script("document.querySelector('.key.white').click()")
    browsers.until(lambda: latest(started)["peak"] > 0.01)
    browsers.until(lambda: latest(started)["peak"] == 0.0)
    assert sent() == ["on", "off"]
    find(started, ".key.white").send_keys(" ")  # a keydown, and no click besides
    time.sleep(0.6)
    find(started, ".key.white").click()
    time.sleep(0.6)
    assert [note for note in sent() if note != "move"] == 3 * ["on", "off"]


def test_figures_that_change_all_the_time_are_not_read_out(opened):
    live = """
      return [...document.querySelectorAll("output, [aria-live], [role=status]")]
        .filter((e) => e.getAttribute("aria-live") !== "off").map((e) => e.id);
    """
    assert opened.execute_script(live) == ["status"]


def test_a_screen_reader_finds_names_for_everything(opened):
    browsers.check_names(opened, "button, input, canvas, [role]:not([role=status])")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened, scheme):
    texts = "h1, h2, p, button, .action, label, output, summary, .role, .soft, kbd"
    browsers.check_contrast(opened, texts, scheme=scheme, at_least=30)


def test_nothing_sticks_out_on_a_phone(opened):
    browsers.hold_as_phone(opened)
    # One octave, keys wide enough for a finger.
    browsers.until(lambda: len(browsers.find_all(opened, ".key")) == 13)
    assert find(opened, ".key.white").size["width"] >= 38
    for button in browsers.find_all(opened, ".action"):
        if button.is_displayed():
            assert button.size["height"] >= 44, button.text
