// What a bank is told about the browser (EMV 3-D Secure, browser channel). Nothing else about it is ever read.

/** The smallest width that holds a frame of 390 × 400 and the dialog around it. */
const ROOM_FOR_02 = { width: 480, height: 600 };
const NARROWEST_PHONE = 320;

/**
 * The size of the challenge's frame: "05" (the whole screen) on phones, "02" (390 × 400) where there is room for it, "01"
 * (250 × 400) in windows narrower than any phone, as at a high zoom.
 */
export function windowSize(width, height) {
  if (width >= ROOM_FOR_02.width && height >= ROOM_FOR_02.height) return "02";
  return width < NARROWEST_PHONE ? "01" : "05";
}

/** The `browser` object of a payment. */
export function browserOf({ navigator, screen, innerWidth, innerHeight }, now = new Date()) {
  return {
    language: navigator.language || "en",
    colorDepth: screen.colorDepth,
    screenHeight: screen.height,
    screenWidth: screen.width,
    timeZoneMinutes: now.getTimezoneOffset(),
    javaEnabled: false,
    userAgent: navigator.userAgent,
    accept: "*/*",
    windowSize: windowSize(innerWidth, innerHeight),
  };
}
