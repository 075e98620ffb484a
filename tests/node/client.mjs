// A connection to a service, from the .proto files alone: nothing is generated.
//
// Over mutual TLS, set TLS_CA_FILE, TLS_CERTIFICATE_FILE and TLS_KEY_FILE.
import { readFileSync } from "node:fs";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const DEADLINE_MS = 20_000;

// Amounts are 64-bit: as strings they lose nothing.
const OPTIONS = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };

const { TLS_CA_FILE, TLS_CERTIFICATE_FILE, TLS_KEY_FILE } = process.env;
const credentials = TLS_CA_FILE
  ? grpc.credentials.createSsl(
      readFileSync(TLS_CA_FILE),
      readFileSync(TLS_KEY_FILE),
      readFileSync(TLS_CERTIFICATE_FILE),
    )
  : grpc.credentials.createInsecure();

const GATEWAY = ["gateway/v1/payment_service.proto", "gateway/v1/customer_service.proto"];

// Calls methods of the services in those files, such as "PaymentService/GetPayment".
// Each may take until the deadline.
export function open(protos, address, files = GATEWAY, deadlineMs = DEADLINE_MS) {
  const definition = protoLoader.loadSync(files, { ...OPTIONS, includeDirs: [protos] });
  const services = grpc.loadPackageDefinition(definition)[files[0].split("/")[0]].v1;
  const clients = {};
  const options = () => ({ deadline: new Date(Date.now() + deadlineMs) });
  const methodOf = (name) => {
    const [service, method] = name.split("/");
    clients[service] ??= new services[service](address, credentials);
    return clients[service][method].bind(clients[service]);
  };
  return {
    call(name, request) {
      return new Promise((resolve, reject) => {
        methodOf(name)(request, options(), (error, response) =>
          error ? reject(error) : resolve(response),
        );
      });
    },
    // What a method answers with that never ends by itself: `cancel` ends it.
    stream(name, request) {
      return methodOf(name)(request, options());
    },
    close() {
      Object.values(clients).forEach((client) => client.close());
    },
  };
}

// Runs what a program does with the gateway; prints what it gives as JSON, or why it failed.
export async function run(gateway, work) {
  try {
    console.log(JSON.stringify(await work()));
  } catch (error) {
    console.error(`${grpc.status[error.code] ?? "ERROR"}: ${error.details ?? error.message}`);
    process.exitCode = 1;
  } finally {
    gateway.close();
  }
}
