// Books an amount that no number of JavaScript's is, and prints what the ledger says of it.
//
//   node large_amounts.mjs PROTOS ADDRESS LEDGER UNITS
//
// `connection.mjs` is the block of docs/clients.md.
import grpc from "@grpc/grpc-js";
import { connect } from "./connection.mjs";

const [protos, address, name, units] = process.argv.slice(2);
const insecure = grpc.credentials.createInsecure();
const file = "ledger/v1/ledger_service.proto";
const ledger = connect(protos, file, "ledger.v1.LedgerService", address, insecure);

function call(method, request) {
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + 20_000 };
    ledger[method](request, options, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

function leg(account, side) {
  return { account, direction: `DIRECTION_${side}`, amount: { currency_code: "EUR", minor_units: units } };
}

await call("CreateLedger", { request_id: `${name}-ledger`, name });
const accounts = [["cash", "DEBIT"], ["wallet", "CREDIT"]].map(([account, side]) => ({
  name: account,
  currency_code: "EUR",
  normal_balance: `NORMAL_BALANCE_${side}`,
}));
await call("BatchCreateAccounts", { request_id: `${name}-accounts`, ledger: name, accounts });
const { transaction } = await call("CreateTransaction", {
  request_id: `${name}-large`,
  ledger: name,
  transaction: { entries: [leg("cash", "DEBIT"), leg("wallet", "CREDIT")] },
});
const { balances } = await call("GetBalance", { ledger: name, account: "wallet" });
const booked = transaction.entries.map(({ amount }) => amount.minor_units);
console.log(JSON.stringify({ booked, posted: balances[0].posted_minor }));
ledger.close();
