// Takes one payment through the gateway and prints it as JSON.
//
//   node take_payment.mjs PROTOS ADDRESS REQUEST_ID MERCHANT_ID CUSTOMER_ID
//
// PROTOS is the folder of the .proto files.
import { open, run } from "./client.mjs";

const [protos, address, requestId, merchantId, customerId] = process.argv.slice(2);
if (customerId === undefined) {
  console.error("usage: take_payment.mjs PROTOS ADDRESS REQUEST_ID MERCHANT_ID CUSTOMER_ID");
  process.exit(2);
}

const gateway = open(protos, address);
await run(gateway, async () => {
  const { payment } = await gateway.call("PaymentService/CreatePayment", {
    request_id: requestId,
    merchant_id: merchantId,
    customer_id: customerId,
    amount: { currency_code: "USD", minor_units: "4200" },
    payment_method: { token: "pm_card_visa" },
    description: "A payment from Node",
  });
  const read = await gateway.call("PaymentService/GetPayment", { payment_id: payment.id });
  return { created: payment, read: read.payment };
});
