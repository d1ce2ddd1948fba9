// `fetch` for what may be asked twice: a connection that was kept may be closed by the other side just as it is used again,
// and a simulator that was told to err may cut one off.

const TIMES = 3;

/** As `fetch`, up to three times. Throws what the last one threw. */
export async function fetchPatiently(url, options) {
  for (let time = 1; ; time += 1) {
    try {
      return await fetch(url, options);
    } catch (error) {
      if (time === TIMES) throw error;
    }
  }
}
