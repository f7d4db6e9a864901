// BullMQ on Redis with appendfsync always: Node's http in front, one worker of 64 sends in the same process,
// undici for delivery.  The job's id is the event's identity, so that a second one is none.
//
//   node peer_bullmq.mjs --redis PORT --sink URL
import http from "node:http";
import { parseArgs } from "node:util";
import { Queue, Worker } from "bullmq";
import { Pool } from "undici";
import { message } from "./mapping.mjs";

const { values } = parseArgs({ options: { redis: { type: "string" }, sink: { type: "string" } } });
const SENDS_MAX = 64;
const connection = { host: "127.0.0.1", port: Number(values.redis) };

const queue = new Queue("events", { connection });
const pool = new Pool(values.sink, { connections: SENDS_MAX, pipelining: 1 });
const worker = new Worker("events", async ({ data }) => {
  const effect = message(data);
  const { statusCode, body } = await pool.request({
    path: "/rest/3.0/sendNotification", method: "POST",
    headers: { "content-type": "application/json", "x-netmera-api-key": "netmera-key" },
    body: JSON.stringify({ notificationKey: effect.key, message: { params: effect.params },
                           target: { extId: effect.to } }),
  });
  await body.text();
  if (statusCode !== 200) throw new Error(`answered ${statusCode}`);
}, { connection, concurrency: SENDS_MAX });
worker.on("error", (error) => console.error(error));

function answer(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": body.length });
  response.end(body);
}

const server = http.createServer((request, response) => {
  if (request.headers["x-netmera-api-key"] !== "rest-key") return answer(response, 401, "{}");
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", async () => {
    const event = JSON.parse(Buffer.concat(parts).toString());
    const identity = `${event.EventTypeID}-${event.CampaignID}-${event.ChannelID}-${event.CustomerID}`;
    const job = await queue.add("event", event, { jobId: identity, removeOnComplete: 1000 });
    answer(response, 200, `{"id":"${job.id}","status":"accepted"}`);
  });
});
await worker.waitUntilReady();
server.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ ready: true, url: `http://127.0.0.1:${server.address().port}` }));
});
