// Saves a card of a customer and charges it without the customer; prints both as JSON.
//
//   node charge_saved_card.mjs PROTOS ADDRESS REQUEST_ID MERCHANT_ID CUSTOMER_ID PAYMENT_METHOD
//
// PROTOS is the folder of the .proto files. PAYMENT_METHOD comes from a page with Stripe.js.
import { open, run } from "./client.mjs";

const [protos, address, requestId, merchantId, customerId, token] = process.argv.slice(2);
if (token === undefined) {
  console.error(
    "usage: charge_saved_card.mjs PROTOS ADDRESS REQUEST_ID MERCHANT_ID CUSTOMER_ID PAYMENT_METHOD",
  );
  process.exit(2);
}

const gateway = open(protos, address);
await run(gateway, async () => {
  const { customer } = await gateway.call("CustomerService/CreateCustomer", {
    request_id: `${requestId}-customer`,
    customer_id: customerId,
  });
  const { setup } = await gateway.call("CustomerService/SavePaymentMethod", {
    request_id: `${requestId}-card`,
    customer_id: customerId,
    payment_method_id: token,
  });
  const listed = await gateway.call("CustomerService/ListPaymentMethods", {
    customer_id: customerId,
  });
  const { payment } = await gateway.call("PaymentService/CreatePayment", {
    request_id: `${requestId}-payment`,
    merchant_id: merchantId,
    customer_id: customerId,
    amount: { currency_code: "USD", minor_units: "1900" },
    payment_method: {
      token: setup.payment_method_id,
      stripe_customer_id: customer.stripe_customer_id,
    },
    off_session: true,
    decline_retry: { max_attempts: 4, window: { seconds: 14 * 24 * 3600 } },
  });
  return { customer, setup, saved: listed.payment_methods, payment };
});
