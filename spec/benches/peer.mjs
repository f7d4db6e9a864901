// The peer that most would write: Node's http, better-sqlite3 (WAL, FULL) with one commit a tick for all that
// has arrived, and undici for delivery.  The same key check, the same "seen before", the same 200 after
// the commit.
//
//   node peer.mjs --file F               takes events and keeps them
//   node peer.mjs --file F --sink URL    and delivers each by one request, 64 at a time
import http from "node:http";
import crypto from "node:crypto";
import { parseArgs } from "node:util";
import Database from "better-sqlite3";
import { Pool } from "undici";
import { message } from "./mapping.mjs";

const { values } = parseArgs({ options: { file: { type: "string" }, sink: { type: "string" } } });
const SENDS_MAX = 64;

const db = new Database(values.file);
db.pragma("journal_mode = WAL");
db.pragma("synchronous = FULL");
db.pragma("wal_autocheckpoint = 4000");
db.exec(`CREATE TABLE events (id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, received_at INTEGER NOT NULL,
  type INTEGER NOT NULL, body TEXT NOT NULL, state INTEGER NOT NULL) STRICT;
  CREATE INDEX events_new ON events (id) WHERE state = 0`);
const insert = db.prepare("INSERT INTO events VALUES (NULL, ?, ?, ?, ?, 0) ON CONFLICT DO NOTHING");
const find = db.prepare("SELECT id FROM events WHERE identity = ?");
const finish = db.prepare("UPDATE events SET state = 1 WHERE id = ?");
const begin = db.prepare("BEGIN IMMEDIATE"), commit = db.prepare("COMMIT");

const KEY = Buffer.from("rest-key");
const hasKey = (given) => {
  const bytes = Buffer.from(given ?? "");
  return bytes.length === KEY.length && crypto.timingSafeEqual(bytes, KEY);
};

let arrived = [], sent = [], isDue = false;
function due() {
  if (isDue) return;
  isDue = true;
  setImmediate(flush);
}

function flush() {
  isDue = false;
  const group = arrived, done = sent;
  arrived = [];
  sent = [];
  begin.run();
  for (const id of done) finish.run(id);
  for (const one of group) {
    const { changes, lastInsertRowid } = insert.run(one.identity, Date.now(), one.event.EventTypeID, one.body);
    one.isDuplicate = changes === 0;
    one.id = one.isDuplicate ? find.get(one.identity).id : Number(lastInsertRowid);
  }
  commit.run();
  for (const one of group) {
    answer(one.response, 200, `{"id":"${one.id}","status":"${one.isDuplicate ? "duplicate" : "accepted"}"}`);
    if (pool && !one.isDuplicate) waiting.push(one);
  }
  deliver();
}

const pool = values.sink ? new Pool(values.sink, { connections: SENDS_MAX, pipelining: 1 }) : null;
let waiting = [], next = 0, flying = 0;

function deliver() {
  while (pool && flying < SENDS_MAX && next < waiting.length) {
    flying++;
    send(waiting[next++]);
  }
  if (next === waiting.length && next > 0) {
    waiting = [];
    next = 0;
  }
}

async function send(one) {
  const effect = message(one.event);
  const { statusCode, body } = await pool.request({
    path: "/rest/3.0/sendNotification", method: "POST",
    headers: { "content-type": "application/json", "x-netmera-api-key": "netmera-key" },
    body: JSON.stringify({ notificationKey: effect.key, message: { params: effect.params },
                           target: { extId: effect.to } }),
  });
  await body.text();
  if (statusCode === 200) sent.push(one.id);
  flying--;
  due();
  deliver();
}

function answer(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": body.length });
  response.end(body);
}

const server = http.createServer((request, response) => {
  if (request.method !== "POST" || request.url !== "/optimove/event/acme-app-key") {
    return answer(response, 404, "{}");
  }
  if (!hasKey(request.headers["x-netmera-api-key"])) return answer(response, 401, "{}");
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts).toString();
    let event;
    try {
      event = JSON.parse(body);
    } catch {
      return answer(response, 400, "{}");
    }
    const identity = `${event.EventTypeID}/${event.CampaignID}/${event.ChannelID}/${event.CustomerID}/${event.TimeStamp}`;
    arrived.push({ event, body, identity, response });
    due();
  });
});
server.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ ready: true, url: `http://127.0.0.1:${server.address().port}` }));
});
