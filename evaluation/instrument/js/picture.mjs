// What sounds, as a picture: a bar for every harmonic, the noise bands behind them.

const FLOOR_DB = -70; // the lower edge

const share = (linear) => Math.max(0, 1 - (20 * Math.log10(Math.max(linear, 1e-9))) / FLOOR_DB);

/** Draws harmonics and noise on a canvas. */
export class Picture {
  /** @param {HTMLCanvasElement} canvas Where. */
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  /**
   * Draws.
   * @param {object} status Of the audio thread; `harmonics` is null in silence.
   */
  draw({ harmonics, noise }) {
    const { canvas, context } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((size) => Math.round(size * ratio));
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    context.clearRect(0, 0, width, height);
    if (!harmonics) return;
    const style = getComputedStyle(canvas);
    context.fillStyle = style.getPropertyValue("--line");
    const band = width / noise.length;
    for (let i = 0; i < noise.length; i++) {
      const size = height * share(noise[i]);
      context.fillRect(i * band, height - size, band + 1, size);
    }
    context.fillStyle = style.getPropertyValue("--s1");
    const step = width / harmonics.length;
    for (let k = 0; k < harmonics.length; k++) {
      const size = height * share(harmonics[k]);
      context.fillRect((k + 0.15) * step, height - size, 0.7 * step, size);
    }
  }
}
