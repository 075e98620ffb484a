#!/usr/bin/env bash
# grpc-js takes a service config that asks for health checks, and does none.
#
# Guess: with round_robin and healthCheckConfig in its service config, a client leaves a server whose
# grpc.health.v1 says NOT_SERVING, as the clients of Python, Go (with its health package) and Java do.
# Seen with @grpc/grpc-js 1.14.7 and grpc-health-check 2.1.0 (2026-12): half of the calls go to a
# server that is connected and says NOT_SERVING. The field is accepted without a word. Of 20 calls, for
# example (who begins is drawn):
#
#   answered by the server that is SERVING: 9
#   answered by the server that is NOT_SERVING: 11
#
# Here: docs/clients.md says so, and a service that stops closes its connections after it has said that
# it stops, which is what a Node client goes by.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo '{"name": "finding", "version": "1.0.0", "type": "module"}' > package.json
npm install --silent --no-audit --no-fund @grpc/grpc-js@1.14.7 grpc-health-check@2.1.0
cat > run.js <<'JS'
import grpc from "@grpc/grpc-js";
import { HealthImplementation, service as health } from "grpc-health-check";

const CALLS = 20;
const method = {
  path: "/echo/Who",
  requestStream: false,
  responseStream: false,
  requestSerialize: (text) => Buffer.from(text),
  requestDeserialize: (bytes) => bytes.toString(),
  responseSerialize: (text) => Buffer.from(text),
  responseDeserialize: (bytes) => bytes.toString(),
};

async function serve(status) {
  const server = new grpc.Server();
  server.addService({ Who: method }, { Who: (call, answer) => answer(null, status) });
  new HealthImplementation({ "": status }).addToServer(server);
  const port = await new Promise((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound)),
  );
  return [server, port];
}

const [well, wellPort] = await serve("SERVING");
const [unwell, unwellPort] = await serve("NOT_SERVING");
const client = new grpc.Client(
  `ipv4:127.0.0.1:${wellPort},127.0.0.1:${unwellPort}`,
  grpc.credentials.createInsecure(),
  {
    "grpc.service_config": JSON.stringify({
      loadBalancingConfig: [{ round_robin: {} }],
      healthCheckConfig: { serviceName: "" },
    }),
  },
);
const seen = {};
for (let number = 0; number < CALLS; number += 1) {
  const who = await new Promise((resolve, reject) =>
    client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, "x",
      (error, answer) => (error ? reject(error) : resolve(answer))),
  );
  seen[who] = (seen[who] ?? 0) + 1;
  await new Promise((resolve) => setTimeout(resolve, 50));
}
console.log(`answered by the server that is SERVING: ${seen.SERVING ?? 0}`);
console.log(`answered by the server that is NOT_SERVING: ${seen.NOT_SERVING ?? 0}`);
client.close();
well.forceShutdown();
unwell.forceShutdown();
process.exit(seen.NOT_SERVING > 0 ? 0 : 1);
JS
node run.js
