// A connection to the gateway, from the .proto files alone: nothing is generated.
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

// Calls a method of a service of gateway.v1, such as "PaymentService/GetPayment".
export function open(protos, address) {
  const definition = protoLoader.loadSync(
    ["gateway/v1/payment_service.proto", "gateway/v1/customer_service.proto"],
    { ...OPTIONS, includeDirs: [protos] },
  );
  const services = grpc.loadPackageDefinition(definition).gateway.v1;
  const clients = {};
  return {
    call(name, request) {
      const [service, method] = name.split("/");
      clients[service] ??= new services[service](address, credentials);
      return new Promise((resolve, reject) => {
        const options = { deadline: new Date(Date.now() + DEADLINE_MS) };
        clients[service][method](request, options, (error, response) =>
          error ? reject(error) : resolve(response),
        );
      });
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
