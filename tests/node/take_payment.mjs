// Takes one payment through the gateway and prints it as JSON.
//
//   node take_payment.mjs PROTOS ADDRESS REQUEST_ID MERCHANT_ID CUSTOMER_ID
//
// PROTOS is the folder of the .proto files: nothing is generated. Over mutual TLS, set
// TLS_CA_FILE, TLS_CERTIFICATE_FILE and TLS_KEY_FILE.
import { readFileSync } from "node:fs";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const DEADLINE_MS = 20_000;

const [protos, address, requestId, merchantId, customerId] = process.argv.slice(2);
if (customerId === undefined) {
  console.error("usage: take_payment.mjs PROTOS ADDRESS REQUEST_ID MERCHANT_ID CUSTOMER_ID");
  process.exit(2);
}

// Amounts are 64-bit: as strings they lose nothing.
const definition = protoLoader.loadSync("gateway/v1/payment_service.proto", {
  includeDirs: [protos],
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
});
const { PaymentService } = grpc.loadPackageDefinition(definition).gateway.v1;

const { TLS_CA_FILE, TLS_CERTIFICATE_FILE, TLS_KEY_FILE } = process.env;
const credentials = TLS_CA_FILE
  ? grpc.credentials.createSsl(
      readFileSync(TLS_CA_FILE),
      readFileSync(TLS_KEY_FILE),
      readFileSync(TLS_CERTIFICATE_FILE),
    )
  : grpc.credentials.createInsecure();
const client = new PaymentService(address, credentials);

function call(method, request) {
  return new Promise((resolve, reject) => {
    const options = { deadline: new Date(Date.now() + DEADLINE_MS) };
    client[method](request, options, (error, response) =>
      error ? reject(error) : resolve(response),
    );
  });
}

try {
  const { payment } = await call("CreatePayment", {
    request_id: requestId,
    merchant_id: merchantId,
    customer_id: customerId,
    amount: { currency_code: "USD", minor_units: "4200" },
    payment_method: { token: "pm_card_visa" },
    description: "A payment from Node",
  });
  const read = await call("GetPayment", { payment_id: payment.id });
  console.log(JSON.stringify({ created: payment, read: read.payment }));
} catch (error) {
  console.error(`${grpc.status[error.code] ?? "ERROR"}: ${error.details ?? error.message}`);
  process.exitCode = 1;
} finally {
  client.close();
}
