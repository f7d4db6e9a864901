// One POST to an address that is used byte for byte, and what came back. Never repeats anything by itself.

import http from 'node:http';
import https from 'node:https';

const keptAnswerBytes = 4096;

/** new URL() would normalise the path; a listener's address goes out as it was registered. */
function splitAddress(address) {
  const url = new URL(address);
  const afterScheme = address.indexOf('//') + 2;
  const start = address.slice(afterScheme).search(/[/?#]/);
  let target = start < 0 ? '/' : address.slice(afterScheme + start);
  if (!target.startsWith('/')) target = `/${target}`;
  const fragment = target.indexOf('#');
  return { url, target: fragment < 0 ? target : target.slice(0, fragment) };
}

export class Poster {
  /** With `keep` connections are used again, at most so many of them. */
  constructor(keep = 0) {
    const options = keep ? { keepAlive: true, maxSockets: keep } : { keepAlive: false };
    this.plain = new http.Agent(options);
    this.secure = new https.Agent({ ...options, rejectUnauthorized: false }); // test certificates sign themselves
  }

  close() {
    this.plain.destroy();
    this.secure.destroy();
  }

  /** Resolves to { status, answer, error, ms }: status is null if no answer came. */
  post(address, body, { type = 'application/json', headers = {}, timeoutMs = 30000 } = {}) {
    const began = performance.now();
    return new Promise((resolve) => {
      const end = (status, answer, error) => resolve({ status, answer, error, ms: Math.round(performance.now() - began) });
      let where;
      try {
        where = splitAddress(address);
      } catch {
        return end(null, null, 'not an address');
      }
      const secure = where.url.protocol === 'https:';
      const request = (secure ? https : http).request({
        host: where.url.hostname.replace(/^\[|\]$/g, ''),
        port: where.url.port || (secure ? 443 : 80),
        path: where.target,
        method: 'POST',
        agent: secure ? this.secure : this.plain,
        headers: { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body), ...headers },
      });
      const timer = setTimeout(() => request.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
      request.on('response', (response) => {
        let answer = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => { if (answer.length < keptAnswerBytes) answer += chunk; });
        response.on('end', () => { clearTimeout(timer); end(response.statusCode, answer.slice(0, keptAnswerBytes), null); });
        response.on('error', (error) => { clearTimeout(timer); end(response.statusCode, answer, error.message); });
      });
      request.on('error', (error) => { clearTimeout(timer); end(null, null, error.message); });
      request.end(body);
    });
  }
}
