// Puts a reply on the wire, whole or cut as a fault wants it.

function cutConnection(res, reset) {
  const { socket } = res;
  if (socket === null || socket.destroyed) return;
  if (reset && !socket.encrypted) socket.resetAndDestroy();
  else socket.destroy();
}

function headersOf(reply, length) {
  const headers = { 'Content-Length': length };
  if (reply.type) headers['Content-Type'] = reply.type;
  return reply.headers ? Object.assign(headers, reply.headers) : headers;
}

/** The head promises the whole body; half of it comes. Without a body the head itself is cut. */
function sendHalf(res, reply, reset, end) {
  const body = Buffer.from(reply.body);
  const cut = () => { cutConnection(res, reset); end('closed'); };
  if (body.length < 2) {
    res.socket.write(`HTTP/1.1 ${reply.status} OK\r\nContent-Le`, cut);
    return;
  }
  res.writeHead(reply.status, headersOf(reply, body.length));
  res.write(body.subarray(0, body.length >> 1), cut);
}

/** `act` is what the fault does, or {}; `end(status)` is called once. */
export function sendReply(res, reply, act, end) {
  if (act.close === 'midbody') return sendHalf(res, reply, act.reset, end);
  if (act.close !== undefined) {
    cutConnection(res, act.reset);
    return end('closed');
  }
  res.writeHead(reply.status, headersOf(reply, Buffer.byteLength(reply.body)));
  res.end(reply.body);
  return end(reply.status);
}

const linesAtOnce = 1000;

/** NDJSON as fast as the reader takes it. */
export async function sendLines(res, values) {
  res.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
  let batch = [];
  let wake = () => {};
  res.on('drain', () => wake());
  res.on('close', () => wake());
  const flush = async () => {
    const text = batch.join('');
    batch = [];
    if (!res.write(text) && !res.destroyed) await new Promise((resume) => { wake = resume; });
  };
  for (const value of values) {
    batch.push(`${JSON.stringify(value)}\n`);
    if (batch.length === linesAtOnce) await flush();
    if (res.destroyed) return;
  }
  await flush();
  res.end();
}
