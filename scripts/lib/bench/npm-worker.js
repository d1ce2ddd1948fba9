// npm qrcode's own PNG in a worker with Node's modules: what an image costs where it is made with what is at hand.

import QRCode from "qrcode";

export default {
  async fetch(request, env) {
    const width = Number(new URL(request.url).searchParams.get("size"));
    const png = await QRCode.toBuffer(`${env.PUBLIC_URL}/Q/0123456789`, { width });
    return new Response(png, { headers: { "content-type": "image/png" } });
  },
};
