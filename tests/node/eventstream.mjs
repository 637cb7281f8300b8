// Reads {"frames": [base64, ...]} from standard input; writes what AWS's own codec makes of them, and them encoded again.
import { EventStreamCodec } from "@smithy/eventstream-codec";

const utf8 = { to: (bytes) => new TextDecoder().decode(bytes), from: (text) => new TextEncoder().encode(text) };
const codec = new EventStreamCodec(utf8.to, utf8.from);
let input = "";
for await (const piece of process.stdin) input += piece;
const decoded = JSON.parse(input).frames.map((frame) => {
  const { headers, body } = codec.decode(new Uint8Array(Buffer.from(frame, "base64")));
  const shown = Object.fromEntries(Object.entries(headers).map(([name, header]) => [name, [header.type, header.value]]));
  const again = codec.encode({ headers, body });
  return { headers: shown, body: Buffer.from(body).toString("base64"), again: Buffer.from(again).toString("base64") };
});
process.stdout.write(JSON.stringify(decoded));
